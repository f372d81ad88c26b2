"""What the composition of several processes shares: the launch file, the key, a signer for subscriptions."""

import asyncio
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from actors.runtime.key_file import read_key
from actors.runtime.role import Clock
from protocol import launch
from protocol.base import Message
from protocol.coinbase.auth import sign_ws
from protocol.coinbase.keys import SigningKey
from protocol.instants import SECOND_NS
from protocol.launch import Launch
from protocol.lifecycle import ActorExited

LAUNCH_FILE = "launch.json"
ACCEPTED_FILE = "config.accepted"
ORPHAN_S = 0.5


def launch_of(state_dir: Path) -> Launch:
    """What the root wrote for its children."""
    return launch.decode((state_dir / LAUNCH_FILE).read_bytes())


def accept(state_dir: Path, config_hash: str) -> None:
    """Leave word for the root: the actors of this desk accepted that configuration."""
    put(state_dir / ACCEPTED_FILE, config_hash.encode())


def accepted(state_dir: Path) -> str:
    """The configuration that the last desk made way for, told once; empty: none."""
    path = state_dir / ACCEPTED_FILE
    try:
        said = path.read_text()
        path.unlink()
    except OSError:
        return ""
    return said


def put(target: Path, data: bytes) -> None:
    """Replace a file in one step: whoever reads it reads the old or the new one."""
    draft = target.with_name(f"{target.name}.new")
    draft.write_bytes(data)
    draft.replace(target)


def key_of(launched: Launch) -> SigningKey | None:
    """The key of this run; None where none is loaded. Raises KeyFileError."""
    return read_key(Path(launched.key_file)) if launched.key_file else None


def tell_crash(tell: Callable[[str, Message], object], exit_: ActorExited) -> None:
    """An actor ended unasked: risk counts; the order desk hears of an order, for what went with it."""
    for reader in ("risk", "orders") if exit_.name.startswith("order:") else ("risk",):
        tell(reader, exit_)


def root_of(state_dir: Path) -> int:
    """The root process by the lock it holds: it may have died before this process could ask who its parent is.

    Without a root, as where one process is measured alone, the parent.
    """
    try:
        return int((state_dir / "lock").read_text())
    except (OSError, ValueError):
        return os.getppid()


async def orphaned(parent: int) -> None:
    """Return when the process `parent`, which started this one, is gone: nobody would restart or stop us any more."""
    while os.getppid() == parent:  # noqa: ASYNC110 - the kernel tells no event of a parent's death
        await asyncio.sleep(ORPHAN_S)


def signer(key: SigningKey, clock: Clock) -> Callable[[], str]:
    """A fresh token for each WebSocket message."""

    def sign() -> str:
        return sign_ws(key, now_s=clock.now_ns() // SECOND_NS, nonce=secrets.token_hex(32))

    return sign


def seed_of(launch: Launch, started_ns: int) -> int:
    """What chance begins from in this run: the launch's own seed, and its start, so that no two runs keep step (SCH1).

    A run in the kernel takes the seed alone, for it has to repeat.
    """
    return launch.seed ^ started_ns
