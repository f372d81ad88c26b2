"""Who may be traded: the first check that fails is the reason, a bound itself passes, and no data means no (U1)."""

from decimal import Decimal

import pytest

from actors.universe.actor import settings
from actors.universe.core import RULE_READERS
from protocol.effects import LogLine, SetTimer, Tell
from protocol.ids import ProductId
from protocol.instants import SECOND_NS
from protocol.lifecycle import Recover, Wake
from protocol.market import Bar, CandleClosed, CandleHistory, ProductsKnown
from protocol.risk import Alert
from protocol.strategy import HistoryWanted, Regime
from protocol.venue import ListProducts, ProductsListed, QueryFailed
from tests.support.desk_scenes import BTC, ETH, NOON_NS, health, noted, policy, product_rules, quote
from tests.support.universe_rig import HOUR_S, Rig

pytestmark = pytest.mark.req("U1")

D = Decimal


def tier(number=1):
    return next(t for t in settings(policy()).bounds.tiers if t.tier == number)


T = tier()
CHECKS = {
    "everything is fine": (lambda r: r, "eligible"),
    "volume at its floor": (lambda r: r.rules(BTC, volume_24h_usd=T.min_volume_usd), "eligible"),
    "volume below its floor": (lambda r: r.rules(BTC, volume_24h_usd=T.min_volume_usd - 1), "volume"),
    "no volume known": (lambda r: r.rules(BTC, volume_24h_usd=None), "no_market_data"),
    "spread at its bound": (lambda r: r.tell(quote(BTC, "99.9", "100.1")), "eligible"),
    "spread above its bound": (lambda r: r.tell(quote(BTC, "99.89", "100.11")), "spread"),
    "depth at its floor": (
        lambda r: r.tell(quote(BTC, bid_depth_usd=T.min_depth_usd - 1, ask_depth_usd=D(1))),
        "eligible",
    ),
    "depth below its floor": (
        lambda r: r.tell(quote(BTC, bid_depth_usd=T.min_depth_usd - 1, ask_depth_usd=D(0))),
        "depth",
    ),
    "offline": (lambda r: r.rules(BTC, status="offline"), "product_disabled"),
    "a status nobody knows": (lambda r: r.rules(BTC, status=""), "product_disabled"),
    "only cancels": (lambda r: r.rules(BTC, cancel_only=True), "product_disabled"),
    "only limits": (lambda r: r.rules(BTC, limit_only=True), "product_disabled"),
    "only post-only": (lambda r: r.rules(BTC, post_only=True), "product_disabled"),
    "trading disabled": (lambda r: r.rules(BTC, trading_disabled=True), "product_disabled"),
    "in an auction": (lambda r: r.rules(BTC, auction_mode=True), "product_disabled"),
    "not for this account": (lambda r: r.rules(BTC, view_only=True), "product_disabled"),
    "delisted comes before thin": (lambda r: r.rules(BTC, status="delisted", volume_24h_usd=D(0)), "product_disabled"),
    "thin comes before wide": (
        lambda r: r.rules(BTC, volume_24h_usd=D(0)).tell(quote(BTC, "90", "110")),
        "volume",
    ),
}


def test_the_shipped_bounds_are_those_of_the_table():
    assert (T.min_volume_usd, T.max_spread_bps) == (D(10_000_000), D(20))


@pytest.mark.parametrize(("act", "expected"), CHECKS.values(), ids=CHECKS)
def test_checks(act, expected):
    assert act(Rig()).why() == expected


def test_an_exclusion_carries_tier_value_and_limit():
    found = Rig().rules(BTC, volume_24h_usd=D(5)).view().excluded
    (btc,) = [x for x in found if x.product_id == BTC]
    assert (btc.tier, btc.reason, btc.value, btc.limit) == (1, "volume", 5.0, float(T.min_volume_usd))


def test_never_trade_comes_first():
    assert Rig(never=frozenset({BTC})).rules(BTC, status="offline").why() == "never_trade"


NO_DATA = {
    "no quote yet": lambda rig: rig.tell(
        ProductsListed(request_id="products", products=tuple(product_rules(p) for p in rig.state.settings.products()))
    ),
    "no rules yet": lambda rig: rig.tell(quote(BTC)),
    "rules that no longer name it": lambda rig: rig.tell(
        quote(BTC), ProductsListed(request_id="products", products=(product_rules(ETH),))
    ),
}


@pytest.mark.parametrize("act", NO_DATA.values(), ids=NO_DATA)
def test_no_data_is_not_eligible(act):
    rig = Rig(ready=False)
    act(rig)
    assert rig.why() == "no_market_data"


@pytest.mark.req("ST1")
@pytest.mark.parametrize(
    ("offset_s", "age_s", "expected"),
    [
        pytest.param(3, 6, "no_market_data", id="old, the venue's clock ahead"),
        pytest.param(3, 4, "eligible", id="young, the venue's clock ahead"),
        pytest.param(0, -2, "no_market_data", id="from the future"),
        pytest.param(-3, 6, "no_market_data", id="old, the venue's clock behind"),
        pytest.param(-3, 4, "eligible", id="young, the venue's clock behind"),
    ],
)
def test_a_quote_ages_by_the_venues_clock(offset_s, age_s, expected):
    rig = Rig()
    rig.tell(health(clock_offset_ns=offset_s * SECOND_NS), health(clock_offset_ns=None))
    rig.tell(quote(BTC, at=rig.now_ns + (offset_s - age_s) * SECOND_NS))
    assert rig.why() == expected


@pytest.mark.parametrize(("late_ns", "expected"), [(0, "eligible"), (1, "no_market_data")], ids=["at its age", "older"])
def test_a_quote_is_believed_to_its_age_and_no_longer(late_ns, expected):
    rig = Rig()
    rig.now_ns += rig.state.settings.bounds.quote_age_ns + late_ns
    assert rig.why() == expected


def test_nothing_is_eligible_in_a_crash_and_the_regime_is_told():
    rig = Rig()
    falling = tuple(
        Bar(start_s=i * HOUR_S, open=100, high=101, low=80, close=100 - i * 0.08, volume=1) for i in range(168)
    )
    view = rig.tell(CandleHistory(product_id=BTC, granularity_s=HOUR_S, bars=falling)).view()
    assert (view.regime, view.eligible) == (Regime.CRASH, ())
    assert {x.reason for x in view.excluded} == {"regime_tier_zero"}
    assert view.trend_pct == pytest.approx(-13.36)


def test_every_configured_product_is_either_eligible_or_excluded():
    view = Rig().rules(ETH, status="offline").view()
    named = sorted([a.product_id for a in view.eligible] + [x.product_id for x in view.excluded])
    assert named == sorted(policy().universe.products)


def closed(number, close=100.0, product=BTC, seconds=HOUR_S):
    bar = Bar(start_s=number * seconds, open=close, high=close, low=close, close=close, volume=1)
    return CandleClosed(product_id=product, granularity_s=seconds, bar=bar)


def test_only_bitcoin_s_hours_count_each_once_and_no_more_than_a_week():
    rig = Rig().tell(*(closed(i) for i in range(200)))
    assert len(rig.state.hours) == 168
    rig.tell(closed(199, 1.0), closed(150, 1.0), closed(300, 1.0, ETH), closed(9000, 1.0, seconds=900))
    assert {bar.close for bar in rig.state.hours} == {100.0}
    assert rig.state.hours[-1].start_s == 199 * HOUR_S


def history(*numbers, close=100.0):
    return CandleHistory(product_id=BTC, granularity_s=HOUR_S, bars=tuple(closed(n, close).bar for n in numbers))


@pytest.mark.req("U3")
def test_after_a_hole_the_hours_are_asked_for_and_what_is_known_holds_until_they_come():
    rig = Rig().tell(history(*range(168)), closed(170))
    wanted = Tell(to=f"feed:{BTC}", message=HistoryWanted(product_id=BTC))
    assert rig.effects == (wanted,)
    assert rig.state.hours[-1].start_s == 167 * HOUR_S
    assert rig.tell(closed(171)).effects == (wanted,), "an answer that was lost is asked for again"
    rig.tell(history(*range(4, 172), close=90.0))
    assert rig.effects == ()
    assert ({bar.close for bar in rig.state.hours}, len(rig.state.hours)) == ({90.0}, 168)
    assert rig.tell(closed(172)).effects == ()
    assert rig.state.hours[-1].start_s == 172 * HOUR_S


@pytest.mark.req("U3")
def test_hours_that_the_venue_itself_lacks_are_said():
    rig = Rig().tell(history(0, 1, 4, 5))
    (log,) = rig.effects
    assert (log.event, log.level, dict(log.fields)) == (
        "leader_hours_missing",
        "warning",
        {"product": BTC, "hours": "2"},
    )
    assert rig.tell(closed(6)).effects == ()
    assert [bar.start_s // HOUR_S for bar in rig.state.hours] == [0, 1, 4, 5, 6]


def test_rules_are_asked_at_the_start_and_again_told_to_their_readers_and_renewed():
    rig = Rig(ready=False).tell(Recover())
    wanted = ListProducts(request_id="products", reply_to="universe", product_ids=rig.state.settings.products())
    ask = Tell(to="gateway", message=wanted)
    assert ask in rig.effects
    rig.rules(BTC)
    assert [e.to for e in rig.effects if isinstance(e, Tell) and isinstance(e.message, ProductsKnown)] == list(
        RULE_READERS
    )
    (timer,) = [e for e in rig.effects if isinstance(e, SetTimer)]
    assert timer.due_ns == rig.now_ns + 300 * SECOND_NS
    assert rig.tell(Wake(timer="products", due_ns=0)).effects == (ask,)


def test_rules_that_cannot_be_had_are_asked_for_again_and_nothing_is_made_up():
    rig = Rig(ready=False).tell(QueryFailed(request_id="products", kind="timeout", detail=""))
    assert rig.effects == (SetTimer(timer="products", due_ns=NOON_NS + 2 * SECOND_NS),)
    assert rig.view().eligible == ()


def test_a_configured_product_the_venue_does_not_know_is_said():
    rig = Rig(ready=False).rules(BTC)
    (log,) = [e for e in rig.effects if isinstance(e, LogLine)]
    assert log.event == "unknown_products"
    named = dict(log.fields)["products"].split(",")
    assert ProductId("ETH-USD") in named
    assert BTC not in named


# --- what is said -------------------------------------------------------------------------------------------------


def lines(rig):
    return [(e.event, dict(e.fields)) for e in rig.effects if isinstance(e, LogLine)]


def test_who_drops_out_is_said_once_with_symbol_tier_and_reason():
    rig = Rig()
    rig.view()
    assert [event for event, _ in lines(rig)] == ["product_eligible"] * 14
    rig.rules(BTC, status="offline").view()
    expected = {"symbol": BTC, "tier": "1", "exclusion_reason": "product_disabled"}
    assert lines(rig) == [("product_excluded", expected)]
    rig.view()
    assert lines(rig) == []
    rig.rules(BTC).view()
    assert lines(rig) == [("product_eligible", {"symbol": BTC, "tier": "1"})]


def test_every_bound_that_was_evaluated_is_a_row_also_behind_the_first_failure():
    rig = Rig().volume(BTC, 5).tell(quote(BTC, "90", "110", bid_depth_usd=D(1), ask_depth_usd=D(2)))
    found = rig.found(BTC)
    assert found.reason == "volume"
    assert [(c.code, c.passed, c.value, c.limit, c.unit) for c in found.checks] == [
        ("regime_tier_zero", True, 40.0, 0.0, "pct"),
        ("no_market_data", True, 0.0, 5.0, "s"),
        ("volume", False, 5.0, float(T.min_volume_usd), "usd"),
        ("spread", False, 2000.0, 20.0, "bps"),
        ("depth", False, 3.0, float(T.min_depth_usd), "usd"),
    ]


def shrunk(count):
    """A universe in which all but `count` products are offline."""
    rig = Rig()
    for product in rig.settings.products()[count:]:
        rig.rules(product, status="offline")
    return rig


@pytest.mark.parametrize(("count", "alerts_"), [(2, []), (1, ["CRITICAL"]), (0, ["CRITICAL"])])
def test_fewer_than_must_be_is_a_critical_alert_once(count, alerts_):
    rig = shrunk(count)
    assert len(rig.view().eligible) == count
    raised = noted(rig.effects, Alert)
    assert [(a.kind, a.severity) for a in raised] == [("empty_universe", severity) for severity in alerts_]
    rig.view()
    assert noted(rig.effects, Alert) == []


def test_the_alert_comes_again_after_enough_were_there():
    rig = shrunk(1)
    for expected in (1, 0):
        rig.view()
        assert len(noted(rig.effects, Alert)) == expected
    rig.rules("ETH-USD").view()
    rig.rules("ETH-USD", status="offline").view()
    assert len(noted(rig.effects, Alert)) == 1


def test_before_the_venue_has_told_its_products_nobody_is_woken():
    rig = Rig(ready=False)
    rig.view()
    assert noted(rig.effects, Alert) == []
