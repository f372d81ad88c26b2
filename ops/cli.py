"""The one door behind `ops/trader`: finds the verb, parses its options, runs it, turns every end into an exit code.

A verb is a module of this package named in `VERBS` (a dash in the verb is an underscore in the module's name). The
first line of its docstring is its help; `configure(parser)` adds its options and `main(args) -> int` does the work.
Only the chosen verb's module is imported, so a quick verb starts quickly.
"""

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from ops.exits import Exit, VerbError

ROOT = Path(__file__).resolve().parent.parent
"""The installation's code; everything that is kept lives under the state directory instead."""

VERBS: tuple[str, ...] = (
    "run",
    "stop",
    "status",
    "actors",
    "orders",
    "positions",
    "fills",
    "universe",
    "strategy",
    "tail",
    "why",
    "what-if",
    "kill",
    "rearm",
    "pause",
    "resume",
    "ban",
    "unban",
    "cooldown",
    "reset-peak",
    "rebuild-positions",
    "order",
    "cancel",
    "config",
    "drill",
    "venue",
    "verify",
    "simulate",
    "test",
    "bench",
)
"""Every verb there is, in the order `--help` lists them."""


def verb_module(verb: str) -> ModuleType:
    """Imports the module that implements a verb."""
    return importlib.import_module(f"ops.{verb.replace('-', '_')}")


def summary(module: ModuleType) -> str:
    """The first line of a verb's docstring, without its full stop."""
    return (module.__doc__ or "").strip().partition("\n")[0].rstrip(".")


def add_common(parser: argparse.ArgumentParser, *, again: bool = False) -> None:
    """Adds the options that every verb takes; relative paths are the caller's.

    `again`: for a verb's own sub-commands, behind which the options may stand as well.
    """
    state = _absolute(os.environ.get("TRADER_STATE") or ROOT / "var")
    parser.add_argument(
        "--state",
        type=_absolute,
        default=argparse.SUPPRESS if again else state,
        metavar="DIR",
        help="which installation: store, journal, sockets, logs (default: $TRADER_STATE, else var/)",
    )
    parser.add_argument(
        "--config",
        type=_absolute,
        default=argparse.SUPPRESS if again else ROOT / "config",
        metavar="DIR",
        help="configuration files (default: config/ beside the code)",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds `--json`, for verbs that print data."""
    parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")


def build_parser(verbs: Sequence[str]) -> argparse.ArgumentParser:
    """Builds the parser with the given verbs in full, importing each."""
    parser = argparse.ArgumentParser(
        prog="trader", description="A supervised, always stoppable spot trader.", allow_abbrev=False
    )
    choices = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in verbs:
        module = verb_module(verb)
        text = summary(module).replace("%", "%%")
        child = choices.add_parser(
            verb,
            help=text,
            description=module.__doc__,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_common(child)
        module.configure(child)
        child.set_defaults(main=module.main, passes_rest=getattr(module, "PASSES_REST", False))
    return parser


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parses a command line; what a verb with `PASSES_REST` does not know is left in `args.rest`.

    Raises:
        SystemExit: 0 after `--help`, 2 when the command line is wrong.
    """
    chosen = [verb for verb in arguments[:1] if verb in VERBS]
    parser = build_parser(chosen or VERBS)
    args, rest = parser.parse_known_args(arguments)
    if rest and not args.passes_rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    args.rest = rest
    return args


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code. No traceback reaches the user."""
    state = None
    try:
        args = parse(arguments)
        state = args.state
        code = int(args.main(args))
        sys.stdout.flush()
    except VerbError as error:
        return _say(str(error), error.code)
    except KeyboardInterrupt:
        return _say("interrupted", Exit.FAILED)
    except BrokenPipeError:
        # The reader of a pipe left (`trader tail | head`): what it wanted is done.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except Exception as error:  # noqa: BLE001 - the last line of defence; the details go to a file
        return _say(f"{type(error).__name__}: {error} (details: {_keep_details(state)})", Exit.FAILED)
    return code


def main() -> int:
    """Entry point of `python -m ops.cli`."""
    return run(sys.argv[1:])


def _absolute(path: str | Path) -> Path:
    return Path(path).expanduser().absolute()


def _say(text: str, code: Exit) -> Exit:
    from actors.runtime.redaction import redact  # noqa: PLC0415 - needed on the way out only

    print(f"trader: {redact(' '.join(text.split()))}", file=sys.stderr)
    return code


def _keep_details(state: Path | None) -> str:
    """Appends the current traceback, redacted, to a log; returns where it stands."""
    from actors.runtime.redaction import redact  # noqa: PLC0415 - as above

    log = (state or ROOT / "var") / "logs" / "cli-errors.log"
    text = f"{datetime.now(UTC).isoformat()} trader {' '.join(sys.argv[1:])}\n{traceback.format_exc()}\n"
    try:
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with log.open("a", encoding="utf-8") as file:
            file.write(redact(text))
    except OSError as error:
        return f"not kept, {error}"
    return str(log)


if __name__ == "__main__":
    sys.exit(main())
