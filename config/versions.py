"""Numbered copies of the five files below STATE/config/, and their exchange in the configuration folder, all or none.

An exchange that was cut short leaves a mark in the folder. While it is there nothing loads (`interrupted`), for the
files may belong to two versions; `recover` puts the old ones back.
"""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

from config.files import FILES
from config.problems import Problem
from protocol.base import Value

NAMES = tuple(f"{which}.yaml" for which in FILES)
STORE = "config"
FACTS = "version.json"
MARK = ".applying"
_STAGED = "staged"
_NUMBER = re.compile(r"[0-9]{6}")

Files = Mapping[str, bytes]


class Version(Value, frozen=True, kw_only=True):
    """One kept version. `config_hash` is that of the files alone, empty where they do not load; `at` is UTC."""

    number: int
    config_hash: str
    by: str
    at: str
    what: str
    said: str = ""


class VersionError(Exception):
    """A version, or files to make one of, cannot be read; says which."""


def read_files(folder: Path) -> dict[str, bytes]:
    """The five files as they stand. Raises VersionError: one of them cannot be read."""
    try:
        return {name: (folder / name).read_bytes() for name in NAMES}
    except OSError as error:
        raise VersionError(f"{error.filename} cannot be read: {error.strerror}") from None


def kept(state: Path) -> tuple[Version, ...]:
    """Every version, oldest first. Raises VersionError: one of them is damaged."""
    folders = sorted(path for path in _store(state).glob("*") if _NUMBER.fullmatch(path.name))
    try:
        return tuple(msgspec.json.decode((path / FACTS).read_bytes(), type=Version) for path in folders)
    except (OSError, msgspec.MsgspecError) as error:
        raise VersionError(f"a version under {_store(state)} is damaged: {error}") from None


def place(state: Path, number: int) -> Path:
    """Where a version stands."""
    return _store(state) / f"{number:06}"


def stage(state: Path, files: Files, version: Version | None = None) -> Path:
    """Write files aside, so that what is checked is what is kept; with `version`, ready to be kept."""
    staged = _store(state) / _STAGED
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True, mode=0o700)
    for name in NAMES:
        _write(staged / name, files[name], 0o600)
    if version is not None:
        _write(staged / FACTS, msgspec.json.encode(version), 0o600)
    _sync(staged)
    return staged


def discard(state: Path) -> None:
    """Forget what was staged."""
    shutil.rmtree(_store(state) / _STAGED, ignore_errors=True)


def keep(state: Path, number: int) -> Path:
    """Make what was staged the version of that number."""
    target = place(state, number)
    (_store(state) / _STAGED).rename(target)
    _sync(target.parent)
    return target


def install(folder: Path, files: Files, old: Path) -> None:
    """Exchange the five files of a configuration folder. `old`: the version that holds what stands there now.

    Raises OSError: nothing was exchanged, or what was is back.
    """
    _prepare(folder, files)
    _write(folder / f"{MARK}.new", str(old).encode(), 0o600)
    (folder / f"{MARK}.new").replace(folder / MARK)
    _sync(folder)
    try:
        _exchange(folder)
    except OSError:
        recover(folder)
        raise


def interrupted(folder: Path) -> tuple[Problem, ...]:
    """What to say of a folder in which an exchange was cut short."""
    if not (folder / MARK).exists():
        return ()
    rule = "an apply was cut short and the files may be of two versions; `config recover` puts the old ones back"
    return (Problem(file=MARK, key="(file)", value="present", rule=rule),)


def recover(folder: Path) -> bool:
    """Put the old files back after an exchange that was cut short; False: there was none.

    Raises VersionError: the old files are gone.
    """
    mark = folder / MARK
    if not mark.exists():
        return False
    _prepare(folder, read_files(Path(mark.read_text())))
    _exchange(folder)
    return True


def _store(state: Path) -> Path:
    return state / STORE


def _prepare(folder: Path, files: Files) -> None:
    for name in NAMES:
        present = folder / name
        _write(_draft(folder, name), files[name], present.stat().st_mode & 0o777 if present.exists() else 0o644)


def _exchange(folder: Path) -> None:
    for name in NAMES:
        _draft(folder, name).replace(folder / name)
    _sync(folder)
    (folder / MARK).unlink()
    _sync(folder)


def _draft(folder: Path, name: str) -> Path:
    return folder / f".{name}.new"


def _write(path: Path, data: bytes, mode: int) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
