"""Whether the files still say what runs (requirements.md, config hash).

Looked at beside the desk, which has orders to think of. What it means for trading is risk's to say: reducing, until a
desk starts that follows them (risk.md §7).
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from actors.runtime import control_frames
from actors.runtime.logging import get
from protocol.control import DriftFound

EVERY_S = 15.0
SETTLE_S = 1.0
ANSWER_S = 5.0
PATIENCE = 4
"""An exchange waits for a new desk half a minute; who holds its lock for longer hangs, and the files count again."""


class DriftWatch:
    """Hashes the configuration again and again, and tells the desk whenever it is not the one that runs.

    Args:
        running: hash of what runs.
        found: hashes what the files say now; some word that is no hash where they are refused.
        desk: the desk's control socket.
        every_s: time between two looks. A desk that was restarted, or was deaf, hears it at the next one.
        settle_s: a file that is just being written is looked at again after this time before anything is said.
        exchanging: whether an exchange of files is under way, which is no drift; believed for `PATIENCE` looks.
    """

    def __init__(
        self,
        running: str,
        found: Callable[[], str],
        desk: Path,
        *,
        every_s: float = EVERY_S,
        settle_s: float = SETTLE_S,
        exchanging: Callable[[], bool] = lambda: False,
    ) -> None:
        self._running = running
        self._found = found
        self._desk = desk
        self._every_s = every_s
        self._settle_s = settle_s
        self._exchanging = exchanging
        self._put_off = 0
        self._last = running
        self._log = get("root")

    def follow(self, running: str) -> None:
        """From here on this is what runs."""
        self._running = self._last = running

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            await self.look()

    async def look(self) -> bool:
        """One look; whether the files still agree."""
        found = await self._settled()
        agrees = found == self._running
        self._put_off = 0 if agrees else self._put_off + 1
        if not agrees and self._put_off <= PATIENCE and await asyncio.to_thread(self._exchanging):
            return False
        if found != self._last:
            say = self._log.info if agrees else self._log.critical
            say("config_agrees_again" if agrees else "config_drift", running=self._running, found=found)
        self._last = found
        if not agrees:
            await self._tell(found)
        return agrees

    async def _settled(self) -> str:
        """What is found; where that is not what runs, once more after a while."""
        found = await asyncio.to_thread(self._found)
        if found == self._running:
            return found
        await asyncio.sleep(self._settle_s)
        return await asyncio.to_thread(self._found)

    async def _tell(self, found: str) -> None:
        request = DriftFound(by="root", running=self._running, found=found)
        try:
            await asyncio.to_thread(control_frames.ask, self._desk, request, ANSWER_S)
        except (OSError, ValueError) as error:
            self._log.warning("drift_unheard", error=str(error))
