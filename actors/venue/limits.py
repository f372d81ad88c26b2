"""The venue's rate limits: token buckets, one per key for private requests and one per address for public ones."""

from collections import OrderedDict

import msgspec

SECOND_NS = 1_000_000_000
_KEPT = 1024


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """`per_s` requests a second in the long run, `burst` at once."""

    per_s: float
    burst: int


PRIVATE = Rate(per_s=30, burst=30)
PUBLIC = Rate(per_s=10, burst=15)
CONNECTIONS = Rate(per_s=8, burst=16)
MESSAGES = Rate(per_s=8, burst=16)
"""WebSocket messages without a token, per address."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a taken or refused token left: the `x-ratelimit-*` headers."""

    allowed: bool
    limit: int
    remaining: int
    reset_s: int

    def headers(self) -> dict[str, str]:
        """Header names as the official SDK reads them."""
        return {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(self.remaining),
            "x-ratelimit-reset": str(self.reset_s),
        }


class Buckets:
    """One bucket per holder (a key's name, an address); the longest unused ones are forgotten."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._held: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, holder: str, now_ns: int) -> Standing:
        """Take one token of `holder` if there is one."""
        tokens, at_ns = self._held.pop(holder, (float(self.rate.burst), now_ns))
        tokens = min(self.rate.burst, tokens + max(now_ns - at_ns, 0) / SECOND_NS * self.rate.per_s)
        allowed = tokens >= 1
        left = tokens - 1 if allowed else tokens
        self._held[holder] = (left, now_ns)
        if len(self._held) > _KEPT:
            self._held.popitem(last=False)
        wait_s = (self.rate.burst - left) / self.rate.per_s
        return Standing(allowed=allowed, limit=self.rate.burst, remaining=int(left), reset_s=int(wait_s) + 1)


class RateLimits:
    """Every bucket of the venue."""

    def __init__(self) -> None:
        self.private = Buckets(PRIVATE)
        self.public = Buckets(PUBLIC)
        self.connections = Buckets(CONNECTIONS)
        self.messages = Buckets(MESSAGES)

    def change(self, name: str, rate: Rate) -> None:
        """Give one kind of bucket another rate, all of them full. Raises ValueError: no such kind."""
        if name not in vars(self):
            raise ValueError(f"no limit is called {name!r}")
        setattr(self, name, Buckets(rate))
