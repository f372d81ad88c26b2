"""Keeps an exchange's state in a file: every change before anybody hears of it, the whole now and then."""

from collections.abc import Sequence
from pathlib import Path

from actors.venue.core import Exchange
from actors.venue.events import VenueEvent
from actors.venue.persistence import changes, restore, save
from actors.venue.state_file import StateFile

LOG_BYTES = 16 * 1024 * 1024
"""Changes beyond this, and beyond the whole state's own size, are folded into a new whole state."""


class Keeper:
    """Keeps an exchange's state in a file."""

    def __init__(self, exchange: Exchange, file: StateFile) -> None:
        self._exchange = exchange
        self._file = file
        self._complete = False
        self._settings: object = None
        self._first_fill = 0
        self._whole_bytes = 0

    @classmethod
    def open(cls, path: Path, exchange: Exchange, now_ns: int) -> "Keeper":
        """Restore what the file at `path` knows, if there is one, and keep it from here on.

        Raises:
            CorruptStateError: the file is damaged.
            OSError: it cannot be read or written, or another venue has it.
        """
        file = StateFile(path)
        try:
            frames = file.load()
            if frames:
                restore(exchange, frames[0], now_ns, frames[1:])
            keeper = cls(exchange, file)
            keeper.keep_all()
        except BaseException:
            file.close()
            raise
        return keeper

    def keep(self, events: Sequence[VenueEvent]) -> None:
        """Write what the drained `events` changed. To be called before anybody hears of them. Raises OSError."""
        if not self._complete or self._settings_now() != self._settings:
            return self.keep_all()
        change = changes(self._exchange, events, self._first_fill)
        if change is None:
            return None
        if self._file.size > self._whole_bytes + max(LOG_BYTES, self._whole_bytes):
            return self.keep_all()
        self._complete = False  # until it is written: a failure leaves the file behind the exchange
        self._file.append(change)
        self._first_fill = self._exchange.state.orders.counters()[1]
        self._complete = True
        return None

    def keep_all(self) -> None:
        """Write everything. Raises OSError."""
        self._file.replace(save(self._exchange))
        self._settings = self._settings_now()
        self._first_fill = self._exchange.state.orders.counters()[1]
        self._whole_bytes = self._file.size
        self._complete = True

    def close(self) -> None:
        """Write everything and let go of the file. Raises OSError."""
        try:
            self.keep_all()
        finally:
            self._file.close()

    def _settings_now(self) -> object:
        # What an operator sets, seldom, makes no event: it is compared. Both parts are replaced, never changed.
        return self._exchange.state.altered, self._exchange.state.fees_set
