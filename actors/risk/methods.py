"""The size of an entry before caps (risk.md §9): fixed, by risk parity, or a quarter of Kelly's fraction."""

from decimal import Decimal

from actors.risk.limits import Limits
from actors.risk.state import Closed
from protocol.money import ONE, PCT, ZERO
from protocol.policy import SizingMethod
from protocol.strategy import Regime, TradeProposal

KELLY_TRADES = 50
KELLY_SHARE = Decimal("0.25")


def requested_usd(
    asked: TradeProposal, nav_usd: Decimal, regime: Regime, closed: Closed, limits: Limits
) -> tuple[Decimal, str]:
    """How much an entry asks for, USD, and the method that said so.

    Risk parity is what the strategy proposes: stop distance, volatility, regime and its caution are in it already.
    """
    share, proposed_usd = limits.row(regime).multiplier * asked.size_share, nav_usd * asked.notional_pct / PCT
    match limits.sizing:
        case SizingMethod.FIXED:
            return limits.fixed_size_usd * share, "fixed"
        case SizingMethod.KELLY if closed.count >= KELLY_TRADES:
            return nav_usd * kelly(closed) * share, f"kelly over {closed.count} trades"
        case SizingMethod.KELLY:
            return proposed_usd, f"risk_parity: kelly needs {KELLY_TRADES} closed trades, there are {closed.count}"
    return proposed_usd, "risk_parity"


def kelly(closed: Closed) -> Decimal:
    """A quarter of Kelly's fraction w - (1 - w) / b, never below zero: a share of NAV, 0 to 0.25.

    w is the share of trades that gained, b the mean gain over the mean loss. Without a gain there is nothing to bet
    on; without a loss worth money, b has no bound and the fraction is w.
    """
    if not closed.wins:
        return ZERO
    won = Decimal(closed.wins) / closed.count
    if closed.lost_usd <= ZERO:
        return won * KELLY_SHARE
    ratio = (closed.won_usd / closed.wins) / (closed.lost_usd / closed.losses)
    return max(won - (ONE - won) / ratio, ZERO) * KELLY_SHARE
