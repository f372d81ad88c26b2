"""See, check, compare and exchange the configuration.

`show` tells every effective value and where it comes from; `check` tells all that is wrong, exit 4; `schema` prints a
JSON Schema for editors; `diff DIR` tells what a candidate would loosen or tighten; `apply DIR` puts it in the place of
the five files and keeps the old ones as a version below STATE/config/; `rollback [N]` puts a version back; `recover`
ends an exchange that was cut short. The profiles beside the files stay as they are. What loosens needs --confirm.

Under a running trader `apply` and `rollback` first ask its actors: one that could not go on vetoes with a reason, exit
4, and nothing was changed. Else the files are exchanged, the desk makes way for one that loads them, nothing resting
and positions kept, and the verb waits until that one is armed; 5 when it is not in time.
"""

import argparse
import os
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path

from config import coherence
from config.editor import editor_schema
from config.files import FILES
from config.load import Loaded, load
from config.problems import ConfigError, Problem
from config.versions import VersionError
from ops import config_change
from ops.cli import add_common, add_json
from ops.exits import Exit, VerbError
from ops.output import note, print_json, print_table

MODES = ("dry-run", "paper", "live")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the sub-commands of `config`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = _action(actions, "show", _show, "every effective value of a run, and where it comes from")
    show.add_argument("--profile", default="embedded", help="environment profile of that run (default: embedded)")
    show.add_argument("--mode", choices=MODES, default="paper", help="mode of that run (default: paper)")
    add_json(show)
    check = _action(actions, "check", _check, "everything that is wrong; exit 4 when anything is")
    check.add_argument("folder", nargs="?", type=_folder, metavar="DIR", help="default: the configuration in use")
    check.add_argument(
        "--nav", type=_usd, metavar="USD", help="also: which entries an account of this size cannot make"
    )
    add_json(check)
    schema = _action(actions, "schema", _schema, "JSON Schema for editors: type, unit, range, reason, direction")
    schema.add_argument("file", nargs="?", choices=tuple(FILES), help="one file's (default: all five)")
    diff = _action(actions, "diff", _diff, "what a candidate changes, and what of it loosens")
    diff.add_argument("folder", type=_folder, metavar="DIR")
    add_json(diff)
    apply = _action(actions, "apply", config_change.apply, "exchange the five files, also under a running trader")
    apply.add_argument("folder", type=_folder, metavar="DIR")
    rollback = _action(actions, "rollback", config_change.rollback, "put a version back, also under a running trader")
    rollback.add_argument("number", nargs="?", type=int, metavar="N", help="default: the one before the newest")
    for change in (apply, rollback):
        add_json(change)
        change.add_argument("--confirm", default="", metavar="TEXT", help="why it is right to loosen what it loosens")
    _action(actions, "recover", config_change.recover, "put the old files back after an apply that was cut short")


def main(args: argparse.Namespace) -> int:
    """Does what was asked."""
    try:
        return int(args.act(args))
    except VersionError as error:
        raise VerbError(str(error), Exit.USAGE) from None


def _action(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    act: Callable[[argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
    add_common(parser, again=True)
    parser.set_defaults(act=act)
    return parser


def _folder(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _usd(text: str) -> Decimal:
    try:
        nav = Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text}: an amount in USD") from None
    if not (nav.is_finite() and nav > 0):
        raise argparse.ArgumentTypeError(f"{text}: above 0")
    return nav


def _show(args: argparse.Namespace) -> int:
    loaded = _of_a_run(args)
    facts = {
        "config_hash": loaded.policy.config_hash,
        "mode": loaded.policy.mode,
        "read_only": loaded.policy.read_only,
        "profile": loaded.profile,
        "risk_profile": loaded.policy.risk.risk_profile,
        "environment": loaded.applied,
    }
    if args.json:
        print_json({**facts, "warnings": loaded.warnings, "values": loaded.origins})
        return Exit.DONE
    rows = ((f"{o.file}.yaml", o.key, _shown(o.value), o.source) for o in loaded.origins)
    print_table(("file", "key", "value", "from"), rows, title=f"configuration {loaded.policy.config_hash}")
    note(f"hash {loaded.policy.config_hash}, environment profile {loaded.profile}, mode {loaded.policy.mode.value}")
    for problem in loaded.warnings:
        note(f"warning: {problem}")
    return Exit.DONE


def _of_a_run(args: argparse.Namespace) -> Loaded:
    overrides = {"app.mode": args.mode.upper().replace("-", "_")}
    try:
        return load(args.config, profile=args.profile, overrides=overrides, environ=os.environ)
    except ConfigError as error:
        raise VerbError(f"the configuration is refused:\n{error}", Exit.REFUSED) from None


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def _check(args: argparse.Namespace) -> int:
    folder = args.folder or args.config
    problems, loaded = config_change.checked(folder, args.config)
    warnings = list(loaded.warnings) if loaded else []
    if loaded and args.nav is not None:
        viable = coherence.viability(loaded.policy, args.nav)
        problems += viable.problems
        warnings += viable.warnings
    if args.json:
        print_json({"ok": not problems, "problems": problems, "warnings": warnings})
    else:
        _tell(problems, warnings, f"{folder}: nothing wrong")
    return Exit.REFUSED if problems else Exit.DONE


def _tell(problems: list[Problem], warnings: list[Problem], fine: str) -> None:
    for problem in problems:
        print(problem)
    for problem in warnings:
        note(f"warning: {problem}")
    note(f"{len(problems)} wrong" if problems else fine)


def _schema(args: argparse.Namespace) -> int:
    print_json(editor_schema(args.file))
    return Exit.DONE


def _diff(args: argparse.Namespace) -> int:
    try:
        new = load(args.folder, profiles_from=args.config)
        old = load(args.config)
    except ConfigError as error:
        raise VerbError(f"cannot be compared:\n{error}", Exit.REFUSED) from None
    found = config_change.compared(old, new)
    if args.json:
        hashes = {"before": old.policy.config_hash, "after": new.policy.config_hash}
        print_json({**hashes, "risk": found.risk, "differences": found.differences})
    else:
        config_change.show(found)
    return Exit.DONE
