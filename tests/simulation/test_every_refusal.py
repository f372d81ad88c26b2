"""Every reason code of the canon, reached through the running tree; and a complaint about any that nothing reaches.

Each scene is one desk in the kernel against the embedded venue: its configuration through the loader, its operator
through the control room, its faults at the venue or the store. What it must have said is read from outside: decision
records, cycle records and gate changes of the journal, or the gates of the published view.
"""

from collections.abc import Callable
from decimal import Decimal

import pytest
from msgspec.structs import replace

from actors.recorder.store import StoreFailedError
from actors.risk.core import RECORD_KEY
from actors.risk.state import Closed, Entry, Record
from actors.runtime.mailbox import EVENT_BOUND
from ops.simulate.journal import messages, unsealed
from ops.simulate.world import START_NS
from protocol.control import BanProduct, DriftFound, Latch, PauseEntries
from protocol.decisions import NoTrade
from protocol.instants import DAY_NS, HOUR_NS
from protocol.risk import Reason, TradingState
from protocol.strategy import CycleRecord
from tests.support.desk_scenes import D
from tests.support.refusal_desk import MAJORS, MOVING, RefusalDesk, moving

AT_ONCE = {
    "risk.min_seconds_between_trades": "0",
    "risk.per_symbol_trade_spacing_seconds": "0",
    "risk.per_symbol_cooldown_minutes": "0",
}
"""No pacing: what is refused then is refused for something else."""
LATE = {"loop.interval.seconds": "30"}
"""The second cycle, the first to see a market, leaves time to buy something by hand before it."""
Play = Callable[[], RefusalDesk]
SCENES: dict[str, tuple[Play, frozenset[str]]] = {}


def scene(*codes: Reason | NoTrade) -> Callable[[Play], Play]:
    """What a scene must make the desk say."""

    def kept(play: Play) -> Play:
        SCENES[play.__name__] = play, frozenset(code.value for code in codes)
        return play

    return kept


def running(products: tuple[str, ...] = MAJORS, overrides: dict[str, str] | None = None, **more) -> RefusalDesk:
    """A desk that may trade, and whose strategy wants nothing."""
    desk = RefusalDesk(products, overrides, **more)
    desk.run(15.0)
    assert desk.view().state is TradingState.ACTIVE, desk.gates()
    return desk


# --- the venue ----------------------------------------------------------------------------------------------------


@scene(Reason.EXCHANGE_UNHEALTHY, Reason.API_HEALTH, NoTrade.NO_DATA)
def an_outage():
    desk = running()
    desk.fault("maintenance", for_s=60.0)
    for code in ("exchange_unhealthy", "data_unavailable"):
        desk.refuses(code, 45)
    return desk


@scene(Reason.RATE_LIMIT_COOLDOWN)
def too_many_requests():
    desk = running()
    desk.fault("rate_limit", "list_accounts", count=1, for_s=20.0)
    desk.refuses("rate_limit_cooldown")
    return desk


@scene(Reason.CREDENTIALS)
def a_key_that_is_refused():
    desk = running()
    desk.fault("unauthorized", "list_accounts", for_s=30.0)
    desk.refuses("credentials")
    return desk


@scene(Reason.CLOCK)
def a_clock_that_is_off():
    desk = running()
    desk.fault("clock_offset", parameters={"s": 1.0})
    desk.refuses("clock", 80)
    return desk


@scene(Reason.STALE_DATA)
def a_silent_market():
    desk = running()
    desk.fault("ws_silence", "level2", for_s=20.0)
    desk.fault("ws_refuse", for_s=20.0)
    desk.refuses("stale_data")
    return desk


@scene(Reason.PRODUCT_DISABLED)
def a_product_held_back():
    desk = RefusalDesk()
    desk.fault("product_state", "ETH-USD", parameters={"cancel_only": True})
    desk.run(15.0)
    assert desk.order("ETH-USD").code != 0
    return desk


@scene(Reason.REJECTION_BURST, Reason.COOLDOWN)
def refused_orders():
    desk = running(overrides=AT_ONCE)
    desk.fault("forbidden", "create_order", for_s=60.0)
    for product in ("ETH-USD", *MAJORS):  # the second one of them finds the cooldown of the first
        desk.order(product)
        desk.run(1.0)
    desk.refuses("order_rejection_burst")
    return desk


@scene(Reason.OUTLIER)
def a_torn_book():
    desk = running()
    desk.venue.market.halt("ETH-USD", halted=True)
    mid = desk.mid("ETH-USD")
    rungs = [(mid.quantize(D("0.01")) + D(n), D(100)) for n in (-40, 40)]
    desk.venue.exchange.quote_market("ETH-USD", rungs[:1], rungs[1:], desk.clock.now_ns())
    desk.run(2.0)
    desk.order("ETH-USD")
    return desk


# --- the market ---------------------------------------------------------------------------------------------------


@scene(Reason.REGIME_CRASH)
def a_wild_market():
    desk = RefusalDesk(overrides={"circuit_breakers.max_realized_volatility_pct": "5"})
    desk.refuses("regime_crash")
    return desk


@scene(Reason.INSUFFICIENT_UNIVERSE, NoTrade.EMPTY_UNIVERSE)
def banned_products():
    desk = running()
    for product in MAJORS[1:]:
        assert desk.ask(BanProduct(by="ann@desk", product_id=product, reason="team_rug")).code == 0
    desk.refuses("insufficient_universe")
    assert desk.ask(BanProduct(by="ann@desk", product_id="BTC-USD", reason="team_rug")).code == 0
    desk.run(6.0)
    return desk


@scene(Reason.DAILY_STOP, Reason.WEEKLY_STOP, Reason.MAX_DRAWDOWN)
def a_fall_of_what_is_held():
    desk = running(wallet={"USD": D(2000), "BTC": D(1)})
    desk.run(30.0)
    desk.venue.market.set_path("BTC-USD", [(20.0, desk.mid("BTC-USD") * D("0.8"))])
    desk.refuses("max_drawdown", 60)
    return desk


# --- the desk -----------------------------------------------------------------------------------------------------


@scene(Reason.NOT_RECONCILED)
def an_order_before_the_first_picture():
    desk = RefusalDesk()
    desk.order("BTC-USD")
    return desk


@scene(Reason.EXCEPTION_BURST)
def two_crashes():
    desk = running()
    for _ in range(2):
        desk.crash("cycle")
        desk.run(3.0)
    desk.refuses("exception_burst")
    return desk


@scene(Reason.WATCHDOG_ABSENT, Reason.KILL_SWITCH)
def the_pages():
    desk = running()
    pages = desk.world.pages
    pages.watchdog_age_s = 2.5
    desk.refuses("watchdog_absent")
    pages.latch = Latch(killed=True, epoch=0, reason="drill", by="test", at_ns=desk.clock.now_ns(), scope="mine")
    desk.refuses("kill_switch")
    return desk


@scene(Reason.EVENT_LANE)
def a_lane_that_fills():
    desk = running()
    record = next(m for _, m in messages(unsealed(desk)) if isinstance(m, CycleRecord))
    for _ in range(EVENT_BOUND // 2 + 1000):
        desk.tell("metrics", record)
    desk.refuses("event_lane")
    return desk


@scene(Reason.STORE_FAILURE)
def a_disk_that_fails():
    desk = running()

    def broken(_point: str) -> None:
        raise StoreFailedError("input/output error")

    desk.store.at_point = broken
    desk.refuses("store_failure")
    return desk


@scene(Reason.OPERATOR_PAUSE)
def a_pause():
    desk = running()
    assert desk.ask(PauseEntries(by="ann@desk", reason="lunch")).code == 0
    desk.order("BTC-USD")
    return desk


@scene(Reason.ACCOUNTING_MISMATCH)
def an_order_that_filled_for_too_much():
    desk = running()
    desk.fault("ws_rewrite", "user", parameters={"members": {"filled_value": "200"}})
    desk.fault("rewrite", parameters={"members": {"filled_value": "200"}})
    desk.order("SOL-USD", 50)
    desk.refuses("accounting_mismatch")
    return desk


# --- sizes and caps -----------------------------------------------------------------------------------------------


@scene(Reason.POSITION_SIZE_TOO_SMALL, Reason.STRATEGY_CAP, Reason.POSITION_CAP, Reason.SHORTING_DISALLOWED)
def sizes_that_do_not_fit():
    desk = running()
    for usd in (20, 900, 3000):
        assert desk.order("BTC-USD", usd).code != 0
    assert desk.sell("BTC-USD", D("0.001")).code != 0
    return desk


@scene(Reason.THEME_CAP)
def a_theme_that_is_full():
    desk = running(overrides={**AT_ONCE, "risk.max_per_theme_pct.LAYER1": "4"})
    desk.buy("ETH-USD", 250)
    desk.order("BTC-USD", 250)
    return desk


@scene(Reason.TOTAL_AT_RISK_CAP)
def coins_of_others_take_the_room():
    desk = running(wallet={"USD": D(10_000), "ETH": D(10)})
    desk.order("BTC-USD")
    return desk


@scene(Reason.INSUFFICIENT_FUNDS)
def not_enough_money():
    desk = running(overrides={"risk.count_external_positions": "false"}, wallet={"USD": D(100), "ETH": D(10)})
    desk.order("BTC-USD", 200)
    return desk


@scene(Reason.NO_NAV)
def a_coin_without_a_price():
    desk = RefusalDesk(wallet={"USD": D(10_000), "XLM": D(1000)})
    desk.run(15.0)
    desk.order("BTC-USD")
    return desk


@scene(Reason.BELOW_MIN_AFTER_CAPS)
def too_little_room_is_left():
    desk = moving()
    desk.deposit("ETH", D(3315) / desk.mid("ETH-USD"))  # of a quarter of 13 315 USD, the cap, that leaves some 14 USD
    desk.refuses("below_min_after_caps")
    return desk


@scene(Reason.NON_POSITIVE_REQUEST)
def a_strategy_that_only_lost():
    desk = moving({"position_sizing.method": "kelly"})
    desk.run(4.0)
    lost = Closed(losses=50, lost_usd=Decimal(500))
    desk.rewrite(RECORD_KEY, Record, lambda record: replace(record, closed={"rules_engine": lost}))
    desk.refuses("non_positive_request")
    return desk


# --- slots, adds and pacing ---------------------------------------------------------------------------------------


@scene(Reason.MAX_OPEN_POSITIONS, Reason.TRADE_SPACING)
def coins_that_move():
    desk = moving()
    desk.refuses("trade_spacing")
    return desk


@scene(NoTrade.SLOTS_TAKEN)
def every_slot_is_taken():
    desk = moving({**AT_ONCE, **LATE, "risk.max_open_positions": "1"})
    desk.run(10.0)
    desk.buy("BTC-USD")
    desk.refuses("max_open_positions_saturated")
    return desk


@scene(Reason.ADDS_BLOCKED_WHEN_OVER_CAP, NoTrade.ALL_BLOCKED)
def the_only_slot_is_its_own():
    desk = moving({**AT_ONCE, **LATE, "risk.max_open_positions": "1"})
    desk.run(10.0)
    desk.buy(MOVING[0])
    desk.refuses("all_proposals_blocked_by_risk")
    return desk


@scene(Reason.ALREADY_HAVE_POSITION)
def it_is_held_already():
    desk = running(overrides=AT_ONCE)
    desk.buy("BTC-USD")
    desk.order("BTC-USD")
    return desk


@scene(Reason.TRADE_FREQUENCY_DAILY)
def a_days_entries():
    numbers = {"risk.max_trades_per_day": "24", "risk.max_trades_per_hour": "1", "risk.max_new_trades_per_hour": "1"}
    desk = moving({**AT_ONCE, **numbers})
    desk.run(4.0)
    this_morning = (Entry(at_ns=desk.clock.now_ns() - 2 * HOUR_NS, new=True),) * 24
    desk.rewrite(RECORD_KEY, Record, lambda record: replace(record, entries=this_morning))
    desk.refuses("trade_frequency_daily")
    return desk


@scene(Reason.TRADE_FREQUENCY_HOURLY)
def an_hours_entries():
    desk = moving({**AT_ONCE, "risk.max_new_trades_per_hour": "1"})
    desk.refuses("trade_frequency_hourly")
    return desk


@scene(Reason.LOSS_STREAK_COOLDOWN)
def three_losses():
    desk = running(overrides=AT_ONCE)
    for product in MAJORS:
        size = desk.buy(product)
        assert desk.sell(product, size).code == 0
        desk.until(lambda name=product: not desk.held(name), 10)
    desk.refuses("loss_streak_cooldown")
    return desk


@scene(Reason.PENDING_BUY_EXISTS)
def a_purchase_that_rests():
    desk = running(overrides=AT_ONCE)
    assert desk.order("ETH-USD", resting=True).code == 0
    desk.run(2.0)
    desk.order("ETH-USD")
    return desk


@scene(Reason.PYRAMID_COOLDOWN, Reason.PYRAMID_DAILY_LIMIT)
def adds():
    pyramids = {
        "risk.allow_pyramiding": "true",
        "position_sizing.allow_pyramiding": "true",
        "position_sizing.max_pyramid_positions": "1",
        "risk.pyramid_cooldown_seconds": "20",
    }
    desk = running(overrides={**AT_ONCE, **pyramids})
    desk.buy("BTC-USD")
    desk.order("BTC-USD")
    desk.refuses("pyramid_cooldown")
    desk.run(21.0)
    desk.buy("BTC-USD")
    desk.run(21.0)
    desk.order("BTC-USD")
    return desk


# --- cycles that come to nothing ----------------------------------------------------------------------------------


@scene(NoTrade.NO_TRIGGERS)
def a_quiet_market():
    return running()


@scene(NoTrade.NO_PROPOSALS)
def nothing_convinces():
    small = {"triggers.regime_thresholds.chop.pct_change_15m": "0.4", "circuit_breakers.enable_atr_filter": "false"}
    desk = moving(small, coins=())  # the majors' moves are triggers then, and none of them is enough for an entry
    desk.refuses("rules_engine_no_proposals")
    return desk


@scene(NoTrade.ORDERS_PENDING)
def a_coin_that_is_being_bought():
    desk = moving(coins=MOVING[:1])
    desk.refuses("open_orders_pending", 40)
    return desk


@scene(NoTrade.NOTHING_PLACED)
def no_order_can_be_made():
    desk = moving(coins=MOVING[:1])
    desk.venue.exchange.set_product(MOVING[0], desk.clock.now_ns(), base_max_size=D("0.01"))
    desk.run(15.0)
    return desk


@scene(NoTrade.WEEKEND)
def a_day_that_is_skipped():
    desk = RefusalDesk(overrides={"loop.skip_weekends": "true"}, start_ns=START_NS + 3 * DAY_NS)
    desk.refuses("weekend")
    return desk


# --- strategies of a user's own -----------------------------------------------------------------------------------


@scene(Reason.SCHEMA_INVALID)
def a_target_that_is_no_number():
    desk = RefusalDesk(own="NoNumber")
    desk.refuses("schema_invalid")
    return desk


@scene(NoTrade.EXCEPTION)
def a_strategy_that_raises():
    desk = RefusalDesk(own="Raises")
    desk.refuses("exception")
    return desk


# --- the configuration --------------------------------------------------------------------------------------------


@scene(Reason.CONFIG_DRIFT)
def files_that_say_something_else():
    desk = running()
    desk.ask(DriftFound(by="root", running="one", found="another"))
    desk.refuses("config_drift")
    return desk


@scene(Reason.GOVERNANCE)
def a_live_run_that_governance_has_stopped():
    desk = RefusalDesk(live=False)
    desk.run(15.0)
    assert desk.order("BTC-USD").code != 0
    return desk


# --- the table ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.req("CB1", "E1", "CD1", "STR3")
@pytest.mark.parametrize("name", SCENES)
def test_a_scene_makes_the_desk_say_its_codes(name):
    play, codes = SCENES[name]
    desk = play()
    assert codes <= desk.published()


@pytest.mark.req("CB1")
def test_every_code_is_reached_by_a_scene():
    canon = {code.value for code in (*Reason, *NoTrade)}
    reached = {code for _, codes in SCENES.values() for code in codes}
    assert reached == canon
