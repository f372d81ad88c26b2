"""What the root process tells its children: this run, resolved once, so that all of them mean the same thing."""

import msgspec

from protocol.base import Value
from protocol.policy import Policy


class Launch(Value, frozen=True, kw_only=True):
    """One run. URLs without a path for REST, complete for the sockets; `key_file` empty: no credential is loaded.

    `venue` is embedded or coinbase; `profile` the environment profile; `overlay` what that profile changed.
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


def encode(launch: Launch) -> bytes:
    """As JSON, for the file that children read."""
    return msgspec.json.encode(launch)


def decode(data: bytes) -> Launch:
    """Raises msgspec.MsgspecError: not a launch."""
    return msgspec.json.decode(data, type=Launch)
