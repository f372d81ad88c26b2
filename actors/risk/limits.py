"""The limits that risk holds everything against, resolved from the policy. Percentages of NAV unless said otherwise."""

from decimal import Decimal

from protocol.base import Value
from protocol.instants import SECOND_NS
from protocol.money import PCT
from protocol.policy import SizingMethod
from protocol.strategy import Regime


class RegimeRow(Value, frozen=True, kw_only=True):
    """One row of the regime table: size multiplier, open-position bound, and the most one asset of tiers 1, 2, 3 holds.

    Allocations are per cent of NAV, the regime's tier multipliers applied.
    """

    regime: Regime
    multiplier: Decimal
    max_positions: int
    allocations_pct: tuple[Decimal, Decimal, Decimal] = (PCT, PCT, PCT)


class Limits(Value, frozen=True, kw_only=True):
    """Every number the rules use. `tier_caps_pct` are for tiers 1, 2, 3.

    By product, `themes` has whatever is followed, `tiers` what may be bought.
    `reference` is the product whose staleness stops a whole batch. `bump_to_min`: a smaller request becomes the
    minimum. `adds_when_full`: adds pass while every slot is taken; `max_pyramids` positions may have been added to at
    one time; `adds_first`: of proposals of like conviction. `orders_take_slots`: working purchases do. `venue_fees`:
    the venue's rates hold once they are known, never below the floors. `tier1_ceiling_pct`: the largest position in
    tier 1 of a neutral market; `least_entries_pct`: the smallest entries of every tier and regime. `live_enabled`
    False: the mode is LIVE, and governance does not allow it any more.
    """

    max_total_at_risk_pct: Decimal
    max_position_size_pct: Decimal
    max_per_asset_pct: Decimal
    min_position_size_pct: Decimal
    tier1_ceiling_pct: Decimal
    least_entries_pct: tuple[Decimal, ...]
    tier_caps_pct: tuple[Decimal, Decimal, Decimal]
    theme_caps_pct: tuple[tuple[str, Decimal], ...]
    other_theme_cap_pct: Decimal
    strategy_budgets_pct: tuple[tuple[str, Decimal], ...]
    regimes: tuple[RegimeRow, ...]
    themes: tuple[tuple[str, str], ...]
    tiers: tuple[tuple[str, int], ...]
    max_open_positions: int
    max_new_per_cycle: int
    min_notional_usd: Decimal
    dust_usd: Decimal
    daily_stop_pct: Decimal
    weekly_stop_pct: Decimal
    max_drawdown_pct: Decimal
    trades_per_day: int
    trades_per_hour: int
    new_per_hour: int
    spacing_ns: int
    symbol_spacing_ns: int
    loss_streak: int
    loss_pause_ns: int
    cooldown_fill_ns: int
    cooldown_win_ns: int
    cooldown_loss_ns: int
    cooldown_stop_ns: int
    cooldown_failed_ns: int
    count_external: bool
    external_buffer_pct: Decimal
    quote_age_ns: int
    candle_age_ns: int
    transport_lag_ns: int
    reference: str = "BTC-USD"
    max_spread_bps: Decimal
    max_move_sigma: Decimal
    max_stop_loss_pct: Decimal
    depth_multiple: Decimal
    max_slippage_bps: Decimal
    max_api_errors: int
    api_error_window_ns: int
    max_volatility_pct: float
    min_eligible: int
    reject_burst: int = 3
    reject_window_ns: int = 600 * SECOND_NS
    crash_burst: int = 2
    crash_window_ns: int = 300 * SECOND_NS
    clock_limit_ns: int = 150_000_000
    protective_exits_when_halted: bool = True
    live_enabled: bool = True
    sizing: SizingMethod = SizingMethod.RISK_PARITY
    fixed_size_usd: Decimal
    min_order_usd: Decimal
    max_order_usd: Decimal
    bump_to_min: bool = False
    pyramiding: bool = False
    pyramid_cooldown_ns: int
    max_adds_per_day: int
    adds_when_full: bool = False
    max_pyramids: int = 0
    adds_first: bool = True
    orders_take_slots: bool = True
    canary_maker_only: bool = True
    venue_fees: bool = True
    maker_fee_bps: Decimal
    taker_fee_bps: Decimal
    maker_floor_bps: Decimal
    taker_floor_bps: Decimal
    maker_ttls_s: tuple[float, ...]
    request_ns: int = 3 * SECOND_NS
    exit_at_market: bool = False
    exit_first_bps: Decimal
    exit_retry_bps: Decimal
    exit_retry_steps: int

    def row(self, regime: Regime) -> RegimeRow:
        """The table's row for a regime. A regime without a row allows nothing."""
        nothing = RegimeRow(regime=regime, multiplier=Decimal(0), max_positions=0)
        return next((row for row in self.regimes if row.regime is regime), nothing)

    def theme(self, product_id: str) -> str:
        """The theme of a product; OTHER where none is named."""
        return dict(self.themes).get(product_id, "OTHER")

    def theme_of_asset(self, asset: str) -> str:
        """The theme of a coin that is held in itself: that of its first product that has one."""
        return next((theme for product, theme in self.themes if product.partition("-")[0] == asset), "OTHER")

    def tier(self, product_id: str) -> int:
        """The tier of a product; the strictest one where none is named."""
        return dict(self.tiers).get(product_id, 3)

    def theme_cap_pct(self, theme: str) -> Decimal:
        """The cap of a theme."""
        return dict(self.theme_caps_pct).get(theme, self.other_theme_cap_pct)
