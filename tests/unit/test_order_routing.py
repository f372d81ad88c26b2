"""From a try to a concrete order: prices to the grid in the right direction, sizes floored, minima met."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.order.routing import IOC_LIFE_NS, Expiry, Refused, Try, build
from protocol.money import plain
from protocol.orders import OrderSpec, Purpose, Side, Step, StepKind, TimeInForce
from tests.support.order_room import LIMIT, MAKER, START_NS, TAKER, S, d, intent, quote, rules

BUY, SELL = Side.BUY, Side.SELL
MARKET = Step(kind=StepKind.MARKET)
EXACT_LIMIT = Step(kind=StepKind.LIMIT, limit_price=Decimal("99.57"))


def made(step, side=BUY, remaining=10, *, bid="100", ask="101", known=None, extra_ticks=0, most_base=None, **changes):
    attempt = Try(step=step, remaining=d(remaining), extra_ticks=extra_ticks, most_base=most_base)
    return build(
        "id",
        intent(step, side=side, **changes),
        attempt,
        (known or rules(), quote(START_NS, bid, ask)),
        (START_NS, Expiry()),
    )


PRICES = [
    pytest.param(MAKER, BUY, "100.07", "101", "99.9", id="a maker's buy: the bid floored, a tick below"),
    pytest.param(MAKER, SELL, "100", "100.93", "101.1", id="a maker's sell: the ask raised to the grid, a tick above"),
    pytest.param(TAKER, BUY, "100", "101", "101.2", id="a taker's buy reaches through the ask, floored"),
    pytest.param(TAKER, SELL, "100", "101", "99.8", id="a taker's sell reaches through the bid, raised"),
    pytest.param(EXACT_LIMIT, BUY, "100", "101", "99.5", id="a limit buy is floored"),
    pytest.param(EXACT_LIMIT, SELL, "100", "101", "99.6", id="a limit sell is raised"),
    pytest.param(MARKET, BUY, "100", "101", None, id="a market order names no price"),
]


@pytest.mark.parametrize(("step", "side", "bid", "ask", "price"), PRICES)
def test_prices_round_away_from_giving_something_away(step, side, bid, ask, price):
    assert made(step, side, bid=bid, ask=ask).limit_price == (None if price is None else d(price))


@pytest.mark.parametrize(("side", "price"), [(BUY, "99.8"), (SELL, "101.2")])
def test_an_extra_tick_moves_a_maker_further_from_the_touch(side, price):
    assert made(MAKER, side, extra_ticks=1).limit_price == d(price)


@pytest.mark.parametrize(
    ("step", "tif", "post_only"),
    [
        (MAKER, TimeInForce.GTD, True),
        (LIMIT, TimeInForce.GTD, True),
        (EXACT_LIMIT, TimeInForce.GTD, False),
        (TAKER, TimeInForce.IOC, False),
        (MARKET, TimeInForce.IOC, False),
    ],
)
def test_what_rests_is_good_till_date_and_what_takes_is_immediate(step, tif, post_only):
    spec = made(step)
    assert (spec.time_in_force, spec.post_only) == (tif, post_only)


@pytest.mark.parametrize(
    ("step", "purpose", "life_ns"),
    [
        pytest.param(MAKER, Purpose.ENTRY, 50 * S, id="a strategy's order: its time to live and a margin"),
        pytest.param(LIMIT, Purpose.OPERATOR, 120 * S, id="an operator's order"),
        pytest.param(LIMIT, Purpose.DRILL, 900 * S, id="a drill's order"),
        pytest.param(TAKER, Purpose.ENTRY, IOC_LIFE_NS, id="an immediate order"),
    ],
)
def test_every_order_has_a_date_at_which_the_venue_ends_it(step, purpose, life_ns):
    assert made(step, purpose=purpose).expires_at_ns == START_NS + life_ns


SIZES = [
    pytest.param("0.019", {"quote_min_size": d("0.5")}, "0.01", id="base sizes are floored to the increment"),
    pytest.param("0.0099", {}, "below_base_minimum", id="below one increment there is no order"),
    pytest.param("0.04", {"base_min_size": d("0.05")}, "below_base_minimum", id="below the base minimum"),
    pytest.param("0.05", {"base_min_size": d("0.05")}, "0.05", id="the base minimum itself will do"),
    pytest.param("0.01", {"quote_min_size": d("1.0")}, "below_quote_minimum", id="a cent below the quote minimum"),
    pytest.param("0.02", {"quote_min_size": d("1.998")}, "0.02", id="the quote minimum itself will do"),
    pytest.param("5000", {}, "1000", id="the venue's largest size bounds it"),
]


@pytest.mark.parametrize(("remaining", "changes", "expected"), SIZES)
def test_sizes_and_minima(remaining, changes, expected):
    spec = made(MAKER, remaining=remaining, known=rules(**changes))
    assert (spec.code if isinstance(spec, Refused) else plain(spec.base_size)) == expected


def test_a_quote_size_buys_what_it_pays_for_at_the_limit_price():
    spec = made(MAKER, remaining=1000, base_size=None, quote_size=d(1000))
    assert (spec.limit_price, spec.base_size) == (d("99.9"), d("10.01"))


def test_nothing_left_is_no_order():
    assert made(MAKER, remaining=0) == Refused(code="below_base_minimum")


def test_a_bound_in_base_units_holds_whatever_is_left():
    assert made(MAKER, remaining=10, most_base=d("3.456")).base_size == d("3.45")
    assert made(MAKER, remaining=2, most_base=d(3)).base_size == d(2)


def test_a_price_that_falls_off_the_grid_is_no_order():
    assert made(MAKER, bid="0.1", ask="0.2", base_size=None, quote_size=d(10)) == Refused(code="price_below_tick")


prices = st.decimals("0.00001", "99999", places=5).filter(lambda price: price > 0)
ticks = st.sampled_from([d("0.00001"), d("0.01"), d("0.05"), d("5")])
increments = st.sampled_from([d("0.00000001"), d("0.001"), d("1"), d("1000")])


@given(
    step=st.sampled_from([MAKER, TAKER, EXACT_LIMIT]),
    side=st.sampled_from([BUY, SELL]),
    bid=prices,
    spread=prices,
    grids=st.tuples(ticks, increments),
    size=st.tuples(st.booleans(), st.decimals("0.00001", "99999", places=5)),
)
def test_no_order_is_off_the_grid_below_a_minimum_or_beyond_what_is_left(step, side, bid, spread, grids, size):
    (tick, increment), (in_base, left) = grids, size
    known = rules(price_increment=tick, base_increment=increment, base_max_size=d(10**9))
    sizes = {"base_size": left} if in_base else {"base_size": None, "quote_size": left}
    spec = made(step, side, left, bid=bid, ask=bid + spread, known=known, **sizes)
    if isinstance(spec, Refused):
        return
    assert isinstance(spec, OrderSpec)
    assert spec.limit_price % tick == 0
    assert spec.limit_price > 0
    assert spec.base_size % increment == 0
    assert spec.base_size >= known.base_min_size
    assert spec.base_size * spec.limit_price >= known.quote_min_size
    assert (spec.base_size if in_base else spec.base_size * spec.limit_price) <= left
    if step is MAKER:
        assert spec.limit_price < bid if side is BUY else spec.limit_price > bid + spread
