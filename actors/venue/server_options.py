"""How to run the venue: the options of its command line. Light, so that a `--help` need not load the server."""

import argparse
from decimal import Decimal
from pathlib import Path

import msgspec


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to run. `port` 0: any free one; no `key_file`: a key for this run only; no `state`: forgotten at the end."""

    port: int = 0
    market: str = "synthetic"
    seed: int = 1
    cash_usd: Decimal = Decimal(10_000)
    key_file: Path | None = None
    tls: bool = False
    state: Path | None = None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the venue's options."""
    parser.add_argument("--port", type=int, default=0, help="port on the loopback interface (default: any free one)")
    parser.add_argument("--market", default="synthetic", help="synthetic, mirror or tape:PATH[,from=][,speed=][,as=]")
    parser.add_argument("--seed", type=int, default=1, help="seed of the synthetic market (default: 1)")
    parser.add_argument("--cash", type=Decimal, default=Decimal(10_000), metavar="USD", help="opening balance")
    parser.add_argument("--key-file", type=Path, metavar="FILE", help="API key to accept; written if it is missing")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="keep balances and orders there over restarts")
    parser.add_argument("--tls", action="store_true", help="https and wss with an authority of its own")


def options(args: argparse.Namespace) -> Options:
    """Options from the parsed command line."""
    return Options(
        port=args.port,
        market=args.market,
        seed=args.seed,
        cash_usd=args.cash,
        key_file=args.key_file,
        tls=args.tls,
        state=args.keep,
    )
