"""What must hold between keys, in one file or across files. One small function a rule, all tabled (`RULES`).

Numbers are those of configuration.md §7. A rule says nothing about keys whose code does not exist.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal

from config.coherence_discovery import DISCOVERY_RULES, discovers
from config.coherence_strategy import STRATEGY_RULES
from config.files import Config
from config.problems import Problem, shown
from protocol.base import Value
from protocol.money import PCT, plain
from protocol.policy import Mode, Policy
from protocol.policy_universe import OTHER_THEME

Rule = Callable[[Config], Iterator[Problem]]
VENUE_SIGNED_RATE = 30
LEADER = "BTC-USD"
_LEAST_SWEEP = 5
_REFRESHES_H = (1, 24, 168)
_WARN_AT_RISK_PCT = 50


def problems(config: Config, *, under_way: bool = False) -> tuple[Problem, ...]:
    """Every rule that is broken; nothing may start then.

    Args:
        config: checked.
        under_way: for a run that trades already: people may take `live_trading_enabled` from it, and it buys no more.
    """
    rules = RULES if under_way else (*RULES, _governed)
    return tuple(problem for rule in rules for problem in rule(config))


def warnings(config: Config) -> tuple[Problem, ...]:
    """What is allowed but should be known."""
    risk = config.policy.risk
    if risk.max_total_at_risk_pct <= _WARN_AT_RISK_PCT or config.app.app.mode is Mode.LIVE:
        return ()
    return (_policy("risk.max_total_at_risk_pct", risk.max_total_at_risk_pct, "rule 23: over 50 %, LIVE refuses it"),)


def run_refusal(mode: Mode, venue: str) -> Problem | None:
    """Why a mode may not run on a venue, `embedded` or `coinbase` (requirements.md §3); None when it may.

    PAPER on `coinbase` means the mirror: the embedded venue with Coinbase's public market.
    """
    if venue not in {"embedded", "coinbase"}:
        return Problem(file="run", key="venue", value=shown(venue), rule="must be embedded or coinbase")
    if mode is Mode.LIVE and venue == "embedded":
        rule = "LIVE trades at coinbase alone; the embedded venue serves DRY_RUN and PAPER"
        return Problem(file="run", key="mode, venue", value="LIVE, embedded", rule=rule)
    return None


class Viability(Value, frozen=True, kw_only=True):
    """Whether an account of this size can trade at all (rule 25)."""

    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def viability(policy: Policy, nav_usd: Decimal | None) -> Viability:
    """Rule 25, the band between the smallest order worth its fees and the caps.

    Args:
        policy: resolved.
        nav_usd: account value; None while it is not known, then only the percentages are compared.
    """
    floor = policy.risk.min_position_size_pct
    if nav_usd is not None and nav_usd > 0:
        floor = max(floor, policy.risk.min_trade_notional_usd / nav_usd * PCT)
    ceiling = policy.tier1_ceiling_pct
    if floor > ceiling:
        rule = f"rule 25: no tier 1 position can be that large: position and theme caps leave {plain(ceiling)} % of NAV"
        keys = (
            "risk.min_position_size_pct, risk.min_trade_notional_usd, risk.max_position_size_pct, "
            "risk.max_tier_position_pct.tier1, risk.max_per_theme_pct, regime.chop.position_size_multiplier"
        )
        return Viability(problems=(_policy(keys, f"{floor:.2f} % of NAV", rule),), warnings=())
    return Viability(problems=(), warnings=tuple(_starved(policy, floor)))


def _starved(policy: Policy, floor_pct: Decimal) -> Iterator[Problem]:
    for tier, regime, size in policy.least_entries_pct:
        if size < floor_pct:
            key = f"strategy.base_position_pct.tier{tier}, regime.{regime.value}.position_size_multiplier"
            rule = f"rule 25: entries of least confidence fall under {floor_pct:.2f} % of NAV and are dropped"
            yield _policy(key, f"{size:.2f} % of NAV", rule)


def _policy(key: str, value: object, rule: str) -> Problem:
    return Problem(file="policy.yaml", key=key, value=shown(value), rule=rule)


def _least(lesser: tuple[str, Decimal | int], greater: tuple[str, Decimal | int], rule: str) -> Iterator[Problem]:
    """A problem unless the first value is at most the second."""
    if lesser[1] > greater[1]:
        yield _policy(f"{lesser[0]}, {greater[0]}", f"{lesser[1]}, {greater[1]}", rule)


def _targets(config: Config) -> Iterator[Problem]:
    risk = config.policy.risk
    if risk.take_profit_pct <= risk.stop_loss_pct:
        value = f"{risk.take_profit_pct}, {risk.stop_loss_pct}"
        yield _policy("risk.take_profit_pct, risk.stop_loss_pct", value, "rule 3: the target must lie beyond the stop")


def _pyramiding(config: Config) -> Iterator[Problem]:
    risk, sizing = config.policy.risk, config.policy.position_sizing
    if risk.allow_pyramiding is not sizing.allow_pyramiding:
        keys = "risk.allow_pyramiding, position_sizing.allow_pyramiding"
        value = f"{shown(risk.allow_pyramiding)}, {shown(sizing.allow_pyramiding)}"
        yield _policy(keys, value, "rule 2: both switches of pyramiding must say the same")
    if risk.allow_pyramiding and risk.max_adds_per_asset_per_day == 0:
        keys = "risk.allow_pyramiding, risk.max_adds_per_asset_per_day"
        yield _policy(keys, "true, 0", "rule 2: pyramiding without an add a day is none")
    if risk.allow_pyramiding is not (sizing.max_pyramid_positions > 0):
        keys = "risk.allow_pyramiding, position_sizing.max_pyramid_positions"
        value = f"{shown(risk.allow_pyramiding)}, {sizing.max_pyramid_positions}"
        yield _policy(keys, value, "rule 2: positions may be added to exactly where pyramiding is allowed")


def _orders(config: Config) -> Iterator[Problem]:
    sizing, risk = config.policy.position_sizing, config.policy.risk
    most = ("position_sizing.max_order_usd", sizing.max_order_usd)
    smallest = ("position_sizing.min_order_usd", sizing.min_order_usd)
    minimum = ("risk.min_trade_notional_usd", risk.min_trade_notional_usd)
    yield from _least(smallest, most, "rule 9: the smallest order must not be larger than the largest")
    yield from _least(minimum, most, "rule 9: the smallest order must not be larger than the largest")


def _caps(config: Config) -> Iterator[Problem]:
    risk = config.policy.risk
    position = ("risk.max_position_size_pct", risk.max_position_size_pct)
    asset = ("risk.max_per_asset_pct", risk.max_per_asset_pct)
    total = ("risk.max_total_at_risk_pct", risk.max_total_at_risk_pct)
    yield from _least(position, asset, "rule 4: one position must fit into its asset's cap")
    yield from _least(position, total, "rule 4: one position must fit into the total cap")
    for theme, cap in risk.max_per_theme_pct.items():
        yield from _least(asset, (f"risk.max_per_theme_pct.{theme}", cap), "rule 4: an asset must fit into its theme")


def _slots(config: Config) -> Iterator[Problem]:
    risk = config.policy.risk
    keys = "risk.max_open_positions, risk.max_position_size_pct, risk.max_total_at_risk_pct"
    if risk.max_open_positions * risk.max_position_size_pct > risk.max_total_at_risk_pct:
        value = f"{risk.max_open_positions}, {risk.max_position_size_pct}, {risk.max_total_at_risk_pct}"
        yield _policy(keys, value, "rule 5: all slots at full size must fit into the total cap")


def _themes_fit(config: Config) -> Iterator[Problem]:
    risk = config.policy.risk
    named = sum((cap for theme, cap in risk.max_per_theme_pct.items() if theme != OTHER_THEME), Decimal(0))
    if named > risk.max_total_at_risk_pct:
        keys = "risk.max_per_theme_pct, risk.max_total_at_risk_pct"
        rule = "rule 6: the named theme caps together must fit into the total cap"
        yield _policy(keys, f"{named}, {risk.max_total_at_risk_pct}", rule)


def _stops(config: Config) -> Iterator[Problem]:
    risk = config.policy.risk
    if abs(risk.daily_stop_pnl_pct) >= abs(risk.weekly_stop_pnl_pct):
        value = f"{risk.daily_stop_pnl_pct}, {risk.weekly_stop_pnl_pct}"
        rule = "rule 7: the daily stop must come before the weekly one"
        yield _policy("risk.daily_stop_pnl_pct, risk.weekly_stop_pnl_pct", value, rule)


def _minimum(config: Config) -> Iterator[Problem]:
    execution, risk = config.policy.execution.min_notional_usd, config.policy.risk.min_trade_notional_usd
    if execution != risk:
        keys = "execution.min_notional_usd, risk.min_trade_notional_usd"
        yield _policy(keys, f"{execution}, {risk}", "rule 8: risk and execution must have one minimum")


def _dust(config: Config) -> Iterator[Problem]:
    risk = config.policy.risk
    dust = ("risk.dust_threshold_usd", risk.dust_threshold_usd)
    minimum = ("risk.min_trade_notional_usd", risk.min_trade_notional_usd)
    yield from _least(dust, minimum, "rule 9: an order of the minimum must not count as dust")


def _frequency(config: Config) -> Iterator[Problem]:
    risk = config.policy.risk
    if risk.max_trades_per_day < 24 * risk.max_trades_per_hour:
        value = f"{risk.max_trades_per_day}, {risk.max_trades_per_hour}"
        rule = "rule 11: a day must allow 24 hours' worth of entries"
        yield _policy("risk.max_trades_per_day, risk.max_trades_per_hour", value, rule)
    new = ("risk.max_new_trades_per_hour", risk.max_new_trades_per_hour)
    hourly = ("risk.max_trades_per_hour", risk.max_trades_per_hour)
    yield from _least(new, hourly, "rule 12: new positions are entries too")


def _spacing(config: Config) -> Iterator[Problem]:
    risk = config.policy.risk
    spacing = ("risk.min_seconds_between_trades", risk.min_seconds_between_trades)
    cooldown = ("risk.per_symbol_cooldown_minutes", risk.per_symbol_cooldown_minutes * 60)
    yield from _least(spacing, cooldown, "rule 13: a product's cooldown must not be shorter than the global spacing")


def _cooldowns(config: Config) -> Iterator[Problem]:
    risk = config.policy.risk
    minutes = {
        "risk.per_symbol_cooldown_win_minutes": risk.per_symbol_cooldown_win_minutes,
        "risk.per_symbol_cooldown_loss_minutes": risk.per_symbol_cooldown_loss_minutes,
        "risk.per_symbol_cooldown_after_stop": risk.per_symbol_cooldown_after_stop,
    }
    for key, value in minutes.items():
        if risk.per_symbol_cooldown_enabled and value == 0:
            keys = f"risk.per_symbol_cooldown_enabled, {key}"
            yield _policy(keys, "true, 0", "rule 16: a cooldown that is enabled needs its minutes")


def _fees(config: Config) -> Iterator[Problem]:
    execution = config.policy.execution
    maker, taker = execution.maker_fee_bps, execution.taker_fee_bps
    keys = ("execution.maker_fee_bps", "execution.taker_fee_bps")
    yield from _least((keys[0], maker), (keys[1], taker), "rule 14: a maker never pays more than a taker")


def _lives(config: Config) -> Iterator[Problem]:
    execution = config.policy.execution
    retry = ("execution.maker_retry_min_ttl_sec", execution.maker_retry_min_ttl_sec)
    first = ("execution.maker_first_min_ttl_sec", execution.maker_first_min_ttl_sec)
    longest = ("execution.maker_max_ttl_sec", execution.maker_max_ttl_sec)
    yield from _least(retry, first, "rule 15: a retry lives no longer than the first try")
    yield from _least(first, longest, "rule 15: the first try lives no longer than the longest life")


def _profiles(config: Config) -> Iterator[Problem]:
    policy = config.policy
    if policy.risk_profile not in policy.profiles:
        rule = f"rule 17: there is no such risk profile; there are {', '.join(sorted(policy.profiles)) or 'none'}"
        yield _policy("risk_profile", policy.risk_profile, rule)
    for name, profile in policy.profiles.items():
        for tier in ("tier1", "tier2", "tier3"):
            size = (f"profiles.{name}.tier_size_pct.{tier}", getattr(profile.tier_size_pct, tier))
            most = (f"profiles.{name}.tier_max_pct.{tier}", getattr(profile.tier_max_pct, tier))
            yield from _least(size, most, "rule 17: a tier's base size must fit into its cap")


def _trailing(config: Config) -> Iterator[Problem]:
    exits, stop = config.policy.exits, config.policy.risk.stop_loss_pct
    if exits.use_trailing_stop and exits.trailing_stop_pct == 0:
        keys = "exits.use_trailing_stop, exits.trailing_stop_pct"
        yield _policy(keys, "true, 0", "rule 18: a trailing stop needs a distance")
    trailing = ("exits.trailing_stop_pct", exits.trailing_stop_pct)
    yield from _least(trailing, ("risk.stop_loss_pct", stop), "rule 18: it must not be wider than the stop")


def _clusters(config: Config) -> Iterator[Problem]:
    clusters, caps = config.universe.clusters, config.policy.risk.max_per_theme_pct
    for theme in sorted(set(caps) - set(clusters) - {OTHER_THEME}):
        rule = f"rule 20: no cluster in universe.yaml has this name; there are {', '.join(clusters)}"
        yield _policy(f"risk.max_per_theme_pct.{theme}", caps[theme], rule)
    for theme in sorted(({*clusters, OTHER_THEME}) - set(caps)):
        yield _policy(f"risk.max_per_theme_pct.{theme}", "missing", "rule 20: every cluster, and OTHER, needs a cap")
    never = set(config.universe.exclusions.never_trade)
    for name, products in clusters.items():
        if not products:
            yield _universe(f"clusters.{name}", "a list of 0", "rule 20: an empty cluster")
        for product in sorted(never & set(products)):
            rule = "rule 20: it stands in exclusions.never_trade as well"
            yield _universe(f"clusters.{name}, exclusions.never_trade", product, rule)


def _one_cluster(config: Config) -> Iterator[Problem]:
    entries = [(product, name) for name, products in config.universe.clusters.items() for product in products]
    yield from _twice(entries, "clusters", "rule 20: a product belongs to one cluster")


def _tiers(config: Config) -> Iterator[Problem]:
    table = config.universe.tiers
    named = {"tier_1_core": table.tier_1_core, "tier_2": table.tier_2, "tier_3": table.tier_3}
    entries = [(product, name) for name, tier in named.items() for product in tier.symbols]
    yield from _twice(entries, "tiers", "rule 21: a product belongs to one tier")
    for product, name in entries:
        if product in config.universe.exclusions.never_trade:
            keys = f"tiers.{name}.symbols, exclusions.never_trade"
            yield _universe(keys, product, "rule 21: a product is either traded or never")
    yield from _refreshed(config)
    if discovers(config):
        return
    yield from _sized(config, len(entries))
    bounds = {
        "universe.min_eligible_assets": config.universe.universe.min_eligible_assets,
        "circuit_breakers.min_eligible_assets": config.policy.circuit_breakers.min_eligible_assets,
    }
    for key, least in bounds.items():
        if len(entries) < least:
            rule = "rule 21: the tiers hold fewer products than must be eligible"
            yield _universe(f"tiers, {key}", f"{len(entries)}, {least}", rule)


def _sized(config: Config, count: int) -> Iterator[Problem]:
    universe = config.universe.universe
    if count > universe.max_universe_size:
        rule = "rule 21: the tiers hold more products than the universe may"
        yield _universe("tiers, universe.max_universe_size", f"{count}, {universe.max_universe_size}", rule)


def _refreshed(config: Config) -> Iterator[Problem]:
    universe = config.universe.universe
    if universe.refresh_interval_hours not in _REFRESHES_H:
        rule = "rule 21: hourly, daily or weekly: 1, 24 or 168"
        yield _universe("universe.refresh_interval_hours", universe.refresh_interval_hours, rule)


def _forced(config: Config) -> Iterator[Problem]:
    core = config.universe.tiers.tier_1_core
    for product in core.force_eligible_symbols:
        if product not in core.symbols:
            key = "tiers.tier_1_core.force_eligible_symbols"
            yield _universe(key, product, "it must stand in tiers.tier_1_core.symbols, or it forces nothing")


def _leader(config: Config) -> Iterator[Problem]:
    table = config.universe.tiers
    listed = (table.tier_1_core, table.tier_2, table.tier_3)
    if not discovers(config) and all(LEADER not in tier.symbols for tier in listed):
        yield _universe("tiers", "missing", f"the regime is read from {LEADER}: it must stand in a tier")


def _hysteresis(config: Config) -> Iterator[Problem]:
    steps = config.universe.eligibility_hysteresis.volume_24h
    if steps.exit_mult > steps.enter_mult:
        keys = "eligibility_hysteresis.volume_24h.exit_mult, eligibility_hysteresis.volume_24h.enter_mult"
        rule = "a product would leave at the volume that lets it in"
        yield _universe(keys, f"{plain(steps.exit_mult)}, {plain(steps.enter_mult)}", rule)


def _crash_tiers(config: Config) -> Iterator[Problem]:
    crash = config.universe.regime_modifiers.crash
    for name in ("tier_1_multiplier", "tier_2_multiplier", "tier_3_multiplier"):
        if getattr(crash, name):
            key = f"regime_modifiers.crash.{name}"
            yield _universe(key, getattr(crash, name), "a crash allows no entry: no tier has an allocation in it")


def _allocations(config: Config) -> Iterator[Problem]:
    table = config.universe.tiers
    named = {"tier_1_core": table.tier_1_core, "tier_2": table.tier_2, "tier_3": table.tier_3}
    for name, tier in named.items():
        if tier.symbols and tier.constraints.max_allocation_pct == 0:
            key = f"tiers.{name}.constraints.max_allocation_pct"
            yield _universe(key, 0, "a tier with products needs an allocation, or none of them can ever be bought")


def _twice(entries: list[tuple[str, str]], key: str, rule: str) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for product, name in entries:
        if product in seen:
            yield _universe(f"{key}.{seen[product]}, {key}.{name}", product, rule)
        seen[product] = name


def _universe(key: str, value: object, rule: str) -> Problem:
    return Problem(file="universe.yaml", key=key, value=shown(value), rule=rule)


def _live(config: Config) -> Iterator[Problem]:
    if config.app.app.mode is not Mode.LIVE:
        return
    if config.app.exchange.read_only:
        keys = "app.mode, exchange.read_only"
        yield Problem(file="app.yaml", key=keys, value="LIVE, true", rule="LIVE needs exchange.read_only: false")
    at_risk = config.policy.risk.max_total_at_risk_pct
    if at_risk > _WARN_AT_RISK_PCT:
        yield _policy("risk.max_total_at_risk_pct", at_risk, "rule 23: LIVE refuses over 50 % at risk")


def _governed(config: Config) -> Iterator[Problem]:
    if config.app.app.mode is Mode.LIVE and not config.policy.governance.live_trading_enabled:
        keys = "governance.live_trading_enabled"
        yield _policy(keys, "false", "LIVE needs governance.live_trading_enabled: true")


def _crash(config: Config) -> Iterator[Problem]:
    crash = config.policy.regime.crash
    if crash.allowed_signals or crash.position_size_multiplier or crash.max_positions:
        value = f"{crash.position_size_multiplier}, {crash.max_positions}, {', '.join(crash.allowed_signals) or 'none'}"
        keys = "regime.crash.position_size_multiplier, regime.crash.max_positions, regime.crash.allowed_signals"
        yield _policy(keys, value, "a crash allows no entry: multiplier 0, 0 positions, no signals")


def _rates(config: Config) -> Iterator[Problem]:
    rates = config.policy.rate_limits
    total = rates.private.rate + rates.exit_cancel.rate + rates.kill_sweep.rate
    if total > VENUE_SIGNED_RATE:
        keys = "rate_limits.private.rate, rate_limits.exit_cancel.rate, rate_limits.kill_sweep.rate"
        yield _policy(keys, f"{total} together", f"the venue allows {VENUE_SIGNED_RATE} signed requests a second")


def _sweep(config: Config) -> Iterator[Problem]:
    """A kill lists, cancels and lists twice more within ten seconds, every call perhaps twice."""
    sweep = config.policy.rate_limits.kill_sweep
    for key, value in (("rate", sweep.rate), ("burst", Decimal(sweep.burst))):
        if value < _LEAST_SWEEP:
            rule = f"a kill needs at least {_LEAST_SWEEP}, or it does not end in its ten seconds"
            yield _policy(f"rate_limits.kill_sweep.{key}", plain(value), rule)


def _heartbeat(config: Config) -> Iterator[Problem]:
    staleness = config.policy.staleness
    fast = ("staleness.no_change_check_t1_s", staleness.no_change_check_t1_s)
    slow = ("staleness.no_change_check_s", staleness.no_change_check_s)
    yield from _least(fast, slow, "tier 1 is compared with REST at least as soon as the others")


RULES: tuple[Rule, ...] = (
    *(
        _pyramiding,
        _orders,
        _targets,
        _caps,
        _slots,
        _themes_fit,
        _stops,
        _minimum,
        _dust,
        _frequency,
        _spacing,
        _cooldowns,
        _fees,
        _lives,
        _profiles,
    ),
    *(_trailing, _clusters, _one_cluster, _tiers, _live, _crash, _rates, _sweep, _heartbeat),
    *(_forced, _leader, _hysteresis, _crash_tiers, _allocations),
    *DISCOVERY_RULES,
    *STRATEGY_RULES,
)
