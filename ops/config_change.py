"""Exchanging the configuration: checked whole, loosening confirmed, old files kept, never under a running desk."""

import argparse
import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from actors.compose.leftovers import holders
from config import versions
from config.diff import Difference, differences, loosening
from config.effective import Figure, moved
from config.load import Loaded, load
from config.problems import ConfigError, Problem
from config.versions import Version
from ops.desk import who
from ops.exits import Exit, VerbError
from ops.output import note, print_json, print_table
from protocol.base import Value

_DESK_LOCK = "desk.lock"


class Comparison(Value, frozen=True, kw_only=True):
    """What a candidate changes: what may be lost at most, and key by key."""

    risk: tuple[Figure, ...] = ()
    differences: tuple[Difference, ...] = ()


class Applied(Comparison, frozen=True, kw_only=True):
    """What `apply` and `rollback` say; `version` is None where the files were the same."""

    version: int | None = None
    config_hash: str


def apply(args: argparse.Namespace) -> int:
    """Puts a candidate in the place of the five files."""
    with _alone(args.state):
        _mended(args.config)
        return _exchange(args, versions.read_files(args.folder), f"apply {args.folder}")


def rollback(args: argparse.Namespace) -> int:
    """Puts a kept version back, as a new version."""
    with _alone(args.state):
        _mended(args.config)
        known = [version.number for version in versions.kept(args.state)]
        number = args.number if args.number is not None else _last(args, known)
        if number not in known:
            there = ", ".join(map(str, known)) or "none"
            raise VerbError(f"there is no version {number}; there are: {there}", Exit.USAGE)
        return _exchange(args, versions.read_files(versions.place(args.state, number)), f"rollback {number}")


def recover(args: argparse.Namespace) -> int:
    """Ends an exchange that was cut short."""
    with _alone(args.state):
        if not _mended(args.config):
            note("nothing was cut short")
    return Exit.DONE


def checked(folder: Path, in_use: Path) -> tuple[list[Problem], Loaded | None]:
    """All that is wrong with a folder, alone and below each environment profile; its files alone when nothing is."""
    beside = folder if (folder / "profiles").is_dir() else in_use
    names = (None, *sorted(path.stem for path in (beside / "profiles").glob("*.yaml")))
    problems: dict[Problem, None] = {}
    alone = _loaded(problems, folder, None, beside, {})
    for name in names:
        _loaded(problems, folder, name, beside, os.environ)
    return list(problems), None if problems else alone


def _loaded(
    problems: dict[Problem, None], folder: Path, profile: str | None, beside: Path, environ: Mapping[str, str]
) -> Loaded | None:
    """Loads; what is wrong goes to `problems`, in order, each once."""
    try:
        return load(folder, profile=profile, environ=environ, profiles_from=beside)
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
def _alone(state: Path) -> Iterator[None]:
    """Holds the installation's lock, so that no run starts meanwhile. Raises VerbError REFUSED: one runs."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (state / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise VerbError(f"the trader of {state} runs: stop it first (`trader stop`)", Exit.REFUSED) from None
        if holders(state / _DESK_LOCK):
            raise VerbError(f"a desk of {state} outlived its root and is leaving: try again in a moment", Exit.REFUSED)
        yield


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


def _exchange(args: argparse.Namespace, files: versions.Files, what: str) -> int:
    if files == versions.read_files(args.config):
        _say(args, Applied(config_hash=_hash(args.config)), "nothing to change: the files are the same")
        return Exit.DONE
    try:
        new = _valid(versions.stage(args.state, files), args.config)
        found = _changes(args.config, new)
        _confirmed(found, args.confirm)
        old = _kept(args)
        version = _version(args.state, new.policy.config_hash, what, args.confirm.strip())
        versions.stage(args.state, files, version)
        versions.install(args.config, files, old)
        versions.keep(args.state, version.number)
    finally:
        versions.discard(args.state)
    found = found or Comparison()
    applied = Applied(
        risk=found.risk,
        differences=found.differences,
        version=version.number,
        config_hash=version.config_hash,
    )
    text = f"version {version.number} is in place, hash of the files {version.config_hash}; the next `run` uses it"
    _say(args, applied, text)
    return Exit.DONE


def _say(args: argparse.Namespace, applied: Applied, text: str) -> None:
    if args.json:
        print_json(applied)
    elif applied.version is not None:
        show(applied)
    note(text)


def _valid(staged: Path, in_use: Path) -> Loaded:
    problems, loaded = checked(staged, in_use)
    if loaded is None:
        for problem in problems:
            print(problem)
        raise VerbError(f"refused: {len(problems)} wrong; nothing was changed", Exit.REFUSED)
    return loaded


def _changes(in_use: Path, new: Loaded) -> Comparison | None:
    """What changes by the files alone; None where the present ones do not load, so that nobody can say."""
    try:
        return compared(load(in_use), new)
    except ConfigError:
        return None


def _confirmed(found: Comparison | None, text: str) -> None:
    """Raises VerbError REFUSED: it loosens, or may, and nobody has said why that is right."""
    looser = loosening(found.differences) if found else ()
    if text.strip() or (found is not None and not looser):
        return
    said = "the present files do not load, so nobody can say what the new ones loosen"
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
