"""The rules engine, sizing and exits once more: one plain loop over bars, from the specification, that trades alone.

None of the trader's code but the values of its policy; an exchange of its own with the same market fills its orders.
It has the rhythm of `weeks`: decide, place, the market moves, book, leave what has to be left, take back what was not
filled. What this rhythm never shows is not in here: orders that still work at a decision, second tries, an exit that
the book cannot fill, prices that are too old, holdings that are not ours.
"""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from types import SimpleNamespace as Thing

from actors.venue.events import Traded
from actors.venue.in_kernel import USER
from actors.venue.requests import FillQuery, PlaceRequest
from ops.simulate.world import SECOND_NS, START_NS
from protocol.strategy import Regime
from tests.support.plain_charts import FIVE_S, HOUR_S, Chart, four, reading, strongest
from tests.support.weeks import BAR_S, FIRST_MOVE_S, trade_of

CYCLE_S, DAY_NS = 2, 86_400 * SECOND_NS
TABLE = {  # stop, target, hours, factor, extra (pipeline.md section 6)
    "price_move": ("6", "12", 48, "1.0", None),
    "bounce": ("10", "20", 24, "0.7", None),
    "volume_spike": ("8", "15", 72, "1.0", None),
    "breakout": ("6", "20", 120, "1.2", None),
    "reversal": ("12", "25", 48, "0.8", "0.8"),
    "momentum": ("8", "15", 72, "1.0", None),
    "dip": ("10", "18", 48, "0.85", "0.9"),
}


class PlainLoop:
    def __init__(self, week):
        self.week, self.p = week, week.policy
        self.exchange, self.market = week.make(START_NS)
        self.charts = {product: Chart(self.market, product) for product in week.products}
        self.quotes = {product: self.quote(product) for product in week.products}
        self.positions, self.cooldown, self.entries, self.opened, self.last = {}, {}, [], {}, {}
        self.streak = self.drought = self.losses = self.lost = self.calm = self.wild = self.peak = 0
        self.overlay, self.regime, self.stopped = None, Regime.CHOP, {}

    def run(self):
        """Live the week, then tell its trades."""
        for bar in range(self.week.seconds // BAR_S):
            at = START_NS + bar * BAR_S * SECOND_NS
            self.limits(at)
            order = self.cycle(at + CYCLE_S * SECOND_NS)
            self.move(at + FIRST_MOVE_S * SECOND_NS, order)
        return [trade_of(fill) for fill in self.exchange.list_fills(USER, FillQuery(limit=1000), at).fills]

    def quote(self, product):
        sides = self.exchange.book(product)
        bid, ask, mid = sides[0][0][0], sides[1][0][0], (sides[0][0][0] + sides[1][0][0]) / 2
        near = [sum(p * size for p, size in side if abs(p - mid) * 500 <= mid) for side in sides]
        return Thing(bid=bid, ask=ask, mid=mid, spread=(ask - bid) / mid * 10_000, depth=near)

    def nav(self):
        total = Decimal(0)
        for a in self.exchange.accounts(USER, limit=250).accounts:
            held = Decimal(a.available_balance.value) + Decimal(a.hold.value)
            total += held * (self.quotes[f"{a.currency}-USD"].mid if held and a.currency[:3] != "USD" else 1)
        return total

    def limits(self, now):
        """Loss limits of the day, of the week, and from the peak."""
        nav, at, risk = self.nav(), datetime.fromtimestamp(now // SECOND_NS, UTC), self.p.risk
        self.peak = max(self.peak, nav)
        for key, limit in ((at.date(), risk.daily_stop_pnl_pct), (at.isocalendar()[:2], risk.weekly_stop_pnl_pct)):
            before = self.opened.setdefault(key, nav)
            self.stopped[key] = self.stopped.get(key) or (nav - before) / before * 100 <= limit
        self.stopped["peak"] = self.stopped.get("peak") or 1 - nav / self.peak >= risk.max_drawdown_pct / 100
        self.halted = any(self.stopped[key] for key in (at.date(), at.isocalendar()[:2], "peak"))

    def cycle(self, now):
        """One decision: the order it placed and what for, or nothing."""
        self.classify()
        scale, row, eligible = self.p.universe.scale(self.regime), self.p.regime.row(self.regime), {}
        for tier in self.p.universe.tiers if now - START_NS > BAR_S * SECOND_NS else ():
            for product in tier.products if scale.allocation_mults[tier.tier - 1] else ():
                quote, volume = self.quotes[product], self.market.stats_24h(product).volume_usd
                near = quote.spread <= tier.max_spread_bps and sum(quote.depth) >= tier.min_depth_usd
                if near and volume >= tier.min_24h_volume_usd * scale.volume_mult:
                    eligible[product] = tier
        asked = self.proposals(eligible, row, self.nav()) if eligible else []
        for one in sorted(asked, key=lambda a: (-a.conviction, a.tier.tier, a.product)):
            usd = self.granted(one, row, scale, now)
            if usd and len(eligible) >= self.p.universe.min_eligible_assets:
                self.entries.append(now)
                return self.buy(one, usd, now)
        return None

    def classify(self):
        found, hot = reading(self.charts["BTC-USD"].bars[HOUR_S], self.p.breakers.volatility_lookback_h)
        self.calm = self.calm + 1 if self.regime is Regime.CRASH and found is not Regime.CRASH else 0
        self.regime = Regime.CRASH if self.calm == 1 else found
        self.wild = 2 if hot > self.p.breakers.max_realized_volatility_pct else max(self.wild - 1, 0)

    def proposals(self, eligible, row, nav):
        """The scan, what the rules make of it, and the strategy's budget."""
        t, s, overlay = self.p.triggers, self.p.strategy, self.overlay
        at = t.threshold(self.regime)
        bounds = overlay[:2] if overlay and self.regime is Regime.CHOP else (at.move_15m_pct, at.move_60m_pct)
        looks = {product: self.charts[product].look() for product in eligible}
        free = {p: x for p, x in looks.items() if not x.outlier and x.atr_ratio >= at.atr_min_mult}

        def scan(kinds, bounds):
            every = (strongest(kinds, x, (p, eligible[p]), (bounds, at, t), row) for p, x in free.items())
            return sorted(filter(None, every), key=lambda b: (-b.score, b.product))

        found = scan(row.allowed_signals, bounds)
        self.streak = 0 if found else self.streak + 1
        if self.streak > t.fallback.min_streak and "price_move" in row.allowed_signals:
            less = [bound * (1 - t.fallback.relax_share) for bound in bounds]
            found = scan(["price_move"], less)[: t.fallback.max_new]
            self.streak = 0 if found else self.streak
        found = found[: t.max_triggers_per_cycle]
        least = overlay[2] if overlay else s.min_conviction
        asked = [one for b in found if (one := self.proposal(b, row, least, len(found) == 1))]
        self.loosen(bool(found))
        budget, kept = s.strategy("rules_engine"), []
        used = sum(pos.size * self.quotes[p].bid for p, pos in self.positions.items()) / nav * 100
        for one in sorted(asked, key=lambda a: (-a.conviction, a.product)):
            fits = used + one.size <= budget.max_at_risk_pct * min(row.position_size_multiplier, 1)
            if fits and len(kept) < budget.max_trades_per_cycle and one.size >= s.min_notional_usd / nav * 100:
                kept.append(one)
                used += one.size
        return kept

    def loosen(self, found):
        """Thresholds of a drought."""
        tune, at = self.p.auto_tune, self.p.triggers.threshold(Regime.CHOP)
        self.drought = 0 if found else self.drought + 1
        if found or self.overlay or self.drought < tune.zero_trigger_cycles:
            self.overlay = None if found else self.overlay
            return
        fast, slow = at.move_15m_pct + tune.move_15m_delta_pct, at.move_60m_pct + tune.move_60m_delta_pct
        sure = max(round(self.p.strategy.min_conviction + tune.min_conviction_delta, 9), tune.min_conviction_floor)
        self.overlay = (max(fast, tune.move_15m_floor_pct), max(slow, tune.move_60m_floor_pct), sure)

    def proposal(self, b, row, least, alone):
        """The entry table, conviction, reversals and canaries, and the size wanted in per cent of NAV."""
        s, x, tier, quote = self.p.strategy, b.x, b.tier, self.quotes[b.product]
        up = b.change > (1.5 if b.kind == "price_move" else 0)
        kind = {"price_move": "bounce", "momentum": "dip"}.get(b.kind, b.kind) if not up else b.kind
        least_fall = {"bounce": 2.5, "dip": s.momentum_downside_reversal_pct, "volume_spike": 2.0}.get(kind)
        if least_fall and not (b.change <= -least_fall or (kind == "volume_spike" and b.change > least_fall)):
            return None
        if kind == "mean_reversion":
            stop, target = four(x.atr) * s.reversion.stop_atr, four(x.atr) * s.reversion.take_profit_atr
            hold_s, factor, extra = s.reversion.max_hold_s, Decimal("0.8"), Decimal(1)
        else:
            stop, target, hold_h, factor, share = TABLE[kind]
            stop, target, hold_s, factor = Decimal(stop), Decimal(target), hold_h * 3600, Decimal(factor)
            extra = four(b.sure) * Decimal(share) if share else Decimal(1)
        stop, signs = min(stop, s.max_stop_loss_pct), x.signs if "rever" in kind else (False,) * 4
        worth = (s.boosts.close_above_vwap, s.boosts.higher_low, s.boosts.rsi_cross_50, s.boosts.bounce_confirmed)
        sure = s.conviction_base + s.conviction_strength_weight * b.strength + s.conviction_confidence_weight * b.sure
        sure += sum(boost for sign, boost in zip(signs, worth, strict=True) if sign)
        sure += s.boosts.tier_1 if tier.tier == 1 else 0.0
        sure = min(max(round(sure, 9), 0.0), 1.0)
        near = s.canary.enabled and round(least - s.canary.window, 9) <= sure < least
        deep = sum(quote.depth) >= s.canary.min_depth_usd[tier.tier - 1] and quote.spread <= tier.max_spread_bps
        canary = near and alone and deep and tier.tier in s.canary.tiers
        if not canary and (sure < least or (kind == "reversal" and sum(signs) < s.reversal_signs)):
            return None
        parity = s.risk_per_trade_pct / stop * 100
        parity *= Decimal(50) / max(four(x.volatility), Decimal(10)) if x.volatility else 1
        size = max(min(parity, s.tier_base_pct[tier.tier - 1] * factor), Decimal("0.5")) * four(b.sure) * extra
        size *= row.position_size_multiplier * (s.wild.size_mult if abs(x.slow) >= s.wild.move_pct else 1)
        size *= s.canary.size_mult if canary else 1
        most = self.p.risk.tier_cap_pct[tier.tier - 1] * max(row.position_size_multiplier, 1)
        if size > most or target <= stop:
            return None
        exits = {"stop": stop, "target": target, "hold_ns": hold_s * SECOND_NS}
        return Thing(product=b.product, tier=tier, size=size, conviction=sure, **exits)

    def granted(self, one, row, scale, now):
        """USD that may be bought now: gates, pacing, slots, and the tightest cap."""
        risk, mult, quote, spec = (
            self.p.risk,
            row.position_size_multiplier,
            self.quotes[one.product],
            self.exchange.spec(one.product),
        )
        held = {p: pos.size * self.quotes[p].bid for p, pos in self.positions.items()}
        nav, recent = self.nav(), [at for at in self.entries if now - at < HOUR_S * SECOND_NS]
        today = [at for at in self.entries if at // DAY_NS == now // DAY_NS]
        paused = self.losses >= risk.loss_streak_trades and now < self.lost + risk.loss_streak_cooldown_s * SECOND_NS
        slots = min(risk.max_open_positions, row.max_positions) > len(held) and risk.max_new_positions_per_cycle
        waited = now - max(self.entries, default=0) >= risk.spacing_s * SECOND_NS
        rested = now - self.last.get(one.product, 0) >= risk.symbol_spacing_s * SECOND_NS
        most = min(risk.max_trades_per_hour, risk.max_new_trades_per_hour)
        full = len(recent) >= most or len(today) >= risk.max_trades_per_day
        cool = one.product not in held and now >= self.cooldown.get(one.product, 0)
        if self.halted or self.wild or paused or full or not (slots and waited and rested and cool):
            return 0
        fees = self.exchange.transaction_summary(USER, now).fee_tier
        maker = max(Decimal(fees.maker_fee_rate), self.p.fees.maker_fee_bps / 10_000)
        taker = max(Decimal(fees.taker_fee_rate), self.p.fees.taker_fee_bps / 10_000)
        least = max(spec.quote_min_size, spec.base_min_size * quote.ask) + spec.base_increment * quote.ask
        least = max(least, risk.min_trade_notional_usd, self.p.sizing.min_order_usd) / (1 - maker)
        least = max(least, nav * risk.min_position_size_pct / 100)
        wanted, cash = nav * one.size / 100, self.free()
        share, theme_of, tier, hard = nav / 100, self.p.universe.theme_of, one.tier, min(mult, 1)
        whole, theme = sum(held.values()), theme_of(one.product)
        own = tier.max_allocation_pct * scale.allocation_mults[tier.tier - 1]
        rooms = (
            share * self.p.strategy.strategy("rules_engine").max_at_risk_pct * hard - whole,
            share * risk.max_total_at_risk_pct * hard - whole,
            share * min(risk.tier_cap_pct[tier.tier - 1], risk.max_position_size_pct) * mult,
            share * min(risk.max_per_asset_pct * hard, own),
            share * risk.theme_cap_pct(theme) * hard - sum(usd for p, usd in held.items() if theme_of(p) == theme),
            self.p.sizing.max_order_usd,
            cash / (1 + taker) * (1 if wanted <= cash / (1 + taker) else Decimal("0.99")),
        )
        usd = min(wanted, *rooms)
        deep = quote.depth[1] >= usd * risk.require_depth_mult and quote.spread <= self.p.execution.hard_max_spread_bps
        return usd if deep and wanted >= least and min(rooms) >= least else 0

    def free(self):
        every = self.exchange.accounts(USER, limit=250).accounts
        return next(Decimal(a.available_balance.value) for a in every if a.currency == "USD")

    def buy(self, one, usd, now):
        """One tick behind the bid, and only as a maker."""
        spec = self.exchange.spec(one.product)
        price = self.quotes[one.product].bid // spec.price_increment * spec.price_increment - spec.price_increment
        size = usd / price // spec.base_increment * spec.base_increment
        until = (datetime.fromtimestamp(now // SECOND_NS, UTC) + timedelta(seconds=50)).isoformat()
        terms = {"limit_price": f"{price:f}", "base_size": f"{size:f}", "end_time": until.replace("+00:00", "Z")}
        return one, self.place(one.product, "BUY", {"limit_limit_gtd": {**terms, "post_only": True}}, now)

    def place(self, product, side, terms, now):
        name = f"{side}{now}{product}"
        request = PlaceRequest(client_order_id=name, product_id=product, side=side, order_configuration=terms)
        return self.exchange.place(USER, request, now).success_response.order_id

    def move(self, now, order):
        """The market moves: book what was bought, leave what has to be left."""
        self.exchange.advance(now)
        self.market.advance(now)
        trades = self.seen()
        self.quotes = {product: self.quote(product) for product in self.charts}
        for product, position in list(self.positions.items()):
            self.leave(product, position, now)
        if order:
            self.booked(*order, now)
        trades += self.seen()
        for product, chart in self.charts.items():
            own = [trade for trade in trades if trade.product_id == product]
            prices, start = [float(trade.price) for trade in own], now // SECOND_NS // FIVE_S * FIVE_S
            chart.closed(start, prices, sum(float(trade.size) for trade in own))
            self.quotes[product] = self.quote(product)
        if order:
            self.exchange.cancel(USER, [order[1]], now + 7 * SECOND_NS)

    def seen(self):
        trades = [event for event in self.exchange.drain() if isinstance(event, Traded)]
        for trade in trades:
            self.market.observe(trade)
        return trades

    def fills(self, order_id, now):
        return self.exchange.list_fills(USER, FillQuery(order_ids=(order_id,)), now).fills[::-1]

    def booked(self, one, order_id, now):
        fills = [(Decimal(f.size), Decimal(f.price), Decimal(f.commission)) for f in self.fills(order_id, now)]
        if fills:
            size, value, fee = (sum(column) for column in zip(*((n, n * p, c) for n, p, c in fills), strict=True))
            held = Thing(size=size, price=value / size, fee=fee, at=now, peak=fills[0][1], terms=one)
            self.positions[one.product] = held
            self.cool(one.product, self.p.risk.cooldown_fill_s, now)
            self.leave(one.product, held, now)

    def cool(self, product, seconds, now):
        self.cooldown[product] = max(self.cooldown.get(product, 0), now + seconds * SECOND_NS)
        self.last[product] = now

    def leave(self, product, position, now):
        """Stop, trailing stop, target, longest hold, in this order; sold at once, through the bid."""
        rules, bid, terms = self.p.exits, self.quotes[product].bid, position.terms
        position.peak = max(position.peak, bid)
        gain, tight = bid / position.price - 1, rules.crash_stop_mult if self.regime is Regime.CRASH else 1
        wide, trail = rules.bull_target_mult if self.regime is Regime.BULL else 1, rules.trailing_stop_pct
        fell = trail and position.peak >= position.price and bid <= position.peak * (1 - trail * tight / 100)
        stopped = gain <= -terms.stop * tight / 100 or fell
        if not (stopped or gain >= terms.target * wide / 100 or now - position.at >= terms.hold_ns):
            return
        tick = self.exchange.spec(product).price_increment
        price = ((bid - bid * rules.slippage_tolerance_bps / 10_000) / tick).to_integral_value(ROUND_CEILING) * tick
        asked = {"base_size": f"{position.size:f}", "limit_price": f"{price:f}"}
        order_id = self.place(product, "SELL", {"sor_limit_ioc": asked}, now)
        net, risk = -position.fee, self.p.risk
        for fill in self.fills(order_id, now):
            net += (Decimal(fill.price) - position.price) * Decimal(fill.size) - Decimal(fill.commission)
        wait = max(risk.cooldown_fill_s, risk.cooldown_win_s if net > 0 else risk.cooldown_loss_s)
        self.cool(product, max(wait, risk.cooldown_stop_s) if stopped else wait, now)
        self.losses, self.lost = (0, self.lost) if net > 0 else (self.losses + 1, now)
        del self.positions[product]
