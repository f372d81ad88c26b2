"""Token buckets, one per lane (configuration.md §3 `rate_limits`). Pure: now goes in, the next moment comes out."""

from enum import Enum

from protocol.base import Value
from protocol.instants import SECOND_NS


class Lane(Enum):
    """Which budget a call draws on: no kind of call can starve a more urgent one."""

    PUBLIC = "public"
    PRIVATE = "private"
    EXIT_CANCEL = "exit_cancel"
    DRILL = "drill"


class Bucket(Value, frozen=True, kw_only=True):
    """`tokens` available at `at_ns`; refilled at `rate` per second up to `burst`."""

    rate: float
    burst: float
    tokens: float
    at_ns: int = 0


def bucket(rate: float, burst: float, tokens: float | None = None) -> Bucket:
    """A bucket that is full, or has `tokens` to begin with."""
    return Bucket(rate=rate, burst=burst, tokens=burst if tokens is None else min(burst, tokens))


def take(held: Bucket, now_ns: int) -> tuple[Bucket, bool]:
    """Take one token, if there is one."""
    filled = _filled(held, now_ns)
    if filled.tokens < 1.0:
        return filled, False
    return Bucket(rate=held.rate, burst=held.burst, tokens=filled.tokens - 1.0, at_ns=now_ns), True


def ready_ns(held: Bucket, now_ns: int) -> int:
    """When the next token will be there."""
    missing = 1.0 - _filled(held, now_ns).tokens
    return now_ns if missing <= 0 else now_ns + int(missing / held.rate * SECOND_NS) + 1


def _filled(held: Bucket, now_ns: int) -> Bucket:
    if held.at_ns == 0:
        return Bucket(rate=held.rate, burst=held.burst, tokens=held.tokens, at_ns=now_ns)
    gained = (now_ns - held.at_ns) / SECOND_NS * held.rate
    return Bucket(rate=held.rate, burst=held.burst, tokens=min(held.burst, held.tokens + gained), at_ns=now_ns)
