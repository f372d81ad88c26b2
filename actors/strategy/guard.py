"""An end to a strategy that never ends: the kernel itself kills this process, and its successor knows whom to blame.

No thread could do it: a loop inside one C call never lets another thread run. A timer whose signal has no handler ends
the process wherever it is. What ran is written to a mapped file first, which outlives the process.
"""

import mmap
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = 256
WALL_MULTIPLE = 10
"""Against what waits instead of thinking: so many budgets of ordinary time. A busy machine is no endless loop."""


class Guard:
    """Watches one strategy at a time."""

    def __init__(self, page: Path) -> None:
        """Open the page at `page`; what stands in it was running when the process before this one ended."""
        page.parent.mkdir(parents=True, exist_ok=True)
        with page.open("a+b") as file:
            file.truncate(SIZE)
            self._page = mmap.mmap(file.fileno(), SIZE)
        self.accused = self._page[:].rstrip(b"\0").decode(errors="replace")
        self._write("")
        for number in (signal.SIGPROF, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)

    @contextmanager
    def watch(self, name: str, budget_s: float) -> Iterator[None]:
        """Kill this process when the block uses more than `budget_s` of processor time, or ten times that of any."""
        self._write(name)
        signal.setitimer(signal.ITIMER_PROF, budget_s)
        signal.setitimer(signal.ITIMER_REAL, budget_s * WALL_MULTIPLE)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._write("")

    def close(self) -> None:
        """Let go of the page."""
        self._page.close()

    def _write(self, name: str) -> None:
        self._page[:] = name.encode()[:SIZE].ljust(SIZE, b"\0")
