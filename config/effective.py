"""What a configuration can lose at most: the few figures that several keys make together.

A change of one key may change none of them, and a change of several keys one: so a candidate is told by these first.
"""

from decimal import Decimal

from protocol.base import Value
from protocol.money import PCT, plain
from protocol.policy import Policy, RegimeRow

_HUNDREDTH = Decimal("0.01")


class Figure(Value, frozen=True, kw_only=True):
    """One of them, before and after a change."""

    name: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.name}: {self.before} -> {self.after}"


def moved(old: Policy, new: Policy) -> tuple[Figure, ...]:
    """The figures that differ."""
    before, after = _figures(old), _figures(new)
    return tuple(
        Figure(name=name, before=text, after=after[name]) for name, text in before.items() if text != after[name]
    )


def _figures(policy: Policy) -> dict[str, str]:
    risk = policy.risk
    position = max(_largest_pct(policy, tier) for tier in range(3))
    slots = min(risk.max_open_positions, max(row.max_positions for row in policy.regime.rows))
    return {
        "max exposure": _pct(risk.max_total_at_risk_pct),
        **{f"max position, tier {tier + 1}": _pct(_largest_pct(policy, tier)) for tier in range(3)},
        "max positions": str(slots),
        "max exposure in full slots": _pct(min(slots * position, risk.max_total_at_risk_pct)),
        "max loss of a position at its stop": _pct(position * policy.exits.default_stop_loss_pct / PCT),
        "daily stop": _pct(risk.daily_stop_pnl_pct),
        "weekly stop": _pct(risk.weekly_stop_pnl_pct),
        "max drawdown": _pct(risk.max_drawdown_pct),
        "max entries": f"{risk.max_trades_per_hour} an hour, {risk.max_trades_per_day} a day",
    }


def _largest_pct(policy: Policy, tier: int) -> Decimal:
    """What one position of a tier may reach in the regime that allows most, % of NAV (risk.md §6)."""
    return max(_cap_pct(policy, tier, row) for row in policy.regime.rows)


def _cap_pct(policy: Policy, tier: int, row: RegimeRow) -> Decimal:
    universe, multiplier = policy.universe, row.position_size_multiplier
    allocation = universe.tiers[tier].max_allocation_pct * universe.scale(row.regime).allocation_mults[tier]
    asset = policy.risk.max_per_asset_pct * min(multiplier, Decimal(1))
    return min(policy.risk.tier_cap_pct[tier] * multiplier, asset, allocation)


def _pct(value: Decimal) -> str:
    return f"{plain(value.quantize(_HUNDREDTH).normalize())} %"
