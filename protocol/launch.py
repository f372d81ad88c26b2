"""What the root process tells its children: this run, resolved once, so that all of them mean the same thing."""

import msgspec

from protocol.base import Value
from protocol.policy import Policy


class Launch(Value, frozen=True, kw_only=True):
    """One run. URLs without a path for REST, complete for the sockets; `key_file` empty: no credential is loaded.

    `venue` is embedded or coinbase, `market` what it trades on (synthetic, tape or mirror); `profile` the environment
    profile; `overlay` what that profile changed.
    `config_dir` holds the files; `overrides` and `environment` are what operator and variables say over them, by name:
    with these anybody can tell what a candidate would be in this run.
    """

    version: str
    mode: str
    venue: str
    profile: str
    overlay: tuple[str, ...]
    bot: str
    seed: int
    rest_url: str
    market_url: str
    user_url: str
    key_file: str
    health_port: int
    metrics_port: int
    move_ports: bool
    policy: Policy
    config_dir: str = ""
    overrides: tuple[tuple[str, str], ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    market: str = ""


def fixed(policy: Policy) -> tuple[tuple[str, str], ...]:
    """What the root hands to watchdog and venue or holds for the whole run: no other desk changes it. By key."""
    sweep = policy.rate_limits.kill_sweep
    return (
        ("app.mode", policy.mode.value),
        ("app.auth.order_token_life_s", str(policy.auth.order_token_life_s)),
        ("app.monitoring.healthcheck_port", str(policy.monitoring.health_port)),
        ("app.monitoring.metrics_port", str(policy.monitoring.metrics_port)),
        ("policy.risk.managed_position_tag", policy.risk.managed_position_tag),
        ("policy.rate_limits.kill_sweep", f"{sweep.rate_per_s:g}/s, {sweep.burst} at once"),
    )


def encode(launch: Launch) -> bytes:
    """As JSON, for the file that children read."""
    return msgspec.json.encode(launch)


def decode(data: bytes) -> Launch:
    """Raises msgspec.MsgspecError: not a launch."""
    return msgspec.json.decode(data, type=Launch)
