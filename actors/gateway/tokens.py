"""The gateway's tokens: signed when needed, and one held ready for the next place request.

Signing costs an order as much time as the socket does, so it happens before there is an order. Every token is still
used once, with a nonce of its own (auth.md §2). One held ready ends earlier than one signed at the send would, never
later: what counts on a signature's end (an unresolved order, a sweep) stays on the safe side.
"""

import asyncio
import secrets
from collections.abc import Callable

from protocol.coinbase.auth import sign_rest
from protocol.coinbase.endpoints import Endpoint
from protocol.coinbase.keys import SigningKey
from protocol.instants import SECOND_NS

RENEWALS_PER_LIFE = 24
"""A token held ready is replaced so often that a request loses at most a 24th of its life: 5 s of 120."""
AGAIN_S = 0.05
"""After one was used: late enough for its request to have left."""


class Tokens:
    """Signs for one key.

    Args:
        key: None: public calls only.
        host: as requested, with its port where that is not the scheme's own.
        now_ns: our clock.
        life_s: from start to expiry.
    """

    def __init__(self, key: SigningKey | None, host: str, now_ns: Callable[[], int], life_s: int) -> None:
        self._key = key
        self._host = host
        self._now_ns = now_ns
        self._life_s = life_s
        self._offset_ns = 0
        self._ready: tuple[str, int] | None = None
        self._renewal: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Hold one ready from now on. Call it on the loop."""
        if self._key is not None:
            self._ready = self.order_token(), self._now_ns()
            self._renew_in(self._life_s / RENEWALS_PER_LIFE)

    def close(self) -> None:
        """Hold none any more."""
        self._ready = None
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None  # nothing renews from now on, whoever still takes or dates

    def date(self, offset_ns: int) -> None:
        """Sign with our clock plus `offset_ns` from now on; what was signed before is not used any more."""
        self._offset_ns, self._ready = offset_ns, None
        if self._renewal is not None:
            self._renew_in(AGAIN_S)

    def take(self) -> str:
        """The token of one place request: the one held ready, or one signed now. Raises LookupError: no key."""
        ready, self._ready = self._ready, None
        if self._renewal is not None:
            self._renew_in(AGAIN_S)
        oldest_ns = self._now_ns() - 2 * self._life_s * SECOND_NS // RENEWALS_PER_LIFE
        return ready[0] if ready is not None and ready[1] >= oldest_ns else self.order_token()

    def order_token(self) -> str:
        """A token for a place request, signed now."""
        return self.sign(Endpoint.CREATE_ORDER.method, Endpoint.CREATE_ORDER.path())

    def sign(self, method: str, path: str) -> str:
        """A token for one request. Raises LookupError: no key."""
        if self._key is None:
            raise LookupError("no key is loaded in this mode")
        now_s = (self._now_ns() + self._offset_ns) // SECOND_NS
        nonce = secrets.token_hex(32)
        return sign_rest(self._key, method, self._host, path, now_s=now_s, nonce=nonce, life_s=self._life_s)

    def _renew_in(self, delay_s: float) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
        self._renewal = asyncio.get_running_loop().call_later(delay_s, self.start)
