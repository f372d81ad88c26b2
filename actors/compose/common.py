"""What the composition of several processes shares: the launch file, the key, a signer for subscriptions."""

import asyncio
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from actors.runtime.redaction import hide
from actors.runtime.role import Clock
from protocol import launch
from protocol.coinbase.auth import sign_ws
from protocol.coinbase.keys import SigningKey, load_key_file
from protocol.instants import SECOND_NS
from protocol.launch import Launch

LAUNCH_FILE = "launch.json"
ORPHAN_S = 0.5


def launch_of(state_dir: Path) -> Launch:
    """What the root wrote for its children."""
    return launch.decode((state_dir / LAUNCH_FILE).read_bytes())


def key_of(launched: Launch) -> SigningKey | None:
    """The key of this run; None where none is loaded. Its text is hidden from every log before it is parsed."""
    if not launched.key_file:
        return None
    text = Path(launched.key_file).read_text()
    hide(text)
    return load_key_file(text)


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
