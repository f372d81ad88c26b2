"""Exchanging the configuration: checked whole, loosening confirmed, old files kept; accepted by a trader that runs."""

import argparse
import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from actors.compose.leftovers import EXCHANGE_LOCK, holders
from config import versions
from config.diff import Difference, differences, loosening
from config.effective import Figure, moved
from config.load import Loaded, load
from config.problems import ConfigError, Problem
from config.versions import Version
from ops import config_live
from ops.config_live import Record, Trader, VetoedError
from ops.desk import who
from ops.exits import Exit, VerbError
from ops.output import note, print_json, print_table
from protocol.base import Value
from protocol.control import ProposeConfig

_DESK_LOCK = "desk.lock"


class Comparison(Value, frozen=True, kw_only=True):
    """What a candidate changes: what may be lost at most, and key by key."""

    risk: tuple[Figure, ...] = ()
    differences: tuple[Difference, ...] = ()


class Applied(Comparison, frozen=True, kw_only=True):
    """What `apply` and `rollback` say; `version` is None where the files were the same.

    `config_hash` is that of the files alone; `running` that of the trader that follows them now, None: none runs.
    """

    version: int | None = None
    config_hash: str
    running: str | None = None


def apply(args: argparse.Namespace) -> int:
    """Puts a candidate in the place of the five files."""
    with _alone(args) as trader:
        _mended(args.config)
        return _exchange(args, trader, versions.read_files(args.folder), f"apply {args.folder}")


def rollback(args: argparse.Namespace) -> int:
    """Puts a kept version back, as a new version."""
    with _alone(args) as trader:
        _mended(args.config)
        known = [version.number for version in versions.kept(args.state)]
        number = args.number if args.number is not None else _last(args, known)
        if number not in known:
            there = ", ".join(map(str, known)) or "none"
            raise VerbError(f"there is no version {number}; there are: {there}", Exit.USAGE)
        files = versions.read_files(versions.place(args.state, number))
        return _exchange(args, trader, files, f"rollback {number}")


def recover(args: argparse.Namespace) -> int:
    """Ends an exchange that was cut short."""
    with _alone(args):
        if not _mended(args.config):
            note("nothing was cut short")
    return Exit.DONE


def checked(folder: Path, in_use: Path, *, under_way: bool = False) -> tuple[list[Problem], Loaded | None]:
    """All that is wrong with a folder, alone and below each environment profile; its files alone when nothing is.

    `under_way`: for a run that trades already.
    """
    beside = folder if (folder / "profiles").is_dir() else in_use
    names = (None, *sorted(path.stem for path in (beside / "profiles").glob("*.yaml")))
    problems: dict[Problem, None] = {}
    alone = _loaded(problems, folder, None, beside, {}, under_way)
    for name in names:
        _loaded(problems, folder, name, beside, os.environ, under_way)
    return list(problems), None if problems else alone


def _loaded(
    problems: dict[Problem, None],
    folder: Path,
    profile: str | None,
    beside: Path,
    environ: Mapping[str, str],
    under_way: bool,
) -> Loaded | None:
    """Loads; what is wrong goes to `problems`, in order, each once."""
    try:
        return load(folder, profile=profile, environ=environ, profiles_from=beside, under_way=under_way)
    except ConfigError as error:
        problems |= dict.fromkeys(error.problems)
    return None


def compared(old: Loaded, new: Loaded) -> Comparison:
    """What the files of two folders differ in, below every layer that a run adds."""
    return Comparison(risk=moved(old.policy, new.policy), differences=differences(old.config, new.config))


def show(found: Comparison) -> None:
    """Prints what may be lost at most, on standard error, and the differences as a table."""
    for figure in found.risk:
        note(str(figure))
    columns = ("file", "key", "before", "after", "unit", "effect", "what it is")
    rows = ((f"{d.file}.yaml", d.key, d.before, d.after, d.unit, d.effect.value, d.meaning) for d in found.differences)
    print_table(columns, rows, title="differences")
    note(f"differences: {len(found.differences)}, loosening: {len(loosening(found.differences))}")


@contextmanager
def _alone(args: argparse.Namespace) -> Iterator[Trader | None]:
    """Keeps every other exchange away, and a run that would start meanwhile; yields the trader that runs, if one does.

    Raises VerbError REFUSED: another exchange is under way, or a desk outlived its root.
    """
    state: Path = args.state
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with ExitStack() as locks:
        if not locks.enter_context(_held(state / EXCHANGE_LOCK)):
            raise VerbError("another exchange of the configuration is under way: try again in a moment", Exit.REFUSED)
        if not locks.enter_context(_held(state / "lock")):
            yield config_live.find(state, args.config)
            return
        if holders(state / _DESK_LOCK):
            raise VerbError(f"a desk of {state} outlived its root and is leaving: try again in a moment", Exit.REFUSED)
        yield None


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    """A kernel lock for the block, if it can be had."""
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _mended(folder: Path) -> bool:
    if not versions.recover(folder):
        return False
    note("an apply had been cut short: the old files are back")
    return True


def _last(args: argparse.Namespace, known: Sequence[int]) -> int:
    """The version before what is in place, which the newest version may be or not (somebody edited the files)."""
    earlier = known[:-1] if known and _in_place(args, known[-1]) else known
    if not earlier:
        raise VerbError("there is no earlier version to go back to", Exit.USAGE)
    return earlier[-1]


def _in_place(args: argparse.Namespace, number: int) -> bool:
    return versions.read_files(versions.place(args.state, number)) == versions.read_files(args.config)


def _exchange(args: argparse.Namespace, trader: Trader | None, files: versions.Files, what: str) -> int:
    same = files == versions.read_files(args.config)
    if same and (trader is None or trader.runs(args.config)):
        now = Applied(config_hash=_hash(args.config), running=trader.running if trader else None)
        _say(args, now, "nothing to change: the files are the same")
        return Exit.DONE
    try:
        staged = versions.stage(args.state, files)
        new = _valid(staged, args.config, under_way=trader is not None)
        found = _changes(args.config if trader is None else trader.files_that_run(), new)
        _confirmed(found, args.confirm)
        found = found or Comparison()
        accepted = trader and trader.proposed(staged)
        version = None if same else _placed(args, files, new.policy.config_hash, what)
        if trader and accepted:
            record = Record(version=version, what=what, said=args.confirm.strip(), risk=tuple(map(str, found.risk)))
            _in_force(args, trader, accepted, record)
    except VetoedError as veto:
        if args.json:
            print_json({"vetoes": veto.vetoes})
        raise
    finally:
        versions.discard(args.state)
    applied = Applied(
        risk=found.risk,
        differences=found.differences,
        version=version,
        config_hash=new.policy.config_hash,
        running=(accepted.config_hash if accepted else trader.running) if trader else None,
    )
    _say(args, applied, _text(applied))
    return Exit.DONE


def _text(applied: Applied) -> str:
    which = "what was in place" if applied.version is None else f"version {applied.version}"
    if applied.running is not None:
        return f"{which} is in force, hash of the run {applied.running}"
    return f"{which} is in place, hash of the files {applied.config_hash}; the next `run` uses it"


def _placed(args: argparse.Namespace, files: versions.Files, config_hash: str, what: str) -> int:
    """Exchanges the files, and keeps the old ones and the new; the new ones' number."""
    old = _kept(args)
    version = _version(args.state, config_hash, what, args.confirm.strip())
    versions.stage(args.state, files, version)
    versions.install(args.config, files, old)
    versions.keep(args.state, version.number)
    return version.number


def _in_force(args: argparse.Namespace, trader: Trader, accepted: ProposeConfig, record: Record) -> None:
    """The files are exchanged: the trader takes them up, or they go back."""
    earlier = _earlier(args, record.version)
    try:
        trader.take_up(accepted, record)
    except VetoedError:
        if earlier is not None:
            files = versions.read_files(versions.place(args.state, earlier.number))
            _placed(args, files, earlier.config_hash, f"back to {earlier.number}: vetoed")
        raise
    except VerbError as late:
        back = "" if earlier is None else f"; `trader config rollback {earlier.number}` takes it back"
        text = f"it is in place, but {late}: `trader status` and {args.state / 'logs'} say why{back}"
        raise VerbError(f"{text}, or stop the trader, roll back, run", late.code) from None


def _earlier(args: argparse.Namespace, number: int | None) -> Version | None:
    """What was in place before that version was; None: nothing was exchanged."""
    known = versions.kept(args.state)
    return None if number is None else next(v for v in reversed(known) if v.number < number)


def _say(args: argparse.Namespace, applied: Applied, text: str) -> None:
    if args.json:
        print_json(applied)
    elif applied.version is not None:
        show(applied)
    note(text)


def _valid(staged: Path, in_use: Path, *, under_way: bool) -> Loaded:
    problems, loaded = checked(staged, in_use, under_way=under_way)
    if loaded is None:
        for problem in problems:
            print(problem)
        raise VerbError(f"refused: {len(problems)} wrong; nothing was changed", Exit.REFUSED)
    return loaded


def _changes(counting: Path | None, new: Loaded) -> Comparison | None:
    """What changes by the files alone; None where those that count now do not load, so that nobody can say."""
    try:
        return None if counting is None else compared(load(counting), new)
    except ConfigError:
        return None


def _confirmed(found: Comparison | None, text: str) -> None:
    """Raises VerbError REFUSED: it loosens, or may, and nobody has said why that is right."""
    looser = loosening(found.differences) if found else ()
    if text.strip() or (found is not None and not looser):
        return
    said = "the files that count now cannot be read, so nobody can say what the new ones loosen"
    if found is not None:
        said = f"it loosens {', '.join(one.key for one in looser)}"
        for line in (*found.risk, *looser):
            note(str(line))
    raise VerbError(f"refused: {said}; say why with --confirm TEXT; nothing was changed", Exit.REFUSED)


def _kept(args: argparse.Namespace) -> Path:
    """Where the present files are kept; a new version unless they are the newest one."""
    known = versions.kept(args.state)
    if known and _in_place(args, known[-1].number):
        return versions.place(args.state, known[-1].number)
    version = _version(args.state, _hash(args.config), "found in place")
    versions.stage(args.state, versions.read_files(args.config), version)
    return versions.keep(args.state, version.number)


def _version(state: Path, config_hash: str, what: str, said: str = "") -> Version:
    known = versions.kept(state)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    number = known[-1].number + 1 if known else 1
    return Version(number=number, config_hash=config_hash, by=who(), at=at, what=what, said=said)


def _hash(folder: Path) -> str:
    try:
        return load(folder).policy.config_hash
    except ConfigError:
        return ""
