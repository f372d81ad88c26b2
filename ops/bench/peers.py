"""Environments of peers: what others wrote, installed beside the trader and never into it.

Each peer has its pinned and hashed lock in this folder and its own virtual environment in the user's cache directory,
made on first use and kept until the lock changes.
"""

import os
import subprocess
import sys
from pathlib import Path

from ops.bootstrap import explain
from ops.output import note

FOLDER = Path(__file__).resolve().parent
PIP = ("-I", "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off")


class NotInstalled(Exception):  # noqa: N818 - a state of this machine, not a fault
    """The peer cannot be had here; the text says why."""


def cache() -> Path:
    """Where environments that are not the trader's own stand."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "247trader"


def interpreter(peer: str) -> Path:
    """The Python that has `peer`, made if need be.

    Raises:
        NotInstalled: no network, no wheel and no compiler, no room: whatever pip or the disk said.
    """
    lock = FOLDER / f"{peer}.lock"
    return environment(f"peer-{peer}", lock.read_bytes(), (peer, "uvloop"), "--require-hashes", "-r", lock)


def environment(name: str, holds: bytes, modules: tuple[str, ...], *requirements: str | Path) -> Path:
    """The Python of an environment called `name`, made anew where it was made for something else than `holds`.

    A cache is what a machine may clear, in part too: what cannot import `modules` any more is made anew as well.

    Args:
        name: of its folder in the cache.
        holds: what stands for its contents.
        modules: what it is for.
        requirements: what pip is to install.

    Raises:
        NotInstalled: as `interpreter`.
    """
    folder = cache() / name
    stamp = folder / "holds.stamp"
    if not (stamp.is_file() and stamp.read_bytes() == holds and _imports(folder, modules)):
        note(f"setting up {name} in an environment of its own (once; it may have to be compiled)")
        _make(folder, requirements)
        stamp.write_bytes(holds)
    return folder / "bin" / "python"


def _imports(folder: Path, modules: tuple[str, ...]) -> bool:
    command = (folder / "bin" / "python", "-I", "-c", f"import {', '.join(modules)}")
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _make(folder: Path, requirements: tuple[str | Path, ...]) -> None:
    python = folder / "bin" / "python"
    for command in ((sys.executable, "-m", "venv", "--clear", folder), (python, *PIP, *requirements)):
        try:
            made = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        except OSError as error:
            raise NotInstalled(str(error)) from error
        if made.returncode != 0:
            raise NotInstalled(explain(made.stdout + made.stderr))
