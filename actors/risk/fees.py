"""The one pair of fee rates (X3): the venue's where it is asked, never below the constants of the policy."""

from decimal import Decimal

from msgspec.structs import replace

from actors.risk.limits import Limits
from protocol.money import bps_of
from protocol.portfolio import FillApplied
from protocol.venue import FeesKnown

_ROUNDING_USD = Decimal("0.01")
_ROUNDING_SHARE = Decimal("0.02")


def learned(limits: Limits, known: FeesKnown) -> Limits:
    """The limits under the venue's rates; unchanged where the policy holds to its constants."""
    if not limits.venue_fees:
        return limits
    return replace(
        limits,
        maker_fee_bps=max(known.maker_bps, limits.maker_floor_bps),
        taker_fee_bps=max(known.taker_bps, limits.taker_floor_bps),
    )


def changed(before: FeesKnown | None, known: FeesKnown, limits: Limits) -> bool:
    """Whether the venue has other rates than the last time it was asked; at first, than the policy's constants."""
    rates = (limits.maker_floor_bps, limits.taker_floor_bps) if before is None else (before.maker_bps, before.taker_bps)
    return rates != (known.maker_bps, known.taker_bps)


def disagrees(known: FeesKnown | None, fill: FillApplied) -> bool:
    """Whether a fill's commission is not what the known rates make of it: they have moved since."""
    if known is None:
        return False
    expected = bps_of(fill.value, known.maker_bps if fill.maker else known.taker_bps)
    return abs(fill.fee - expected) > max(_ROUNDING_USD, expected * _ROUNDING_SHARE)
