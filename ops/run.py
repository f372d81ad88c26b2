"""Run the trader: on the embedded venue unless told otherwise. Ctrl-C or SIGTERM stops it with nothing resting."""

import argparse
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from config.coherence import run_refusal
from config.load import Loaded, load
from config.problems import ConfigError
from ops.exits import Exit, VerbError
from ops.output import note

if TYPE_CHECKING:
    from actors.compose.root import Plan
from protocol.policy import Mode

MODES = ("dry-run", "paper", "live")
VENUES = ("embedded", "coinbase")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `run`."""
    parser.add_argument("--mode", choices=MODES, help="default: paper on the embedded venue")
    parser.add_argument("--venue", choices=VENUES, default="embedded")
    parser.add_argument("--market", default="synthetic", help="synthetic, or tape:PATH[,from=TIME][,speed=N][,as=USD]")
    parser.add_argument("--market-data", choices=("streaming",), default="streaming")
    parser.add_argument("--seed", type=int, default=1, help="of the synthetic market (default 1)")
    parser.add_argument("--fresh", action="store_true", help="start a new installation (embedded profile only)")
    parser.add_argument("--cash", default="10000", help="embedded venue's opening balance in USD (default 10000)")
    parser.add_argument("--profile", help="environment profile (default: embedded, on the embedded venue)")
    parser.add_argument("--for", dest="for_s", type=float, metavar="SECONDS", help="stop by itself after this time")
    parser.add_argument("--metrics-port", type=int, help="0: any free one")
    parser.add_argument("--health-port", type=int, help="0: any free one")
    parser.add_argument("--venue-port", type=int, default=0, help="0: any free one (default)")


def main(args: argparse.Namespace) -> int:
    """Checks that this run is allowed, resolves the configuration, and hands over to the root process."""
    mode = (args.mode or "paper").upper().replace("-", "_")
    _allowed(mode, args.venue)
    profile = args.profile or "embedded"
    loaded = _configuration(args, mode, profile)
    _tell(loaded)
    import supervisor  # noqa: PLC0415 - the whole house is loaded only when it is run

    return supervisor.root(_plan(args, mode, profile, loaded))


def _allowed(mode: str, venue: str) -> None:
    """The table of modes and venues (requirements §3); what cannot be gated yet is refused, never half allowed."""
    refused = run_refusal(Mode(mode), venue)
    if refused is not None:
        raise VerbError(str(refused), Exit.REFUSED)
    if venue == "coinbase":
        text = "the Coinbase venue is not open: its gates (alerts, clock, signed permit) are not part of this version"
        raise VerbError(text, Exit.REFUSED)


def _configuration(args: argparse.Namespace, mode: str, profile: str, *, under_way: bool = False) -> Loaded:
    said = _overrides(args, mode)
    try:
        return load(args.config, profile=profile, overrides=said, environ=os.environ, under_way=under_way)
    except ConfigError as error:
        raise VerbError(f"the configuration is refused:\n{error}", Exit.REFUSED) from None


def _overrides(args: argparse.Namespace, mode: str) -> dict[str, str]:
    """What the options of this run say over the files."""
    ports = (("metrics_port", args.metrics_port), ("healthcheck_port", args.health_port))
    said = {f"app.monitoring.{key}": str(port) for key, port in ports if port is not None}
    return {"app.mode": mode, **said}


def _again(args: argparse.Namespace, mode: str, profile: str) -> "Plan | None":
    """The same run by what the files say now; None where they are refused."""
    try:
        return _plan(args, mode, profile, _configuration(args, mode, profile, under_way=True))
    except VerbError:
        return None


def _tell(loaded: Loaded) -> None:
    """Prints what this run follows (configuration.md §6): its hash, the profiles, and whatever the environment set."""
    for problem in loaded.warnings:
        note(f"warning: {problem}")
    policy = loaded.policy
    profiles = f"risk profile {policy.risk.risk_profile}, environment profile {loaded.profile}"
    note(f"configuration {policy.config_hash}, {profiles}")
    if loaded.applied:
        note(f"from the environment: {', '.join(loaded.applied)}")


def _plan(args: argparse.Namespace, mode: str, profile: str, loaded: Loaded) -> "Plan":
    from actors.compose.root import Plan  # noqa: PLC0415 - as above

    return Plan(
        state_dir=args.state,
        mode=mode,
        profile=profile,
        overlay=tuple(str(change) for change in loaded.changes),
        variables=loaded.applied,
        policy=loaded.policy,
        again=partial(_again, args, mode, profile),
        config_dir=args.config.resolve(),
        overrides=tuple(_overrides(args, mode).items()),
        environment=tuple((name, os.environ[name]) for name in loaded.applied),
        market=_from_here(args.market),
        seed=args.seed,
        cash=args.cash,
        venue_port=args.venue_port,
        fresh=args.fresh,
        for_s=args.for_s,
    )


def _from_here(market: str) -> str:
    """A tape's path is the caller's, not a child process's."""
    kind, _, rest = market.partition(":")
    if kind != "tape":
        return market
    path, comma, options = rest.partition(",")
    return f"tape:{Path(path).expanduser().absolute()}{comma}{options}"
