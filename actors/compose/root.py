"""The root process: lock, leftovers, launch file, and the command line of every child."""

import asyncio
import fcntl
import os
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from msgspec.structs import replace

from actors.compose import leftovers
from actors.compose.common import LAUNCH_FILE, accepted, put
from actors.compose.leftovers import EXCHANGE_LOCK, holders
from actors.recorder.installation import RefusedError, refuse_mode
from actors.root.core import Spec
from actors.root.drift import DriftWatch
from actors.root.edge import RootProcess, command, facts
from actors.runtime import logging
from actors.runtime.clock import SystemClock
from protocol import launch
from protocol.launch import Launch
from protocol.policy import Monitoring, Policy

REFUSED, TIMED_OUT = 4, 5
EMBEDDED = "embedded"
KEY_FILE = "venue-key.json"
VENUE_STATE = "venue.state"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the `run` verb resolved.

    `overlay` tells what environment profile, variables and operator changed, `variables` names the environment's that
    counted; `overrides` and `environment` are what operator and variables say over the files of `config_dir`. `again`
    resolves the same run by what the files say by then; None: they are refused. `for_s` None: until it is stopped.
    """

    state_dir: Path
    mode: str
    profile: str
    overlay: tuple[str, ...]
    variables: tuple[str, ...]
    policy: Policy
    again: Callable[[], "Plan | None"]
    config_dir: Path
    overrides: tuple[tuple[str, str], ...]
    environment: tuple[tuple[str, str], ...]
    market: str
    seed: int
    cash: str
    venue_port: int
    fresh: bool
    for_s: float | None

    def found(self) -> str:
        """The hash of what the configuration says now; a word that is none where it is refused."""
        plan = self.again()
        return "refused" if plan is None else plan.policy.config_hash


def run(plan: Plan, specs: tuple[Spec, ...]) -> int:
    """Take the installation, run the tree, and let go of it. One clear line where it is somebody else's."""
    plan.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = _lock(plan.state_dir / "lock")
    if lock is None:
        holder = (plan.state_dir / "lock").read_text().strip() or "unknown"
        sys.stderr.write(f"trader: single-instance lock: {plan.state_dir} is run by process {holder}\n")
        return REFUSED
    taken = None if plan.profile == EMBEDDED else _taken(plan.policy.monitoring)
    if taken is not None:
        sys.stderr.write(
            f"trader: port {taken} is taken: free it, or name another with --metrics-port or --health-port\n"
        )
        return REFUSED
    with lock:
        moving = _moving(plan)
        if moving:
            sys.stderr.write(f"trader: {moving}: start it again in a moment\n")
            return REFUSED
        stranger = _stranger(plan)
        if stranger:
            sys.stderr.write(f"trader: {stranger}\n")
            return REFUSED
        try:
            leftovers.end(plan.state_dir)
        except TimeoutError as error:
            sys.stderr.write(f"trader: {error}\n")
            return TIMED_OUT
        if plan.fresh:
            _clear(plan.state_dir)
        _log_configuration(plan)
        return asyncio.run(_Root(plan, specs).run())


def _log_configuration(plan: Plan) -> None:
    """What this run follows, where a later reader of the logs looks for it."""
    logging.configure("root", plan.state_dir, plan.policy.monitoring.log_level)
    logging.get("root").info(
        "configuration",
        hash=plan.policy.config_hash,
        risk_profile=plan.policy.risk.risk_profile,
        profile=plan.profile,
        variables=list(plan.variables),
        changes=list(plan.overlay),
    )


def _moving(plan: Plan) -> str:
    """Why the configuration that was loaded may not be the one that counts; empty: it is.

    Asked with the installation's lock in hand: an exchange that begins later finds a trader that runs.
    """
    if holders(plan.state_dir / EXCHANGE_LOCK):
        return "the configuration is being exchanged"
    return "" if plan.found() == plan.policy.config_hash else "the configuration has changed since it was read"


def _stranger(plan: Plan) -> str:
    """Why this state is not this run's, before anything of an earlier run is touched; empty: it is, or becomes so."""
    try:
        if not plan.fresh:
            refuse_mode(plan.state_dir, plan.policy.mode)
    except RefusedError as error:
        return str(error)
    return ""


def _lock(path: Path) -> IO[str] | None:
    """A kernel lock held for life: it falls with the process, whatever kills it."""
    held = path.open("a+")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        return None
    held.truncate(0)
    held.write(f"{os.getpid()}\n")
    held.flush()
    return held


def _taken(monitoring: Monitoring) -> int | None:
    """The first configured port that somebody else listens on; only the embedded profile moves to another."""
    for port in (monitoring.metrics_port, monitoring.health_port):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return port
    return None


def _clear(state_dir: Path) -> None:
    """`--fresh`: a new installation, the old one moved aside so that nothing is lost."""
    old = state_dir / "replaced"
    shutil.rmtree(old, ignore_errors=True)
    kept = [path for path in state_dir.iterdir() if path.name not in {"lock", EXCHANGE_LOCK, "logs", "replaced"}]
    old.mkdir()
    for path in kept:
        path.rename(old / path.name)


class _Root:
    """The pieces of one run that depend on each other's ready lines."""

    def __init__(self, plan: Plan, specs: tuple[Spec, ...]) -> None:
        self._plan = plan
        self._specs = specs
        self._venue: dict[str, Any] = {}
        self._bot = plan.policy.risk.managed_position_tag
        self._port = plan.venue_port
        self._policy: Policy | None = None

    async def run(self) -> int:
        plan = self._plan
        process = RootProcess(
            self._specs,
            {"venue": self._venue_command, "watchdog": self._watchdog_command, **self._inner_commands()},
            plan.state_dir,
            facts(plan.mode, plan.state_dir, SystemClock().now_ns()),
            {"venue": self._venue_ready, "watchdog": _noted},
            self._take_up,
        )
        self._process = process
        self._drift = DriftWatch(
            plan.policy.config_hash,
            plan.found,
            plan.state_dir / "control.sock",
            exchanging=lambda: bool(holders(plan.state_dir / EXCHANGE_LOCK)),
        )
        looking = asyncio.create_task(self._drift.run())
        try:
            return await process.run(plan.for_s, self._announce)
        finally:
            looking.cancel()

    def _venue_command(self) -> list[str]:
        plan, state = self._plan, self._plan.state_dir
        return command(
            "actors.venue",
            *("--port", str(self._port)),
            *("--market", plan.market),
            *("--seed", str(plan.seed)),
            *("--cash", plan.cash),
            *("--key-file", str(state / KEY_FILE)),
            *("--keep", str(state / VENUE_STATE)),
        )

    async def _venue_ready(self, line: dict[str, Any]) -> None:
        """A restarted venue keeps its port: nobody has to be told."""
        self._venue = line
        self._port = int(str(line["rest"]).rsplit(":", 1)[1].partition("/")[0])
        self._process.learn(venue_url=line["rest"], venue_ws_url=line["ws"])
        await self._launch()

    async def _take_up(self) -> None:
        """The files, if they are what the last desk's actors accepted; nothing else comes into force under a run."""
        wanted = accepted(self._plan.state_dir)
        plan = await asyncio.to_thread(self._plan.again)
        if plan is None or plan.policy.config_hash != wanted:
            found = "refused" if plan is None else plan.policy.config_hash
            logging.get("root").error("config_not_taken_up", accepted=wanted, found=found)
            return
        self._plan, self._policy = plan, None
        await self._launch()
        self._drift.follow(wanted)
        _log_configuration(plan)

    async def _launch(self) -> None:
        """What desk and alpha read when they start."""
        plan, line = self._plan, self._venue
        launched = Launch(
            version=_version(),
            mode=plan.mode,
            venue="embedded",
            profile=plan.profile,
            overlay=plan.overlay,
            bot=self._bot,
            seed=plan.seed,
            rest_url=line["rest"],
            market_url=line["ws"],
            user_url=line["ws"],
            key_file=str(line["key_file"]),
            health_port=plan.policy.monitoring.health_port,
            metrics_port=plan.policy.monitoring.metrics_port,
            move_ports=plan.profile == EMBEDDED,
            policy=plan.policy,
            config_dir=str(plan.config_dir),
            overrides=plan.overrides,
            environment=plan.environment,
            market=plan.market.partition(":")[0],
        )
        self._policy = self._policy or await self._settled(launched)
        launched = replace(launched, policy=self._policy)
        put(plan.state_dir / LAUNCH_FILE, launch.encode(launched))

    async def _settled(self, launched: Launch) -> Policy:
        """The policy with the products of this run, asked of the venue where they are not configured."""
        if launched.policy.universe.discovery is None:
            return launched.policy
        from actors.compose.discovery import at_start  # noqa: PLC0415 - most runs need none of it: the root stays small

        return await asyncio.to_thread(at_start, launched, SystemClock().now_ns)

    def _watchdog_command(self) -> list[str]:
        plan = self._plan
        lane = plan.policy.rate_limits.kill_sweep
        return command(
            "actors.watchdog",
            *("--state", str(plan.state_dir)),
            *("--rest", self._venue["rest"]),
            *("--key-file", str(self._venue["key_file"])),
            *("--bot", self._bot),
            *("--root-pid", str(os.getpid())),
            *("--token-life", str(plan.policy.auth.order_token_life_s)),
            *("--rate", str(lane.rate_per_s), "--burst", str(lane.burst)),
        )

    def _inner_commands(self) -> dict[str, Any]:
        state = str(self._plan.state_dir)
        return {name: lambda name=name: command("supervisor", name, "--state", state) for name in ("alpha", "desk")}

    def _announce(self, told: dict[str, Any]) -> None:
        """What an operator needs to know first."""
        state = "armed" if told["armed"] else "NOT armed: `trader status` says why"
        lines = [
            f"247trader {_version()}: {told['mode']} on the embedded venue, {state}",
            *(f"  {name:<9} {told.get(f'{name}_pid')}" for name in ("venue", "watchdog", "alpha", "desk")),
            f"metrics {told['metrics_url']}  health {told['health_url']}",
            "next: ./ops/trader status · ./ops/trader why BTC-USD · ./ops/trader kill --reason TEXT",
        ]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()


async def _noted(_: dict[str, Any]) -> None:
    """A ready line with nothing to learn from it."""


def _version() -> str:
    try:
        return version("trader247")
    except PackageNotFoundError:
        return "0.1.0"
