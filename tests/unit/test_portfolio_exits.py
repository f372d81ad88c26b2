"""Leaving a position: which rule calls, at which price, how often, and how much is sold (execution.md §10)."""

import pytest
from msgspec.structs import replace

from actors.portfolio.exits import ExitRules, judge
from protocol.market import PublicTrade
from protocol.orders import CancelOrder, Purpose, Side, Status
from protocol.portfolio import ExitWanted
from protocol.strategy import Regime
from tests.support.desk_rooms import Books
from tests.support.desk_scenes import (
    BTC,
    ETH,
    NOON_NS,
    TARGETS,
    D,
    fill_record,
    intent,
    intent_done,
    listed,
    order,
    position,
    product_rules,
    products_known,
    quote,
    told,
    universe_view,
)

TRAILING = ExitRules(trailing_stop_pct=D(5))
HOLD_NS = TARGETS.max_hold_s * 1_000_000_000

# bid, the highest bid before, rules, age; the rule that calls
RULES = {
    "a stop at its level": ("90", "100", ExitRules(), 0, "stop_loss"),
    "no stop a tick above its level": ("90.01", "100", ExitRules(), 0, ""),
    "a target at its level": ("112", "112", ExitRules(), 0, "take_profit"),
    "no target a tick below its level": ("111.99", "111.99", ExitRules(), 0, ""),
    "a hold at its end": ("100", "100", ExitRules(), HOLD_NS, "max_hold"),
    "no hold a nanosecond before its end": ("100", "100", ExitRules(), HOLD_NS - 1, ""),
    "a trailing stop at its level": ("104.5", "110", TRAILING, 0, "trailing_stop"),
    "no trailing stop a tick above its level": ("104.51", "110", TRAILING, 0, ""),
    "no trailing stop of what was never in profit": ("94", "99", TRAILING, 0, ""),
    "no trailing stop unless it is on": ("104.5", "110", ExitRules(), 0, ""),
    "the stop before the trailing stop": ("90", "110", TRAILING, HOLD_NS, "stop_loss"),
    "the trailing stop before the target": ("112", "120", TRAILING, HOLD_NS, "trailing_stop"),
    "the target before the hold": ("112", "112", ExitRules(), HOLD_NS, "take_profit"),
    "a stop that is off": ("90", "100", ExitRules(stop_loss=False), 0, ""),
    "a target that is off": ("112", "112", ExitRules(take_profit=False), 0, ""),
    "a hold that is off": ("100", "100", ExitRules(max_hold=False), HOLD_NS, ""),
}


@pytest.mark.parametrize(("bid", "peak", "rules", "age_ns", "code"), RULES.values(), ids=RULES)
def test_which_rule_calls(bid, peak, rules, age_ns, code):
    held = position(peak=D(peak))
    assert judge(held, D(bid), rules, Regime.CHOP, NOON_NS + age_ns) == code


SHAPED = ExitRules(crash_stop_mult=D("0.5"), bull_target_mult=D("1.2"), trailing_stop_pct=D(8))

# bid, the highest bid before, regime; the rule that calls: the position's own levels are 90 and 112, trailing 8 %
REGIMES = {
    "a crash halves the way to the stop": ("95", "99", Regime.CRASH, "stop_loss"),
    "a tick above the halved way": ("95.01", "99", Regime.CRASH, ""),
    "a crash halves the trailing stop": ("105.6", "110", Regime.CRASH, "trailing_stop"),
    "a tick above the halved trailing stop": ("105.61", "110", Regime.CRASH, ""),
    "a crash leaves the target": ("112", "112", Regime.CRASH, "take_profit"),
    "a bull market moves the target": ("112", "112", Regime.BULL, ""),
    "a bull market's target": ("114.4", "114.4", Regime.BULL, "take_profit"),
    "a bull market leaves the stop": ("95", "99", Regime.BULL, ""),
    "chop leaves the stop": ("95", "99", Regime.CHOP, ""),
    "a bear leaves the target": ("112", "112", Regime.BEAR, "take_profit"),
}


@pytest.mark.req("U3")
@pytest.mark.parametrize(("bid", "peak", "regime", "code"), REGIMES.values(), ids=REGIMES)
def test_which_rule_calls_in_which_regime(bid, peak, regime, code):
    assert judge(position(peak=D(peak)), D(bid), SHAPED, regime, NOON_NS) == code


def holding(size=1, **settings):
    """Books with a position of one BTC bought at 100, its order settled."""
    books = Books(**settings)
    books.reconcile()
    books.know(order(size=size, filled_size=D(size), filled_value=D(size) * 100))
    books.tell(listed(fill_record(size=size)))
    books.know(order(size=size, status=Status.FILLED, filled_size=D(size), booked_size=D(size)))
    return books


def at(books, bid, ask=None, **changes):
    """What a quote calls for."""
    ask = ask or str(D(bid) * D("1.005"))
    return told(books.tell(quote(bid=bid, ask=ask, **{"at": books.now, **changes})), ExitWanted, "risk")


@pytest.mark.req("DD1")
def test_the_quote_that_crosses_the_level_calls_at_once_with_all_that_is_held():
    books = holding()
    assert at(books, "90.01") == []
    (wanted,) = at(books, "90", "90.50")
    assert (wanted.code, wanted.quantity, wanted.step) == ("stop_loss", D(1), 0)
    assert (wanted.bid, wanted.ask) == (D(90), D("90.50"))
    assert (wanted.strategy, wanted.correlation) == ("rules_engine", "c-BTC-USD")


def test_a_position_is_worth_its_bid_not_its_ask():
    assert [w.code for w in at(holding(), "89.9", "90.5")] == ["stop_loss"]
    assert at(holding(), "111.5", "112.3") == []


@pytest.mark.req("U3")
def test_a_regime_that_turns_acts_on_the_next_quote():
    books = holding(rules=SHAPED)
    assert at(books, "95") == []
    books.tell(universe_view(regime=Regime.CRASH))
    assert [w.code for w in at(books, "95")] == ["stop_loss"]


WIDE, JUMP = {"ask": "92"}, {"move_sigma": 6.1}


@pytest.mark.req("O1")
@pytest.mark.parametrize("outlier", [WIDE, JUMP], ids=["wide", "jump"])
def test_a_level_that_an_outlier_crosses_must_be_crossed_again_a_quarter_second_later(outlier):
    books = holding()
    assert at(books, "90", **outlier, sequence=5) == []
    assert at(books.later(0.1), "90", **outlier, sequence=6) == [], "too soon"
    assert at(books.later(0.2), "90", **outlier, sequence=5) == [], "the same book state"
    assert [w.code for w in at(books, "90", **outlier, sequence=7)] == ["stop_loss"]


def trade(price, product=BTC, at=NOON_NS, name="1"):
    return PublicTrade(product_id=product, trade_id=name, price=D(price), size=D(1), aggressor_buy=False, venue_ns=at)


@pytest.mark.req("O1")
@pytest.mark.parametrize("price", ["90", "88"], ids=["at the level", "through it"])
def test_a_trade_at_or_through_the_level_confirms_what_an_outlier_crossed(price):
    books = holding()
    assert at(books, "90", **JUMP, sequence=5) == []
    (wanted,) = told(books.later(0.1).tell(trade(price)), ExitWanted, "risk")
    assert (wanted.code, wanted.bid, wanted.step) == ("stop_loss", 90, 0)
    assert told(books.tell(trade(price, name="2")), ExitWanted) == [], "one try is out at a time"


NO_WORD = {
    "above the level": {"price": "90.01"},
    "of another product": {"price": "90", "product": ETH},
    "before the book state": {"price": "90", "at": NOON_NS - 1},
    "at another level": {"price": "112"},
}


@pytest.mark.req("O1")
@pytest.mark.parametrize("parts", NO_WORD.values(), ids=NO_WORD)
def test_a_trade_is_no_word_of_an_outlier_when_it_is(parts):
    books = holding()
    at(books, "90", **JUMP, sequence=5)
    assert told(books.tell(trade(**parts)), ExitWanted) == []


@pytest.mark.req("O1")
def test_a_trade_alone_or_with_an_old_quote_sells_nothing():
    books = holding()
    assert told(books.tell(trade("80")), ExitWanted) == [], "no quote at all"
    at(books, "100")
    assert told(books.tell(trade("80")), ExitWanted) == [], "no doubt"
    at(books, "90", **JUMP, sequence=5)
    assert told(books.later(6).tell(trade("80")), ExitWanted) == [], "the quote is too old to sell by"


@pytest.mark.req("O1")
def test_an_ordinary_quote_at_the_level_confirms_at_once_and_one_above_it_ends_the_doubt():
    books = holding()
    at(books, "90", **JUMP, sequence=5)
    assert len(at(books, "90", sequence=6)) == 1
    books = holding()
    at(books, "90", **JUMP, sequence=5)
    assert at(books.later(1), "99", sequence=6) == []
    assert at(books.later(1), "90", **JUMP, sequence=7) == [], "a new doubt waits anew"
    assert len(at(books.later(0.25), "90", **JUMP, sequence=8)) == 1


@pytest.mark.req("O1")
def test_six_sigmas_are_no_outlier_and_the_end_of_a_hold_asks_no_price():
    assert len(at(holding(), "90", move_sigma=6.0)) == 1
    books = holding().later(TARGETS.max_hold_s)
    assert [w.code for w in at(books, "100", **JUMP)] == ["max_hold"]


@pytest.mark.req("O1")
def test_a_confirming_feed_may_have_begun_anew():
    books = holding()
    at(books, "90", **JUMP, sequence=500)
    assert at(books.later(1), "90", **JUMP, sequence=1) == []
    assert len(at(books.later(0.25), "90", **JUMP, sequence=2)) == 1


@pytest.mark.req("O1")
def test_an_outlier_is_no_peak_for_a_trailing_stop():
    books = holding(rules=TRAILING)
    at(books, "110", "115")
    assert at(books, "104") == [], "5 % below 110, which nobody paid"
    at(books, "110")
    assert [w.code for w in at(books, "104.5")] == ["trailing_stop"]


def test_another_products_price_is_no_reason():
    books = holding()
    assert told(books.tell(quote(ETH, bid="1", ask="2")), ExitWanted) == []


@pytest.mark.req("ST1")
def test_a_stale_quote_is_no_reason_and_the_next_fresh_one_is():
    books = holding().later(10)
    assert at(books, "50", at=books.now - 5_000_000_001) == []
    assert len(at(books, "50", at=books.now - 5_000_000_000)) == 1


def test_one_try_is_out_at_a_time():
    books = holding()
    assert len(at(books, "90")) == 1
    assert at(books.later(3), "80") == []


TRIES = {
    "not before two seconds after the last": (1.999, "plan_exhausted", []),
    "two seconds after the last, one step further": (2, "plan_exhausted", [1]),
    "a partial try is followed by the next": (2, "partial", [1]),
    "a try that risk refused is no step": (2, "refused:stale_data", [0]),
    "what only lacked fresh data waits for them alone": (0, "refused:stale_data", [0]),
    "so does what the desk found stale": (0, "stale_data", [0]),
    "other refusals wait as long as a try": (1.999, "refused:product_disabled", []),
    "a try that the desk did not send is no step": (2, "state_halted", [0]),
    "a filled try is the last": (2, "filled", [0]),
}


@pytest.mark.parametrize(("seconds", "outcome", "steps"), TRIES.values(), ids=TRIES)
def test_the_next_try(seconds, outcome, steps):
    books = holding()
    at(books, "90")
    books.tell(intent_done(outcome=outcome))
    assert [w.step for w in at(books.later(seconds), "90")] == steps


def test_the_ladder_goes_on_while_the_position_stands():
    books, steps = holding(), []
    for _ in range(6):
        steps += [w.step for w in at(books, "90")]
        books.tell(intent_done())
        books.later(2)
    assert steps == [0, 1, 2, 3, 4, 5]


def test_what_began_as_a_stop_goes_on_when_the_price_comes_back():
    books = holding()
    at(books, "90")
    books.tell(intent_done())
    assert [w.code for w in at(books.later(2), "99")] == ["stop_loss"]


def test_a_try_of_which_nothing_is_heard_is_given_up_after_five_seconds():
    books = holding()
    at(books, "90")
    assert at(books.later(4.999), "90") == []
    assert [w.step for w in at(books.later(0.001), "90")] == [1]


def test_a_try_whose_order_works_is_not_offered_again_however_long_it_takes():
    books = holding()
    at(books, "90")
    books.know(order(side=Side.SELL))
    assert at(books.later(60), "90") == []


WORKING = {
    "a working sale of a part": (order(side=Side.SELL, size="0.4"), "0.6"),
    "a sale that ended and is not booked": (
        order(side=Side.SELL, status=Status.CANCELED, filled_size=D("0.3"), filled_value=D(30)),
        "0.7",
    ),
    "a sale that ended with nothing": (order(side=Side.SELL, status=Status.CANCELED), "1"),
    "a sale of unknown outcome": (order(side=Side.SELL, size="0.9", status=Status.UNRESOLVED), "0.1"),
    "a purchase": (order(size="0.5", name="more"), "1"),
}


@pytest.mark.req("R1")
@pytest.mark.parametrize(("other", "size"), WORKING.values(), ids=WORKING)
def test_an_exit_asks_for_what_is_free_beside(other, size):
    books = holding()
    books.know(other)
    assert [w.quantity for w in at(books, "90")] == [D(size)]


@pytest.mark.req("R1")
def test_nothing_is_asked_for_when_all_of_it_is_being_sold():
    books = holding()
    books.know(order(side=Side.SELL, size=1))
    assert at(books, "90") == []


def test_less_than_the_venue_takes_is_not_offered():
    books = holding()
    books.tell(products_known(product_rules(base_min_size=D("1.1"))))
    assert at(books, "90") == []
    books.tell(products_known(product_rules(base_min_size=D(1))))
    assert len(at(books, "90")) == 1


def test_an_exit_ends_purchases_that_are_still_working():
    books = holding()
    books.know(order(name="more"), order(ETH), order(side=Side.SELL, size="0.1"))
    effects = books.tell(quote(bid="90", ask="90.5"))
    assert [c.client_order_id for c in told(effects, CancelOrder, "orders")] == ["c-more"]


def sold(books, size=1):
    leaving = intent(side=Side.SELL, exit_code="stop_loss")
    books.know(order(side=Side.SELL, size=1, filled_size=D(size), filled_value=D(size) * 90, intent=leaving))
    books.tell(listed(fill_record(side=Side.SELL, size=size, price=90), request_id="fills/v-BTC-USD-SELL"))
    books.know(order(side=Side.SELL, status=Status.CANCELED, filled_size=D(size), booked_size=D(size), intent=leaving))


def bought_again(books):
    books.know(order(name="new", filled_size=D(1), filled_value=D(90)))
    books.tell(listed(fill_record(of="new", price=90)))


ENDINGS = {
    "when the end is heard after the booking": (
        sold,
        lambda b: b.tell(intent_done(outcome="plan_exhausted")),
    ),
    "when the end is heard before the booking": (
        lambda b: b.tell(intent_done(outcome="plan_exhausted")),
        sold,
    ),
    "when the end is never heard": (sold, lambda b: None),
}


@pytest.mark.parametrize(("first", "second"), ENDINGS.values(), ids=ENDINGS)
def test_what_is_bought_later_begins_its_own_story(first, second):
    books = holding()
    at(books, "90")
    first(books)
    second(books)
    bought_again(books.later(3600))
    assert at(books, "90") == []
    assert [(w.code, w.step) for w in at(books, "81")] == [("stop_loss", 0)]


def test_the_rest_of_a_partial_exit_is_tried_again():
    books = holding()
    at(books, "90")
    sold(books, "0.4")
    books.tell(intent_done(outcome="plan_exhausted"))
    assert [(w.quantity, w.step) for w in at(books.later(2), "90")] == [(D("0.6"), 1)]


def test_the_end_of_an_entry_is_not_the_end_of_an_exit():
    books = holding()
    at(books, "90")
    books.tell(intent_done(side=Side.BUY, purpose=Purpose.ENTRY))
    assert at(books.later(3), "90") == []


def test_a_trailing_stop_follows_the_highest_bid_over_a_restart():
    books = holding(rules=TRAILING)
    assert at(books, "110") == []
    books.reconcile(("BTC", 1), ("USD", 9_900))
    books.restart()
    assert at(books, "104.51") == []
    assert [w.code for w in at(books, "104.5")] == ["trailing_stop"]


def test_a_position_is_left_after_a_restart_as_it_would_have_been_before():
    books = holding()
    books.restart()
    assert [(w.code, w.quantity) for w in at(books, "90")] == [("stop_loss", D(1))]


def test_targets_are_those_of_the_entry_not_those_of_a_later_policy():
    books = Books(fallback=replace(TARGETS, stop_loss_pct=D(50)))
    books.know(order(filled_size=D(1), filled_value=D(100)))
    books.tell(listed(fill_record()))
    assert books.seen().positions[0].product_id == BTC
    assert len(at(books, "90")) == 1
