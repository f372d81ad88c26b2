"""What processes of a kernel know of each other without asking: epoch, pulses, the flag file, who lives."""

from collections.abc import Callable

import msgspec

from protocol.control import NO_LATCH

Heard = Callable[[], None]


class KillFile(msgspec.Struct, frozen=True, kw_only=True):
    """The file KILL_SWITCH: what stands in it, and since when."""

    text: str = ""
    at_ns: int = 0


class KernelPages:
    """Epoch page, pulse page, state directory and process table as plain numbers.

    The pumps of a desk are never late while its kernel steps it; from `stand` on they do not come round. `latch` and
    `watchdog_age_s` are what a desk without a watchdog is told; with one, the watchdog's own beat counts. `on_change`
    is called whenever a desk begins, arms, stands still, goes on, or ends.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self.latch = NO_LATCH
        self.watchdog_age_s = 0.0
        self.kill_file: KillFile | None = None
        self.root_alive = True
        self.desk_pid = 0
        self.desk_alive = False
        self.armed = False
        self.owner_pid = 0
        self.on_change: Heard | None = None
        self._still_ns: int | None = None
        self._beaten_ns: int | None = None

    # --- the epoch ------------------------------------------------------------------------------------------------

    def current(self) -> int:
        """The epoch now."""
        return self.epoch

    def step(self, writer: str) -> int:  # noqa: ARG002 - slots are for writers that do not wait for each other
        """Raise the epoch by one; returns it."""
        self.epoch += 1
        return self.epoch

    def restore(self, writer: str, at_least: int) -> None:  # noqa: ARG002 - as above
        """Raise the epoch to `at_least`, if it is below."""
        self.epoch = max(self.epoch, at_least)

    # --- the desk's pulse -----------------------------------------------------------------------------------------

    def age_ns(self, slot: str) -> int:  # noqa: ARG002 - there is one thread, and who asks here runs
        """No pump is late: what a woken desk sees, which has come round once."""
        return 0

    def pulse_age_ns(self, now_ns: int) -> int:
        """For how long the desk's pumps have not come round."""
        return 0 if self._still_ns is None else now_ns - self._still_ns

    def owned(self) -> bool:
        """Whether a desk that was armed once, and neither froze nor ended since, stands behind the orders."""
        return self.desk_alive and self._still_ns is None and self.owner_pid == self.desk_pid

    def begin(self, pid: int) -> None:
        """A desk takes the page over: not armed, its pulse fresh."""
        self.desk_pid, self.desk_alive, self.armed, self._still_ns = pid, True, False, None
        self._changed()

    def arm(self, armed: bool) -> None:
        """Whether the desk may place orders."""
        self.armed = armed
        if armed:
            self.owner_pid = self.desk_pid
        self._changed()

    def stand(self, now_ns: int) -> None:
        """The desk does not come round any more."""
        if self._still_ns is None:
            self._still_ns = now_ns
        self._changed()

    def go_on(self) -> None:
        """The desk comes round again."""
        self._still_ns = None
        self._changed()

    def end(self, now_ns: int) -> None:
        """The desk's process is gone."""
        self.desk_alive = False
        self.stand(now_ns)

    # --- the watchdog's beat --------------------------------------------------------------------------------------

    def beat(self, now_ns: int) -> None:
        """The watchdog comes round."""
        self._beaten_ns = now_ns

    def beat_age_s(self, now_ns: int) -> float:
        """Since when it has not; as told where there is none."""
        return self.watchdog_age_s if self._beaten_ns is None else (now_ns - self._beaten_ns) / 1e9

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()
