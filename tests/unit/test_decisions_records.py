"""Decision records: judged again they say the same, and what they name as needed is what lets a request pass.

A record is checked twice: by itself, value against limit; and against risk as it is, by making true what the record
says was missing and asking once more.
"""

from random import Random

import pytest
from msgspec.structs import replace

from protocol import codec
from protocol.decisions import applied, counterfactual, first_refusal, holds
from protocol.market import FeedState, FeedStatus
from protocol.orders import Side, Status
from protocol.risk import Bound, CapType, Decision, Outcome, Pause, Reason
from protocol.strategy import Regime
from tests.support.desk_rooms import RiskDesk
from tests.support.desk_scenes import (
    NOON_NS,
    PRODUCTS,
    D,
    epoch,
    exit_wanted,
    fill_applied,
    health,
    noted,
    operator_order,
    order,
    periods,
    position,
    product_rules,
    products_known,
    proposal,
    quote,
    view,
)
from tests.support.risk_draws import STRATEGIES, caps, share

SCENES = 1000
SLACK = D("1.000000000001")  # divisions to 28 digits do not land on a limit exactly


def limits(rng):
    return {
        **caps(rng),
        "max_open_positions": rng.randrange(0, 6),
        "max_order_usd": D(rng.choice((50, 300, 10_000))),
        "trades_per_day": rng.choice((0, 1, 100)),
        "pyramiding": rng.random() < 0.3,
        "max_pyramids": rng.randrange(1, 3),
        "adds_when_full": rng.random() < 0.5,
    }


def held(rng):
    nav = rng.choice((500, 3_000, 10_000, 80_000))
    chosen = rng.sample(PRODUCTS, rng.randrange(5))
    return view(
        nav=nav,
        positions=tuple(
            position(p, quantity=nav * share(rng, 0, 6) / 10_000, strategy=rng.choice(STRATEGIES)) for p in chosen
        ),
        periods=periods(nav, nav, nav),
        balances=with_cash(nav if rng.random() < 0.7 else rng.choice((1, 30, 100))),
    )


def with_cash(usd):
    return (replace(view().balances[0], available=D(usd)),)


def stale(product):
    return FeedState(product_id=product, status=FeedStatus.STALE, detail="", at_ns=NOON_NS)


def trouble(rng):
    """Something that a rule refuses for, mostly of the product that is asked for."""
    product = rng.choice(PRODUCTS[:3])
    kinds = (
        lambda: stale(product),
        lambda: quote(product, at=NOON_NS - 6 * 10**9),
        lambda: quote(product, bid="99", ask="101"),
        lambda: quote(product, move_sigma=rng.choice((5.0, 7.5))),
        lambda: quote(product, ask_depth_usd=D(rng.choice((0, 400, 90_000)))),
        lambda: products_known(*(product_rules(p, post_only=p == product) for p in PRODUCTS)),
        lambda: fill_applied(product, client_order_id=f"c-{rng.random()}", entry_id=f"e-{rng.random()}"),
        lambda: order(product, size=rng.choice((1, 3))),
        lambda: order(product, Side.SELL, status=Status.UNRESOLVED),
        lambda: order(product, status=Status.REJECTED, error="NO_FUNDS"),
        lambda: Pause(by="operator", reason="drill"),
        lambda: epoch(killed=True),
        lambda: health(rate_limited_until_ns=NOON_NS + 10**13),
        lambda: proposal(rng.choice(PRODUCTS), correlation="before"),
    )
    return rng.choice(kinds)()


def scene(seed):
    """A desk in some trouble, with caps of any height."""
    rng = Random(seed)
    desk = RiskDesk(**limits(rng))
    desk.tell(held(rng))
    for _ in range(rng.randrange(4)):
        happening = trouble(rng)
        if hasattr(happening, "conviction"):
            desk.ask(happening)
        else:
            desk.tell(happening)
        desk.now += 1
    return rng, desk


def wish(rng):
    product, strategy = rng.choice(PRODUCTS[:3]), rng.choice(STRATEGIES)
    pct = rng.choice((D(0), share(rng, 0, 1), share(rng, 0, 12)))
    return proposal(product, pct, strategy=strategy, correlation="wish")


def decisions_of(seed):
    """One decision of each kind of request, and one of a malformed proposal, on one desk."""
    rng, desk = scene(seed)
    regime = rng.choice(tuple(Regime))
    requests = (
        wish(rng),
        proposal(side=Side.SELL, pct=share(rng, 0, 3), correlation="sale"),
        proposal(stop_loss_pct=D(-1), correlation="nonsense"),
        operator_order(rng.choice(PRODUCTS[:3]), correlation="hand"),
        operator_order(side=Side.SELL, base_size=D(rng.randrange(3)), correlation="hand-sale"),
        exit_wanted(quantity=share(rng, 0, 2)),
    )
    for request in requests:
        effects = desk.ask(request, regime=regime) if hasattr(request, "conviction") else desk.tell(request)
        yield from noted(effects, Decision)


@pytest.fixture(scope="module")
def records():
    return [d for seed in range(SCENES // 5) for d in decisions_of(seed)]


@pytest.mark.req("E1")
def test_a_thousand_records_judged_again_say_the_same(records):
    assert len(records) >= SCENES
    for record in records:
        kept = codec.decode(codec.encode(record))
        assert kept == record
        assert first_refusal(kept.verdicts) is kept.code
        assert kept.approved is (kept.code is None)
        assert [holds(v) for v in kept.verdicts] == [v.passed for v in kept.verdicts]


@pytest.mark.req("E1")
def test_the_set_of_changes_flips_a_refusal_and_nothing_less_does(records):
    refused = [r for r in records if not r.approved]
    assert len(refused) > SCENES // 4
    for record in refused:
        changes = counterfactual(record)
        assert [c.rule for c in changes] == [n for n, v in enumerate(record.verdicts) if not v.passed]
        assert first_refusal(applied(record, changes)) is None
        for left_out in changes:
            rest = [c for c in changes if c != left_out]
            assert first_refusal(applied(record, rest)) is left_out.code
        assert all(c.act for c in changes)


def test_a_needed_value_is_the_nearest_one(records):
    hair = D("1e-9")
    for record in records:
        for change in counterfactual(record):
            if change.needed is None:
                continue
            verdict = record.verdicts[change.rule]
            further = change.needed + (hair if verdict.bound is Bound.AT_MOST else -hair)
            (just_off,) = applied(replace(record, verdicts=(verdict,)), [replace(change, rule=0, needed=further)])
            assert not just_off.passed


def test_an_approval_needs_nothing(records):
    for record in (r for r in records if r.approved):
        assert counterfactual(record) == ()
        assert record.outcome in {Outcome.ALLOW, Outcome.SIZE}
        assert (record.outcome is Outcome.SIZE) is record.degraded
        assert record.degraded is (record.cap_type is not None)


def test_every_kind_of_reason_was_drawn(records):
    drawn = {r.code for r in records if r.code is not None} | {v.code for r in records for v in r.verdicts}
    wanted = {
        *(Reason.KILL_SWITCH, Reason.OPERATOR_PAUSE, Reason.RATE_LIMIT_COOLDOWN, Reason.STALE_DATA),
        *(Reason.PRODUCT_DISABLED, Reason.OUTLIER, Reason.SCHEMA_INVALID, Reason.SHORTING_DISALLOWED),
        *(Reason.STRATEGY_CAP, Reason.TOTAL_AT_RISK_CAP, Reason.POSITION_CAP, Reason.THEME_CAP),
        *(Reason.BELOW_MIN_AFTER_CAPS, Reason.POSITION_SIZE_TOO_SMALL, Reason.NON_POSITIVE_REQUEST),
        *(Reason.INSUFFICIENT_FUNDS, Reason.MAX_OPEN_POSITIONS, Reason.ADDS_BLOCKED_WHEN_OVER_CAP, Reason.COOLDOWN),
        *(Reason.TRADE_SPACING, Reason.TRADE_FREQUENCY_DAILY, Reason.TRADE_FREQUENCY_HOURLY),
        *(Reason.PENDING_BUY_EXISTS, Reason.ALREADY_HAVE_POSITION, Reason.PYRAMID_COOLDOWN, Reason.PYRAMID_DAILY_LIMIT),
    }
    assert wanted - drawn == set()


@pytest.mark.req("E1")
def test_a_refusal_by_a_cap_says_which_and_how_far(records):
    for record in (r for r in records if r.refusal is not None and r.refusal.cap is not None):
        assert record.cap_type is record.refusal.cap
        assert record.limit_pct is not None
        room_usd = (record.limit_pct - record.current_pct) * (record.requested_usd or 1)
        if record.proposed_pct:
            assert room_usd / record.proposed_pct == pytest.approx(record.refusal.value, rel=D("1e-9"), abs=D("1e-9"))


# --- against risk as it is ----------------------------------------------------------------------------------------

NEVER_EVALUATED = {Reason.NO_NAV, Reason.REGIME_CRASH}


def raised(rows, name, by):
    """Named caps, one of them higher."""
    return tuple((row, pct + by if row == name else pct) for row, pct in rows)


def missing_of(change):
    """What a figure falls short of its limit by; a little more, for divisions."""
    return D(0) if change.needed is None else (change.needed - change.value) * SLACK


def with_room(held_to, cap, asked, regime, points):
    """Limits with so many more per cent of NAV under one cap, once the regime has had its say."""
    more = points / min(held_to.row(regime).multiplier, D(1))
    match cap:
        case CapType.STRATEGY:
            rows = raised(held_to.strategy_budgets_pct, asked.strategy, more)
            return replace(held_to, strategy_budgets_pct=rows)
        case CapType.TOTAL:
            return replace(held_to, max_total_at_risk_pct=held_to.max_total_at_risk_pct + more)
        case CapType.POSITION:
            now = min(held_to.tier_caps_pct[asked.tier - 1], held_to.max_position_size_pct)
            most = now + points / held_to.row(regime).multiplier
            return replace(held_to, tier_caps_pct=(most, most, most), max_position_size_pct=most)
        case CapType.THEME:
            rows = raised(held_to.theme_caps_pct, held_to.theme(asked.product_id), more)
            return replace(held_to, theme_caps_pct=rows)
    row = held_to.row(regime)
    now = min(held_to.max_per_asset_pct * min(row.multiplier, D(1)), row.allocations_pct[asked.tier - 1])
    rows = tuple(replace(r, allocations_pct=(D(100),) * 3) for r in held_to.regimes)
    return replace(held_to, regimes=rows, max_per_asset_pct=(now + points) / min(row.multiplier, D(1)))


def with_rule(held_to, change):
    """Limits under which a rule without a cap passes at what was found."""
    match change.code:
        case Reason.TRADE_FREQUENCY_DAILY:
            return replace(held_to, trades_per_day=int(change.value) + 1)
        case Reason.TRADE_FREQUENCY_HOURLY:
            return replace(held_to, trades_per_hour=100, new_per_hour=100)
        case Reason.MAX_OPEN_POSITIONS | Reason.ADDS_BLOCKED_WHEN_OVER_CAP | Reason.PENDING_BUY_EXISTS:
            # The end of a working purchase gives its slot back, and makes of an add a new position that needs one.
            rows = tuple(replace(row, max_positions=10) for row in held_to.regimes)
            return replace(held_to, max_open_positions=10, max_pyramids=10, regimes=rows)
        case Reason.ALREADY_HAVE_POSITION:
            return replace(held_to, dust_usd=change.value * SLACK)  # as much as dust is a position still
        case Reason.PYRAMID_DAILY_LIMIT:
            return replace(held_to, max_adds_per_day=held_to.max_adds_per_day + 1)
    return held_to


def with_fact(state, change):
    """The room's state without what a rule refused that is no number."""
    match change.code:
        case Reason.PENDING_BUY_EXISTS:
            return replace(state, orders={}, reserved={})
        case Reason.PRODUCT_DISABLED:
            return replace(state, rules={r.product_id: r for r in products_known().products})
        case Reason.KILL_SWITCH | Reason.OPERATOR_PAUSE | Reason.RATE_LIMIT_COOLDOWN:
            record = replace(state.record, killed=None, paused=None)
            return replace(state, record=record, health=health())
    return state


TOO_LITTLE = {Reason.BELOW_MIN_AFTER_CAPS, Reason.POSITION_SIZE_TOO_SMALL, Reason.NON_POSITIVE_REQUEST}
"""Refusals of the request itself; a cap that leaves too little names itself besides."""


def heal(desk, asked, record, regime):
    """Make true what the record says was missing, and no more; the request as it would have had to be."""
    nav, state = desk.state.view.nav_usd, desk.state
    held_to, seen, wait_s = state.limits, {}, D(0)
    for change in counterfactual(record):
        cap, missing = record.verdicts[change.rule].cap, missing_of(change)
        held_to, state = with_rule(held_to, change), with_fact(state, change)
        if cap is CapType.ORDER:
            held_to = replace(held_to, max_order_usd=change.needed)
        elif cap is CapType.FUNDS:
            cash = state.view.balances[0].available + missing * D("1.02")
            state = replace(state, view=replace(state.view, balances=with_cash(cash)))
        elif cap is not None:
            held_to = with_room(held_to, cap, asked, regime, missing / nav * 100)
        elif change.code in TOO_LITTLE:
            asked = replace(asked, notional_pct=change.needed / nav * 100 * SLACK)
        elif change.code is Reason.OUTLIER:
            seen |= {"sigma": {"move_sigma": 6.0}, "usd": {"ask_depth_usd": change.needed * SLACK}}.get(change.unit, {})
        elif change.unit == "s":
            wait_s = max(wait_s, abs(missing) if change.code is not Reason.STALE_DATA else D(0))
    desk.state = replace(state, limits=held_to)
    renew(desk, asked.product_id, record, seen, wait_s)
    return asked


def renew(desk, product, record, seen, wait_s):
    """Time passes, and only then are those quotes renewed that the record or the wait made old."""
    spread_or_age = any(v.code is Reason.STALE_DATA or v.unit == "bps" for v in record.verdicts if not v.passed)
    desk.now += int(wait_s * 10**9) + (1 if wait_s else 0)
    if not (wait_s or spread_or_age or seen):
        return
    before = desk.state.quotes[product]
    desk.fresh()
    kept = {"ask_depth_usd": before.ask_depth_usd, "move_sigma": before.move_sigma} | seen
    desk.tell(quote(product, at=desk.now, **kept))


@pytest.mark.req("E1")
def test_what_a_refusal_names_as_missing_is_enough_when_it_is_there():
    healed = 0
    for seed in range(SCENES):
        rng, desk = scene(seed)
        regime = rng.choice((Regime.BULL, Regime.CHOP, Regime.BEAR))
        asked = wish(rng)
        before = desk.state
        (record,) = noted(desk.ask(asked, regime=regime), Decision)
        desk.state = before
        (again,) = noted(desk.ask(asked, regime=regime), Decision)
        assert again == record, f"seed {seed}: the same book gives the same record"
        if record.approved or record.code in NEVER_EVALUATED:
            continue
        desk.state = before
        mended = heal(desk, asked, record, regime)
        (after,) = noted(desk.ask(mended, regime=regime), Decision)
        left = [(v.code, v.value, v.limit, v.detail) for v in after.verdicts if not v.passed]
        assert after.approved, f"seed {seed}: {left} after {counterfactual(record)}"
        healed += 1
    assert healed > SCENES // 3
