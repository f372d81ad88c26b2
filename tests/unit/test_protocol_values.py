"""Identities, money and instants: each against an independent account of the same thing."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import ids, instants, money
from protocol.coinbase.wire import format_rfc3339, parse_rfc3339

D = Decimal
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANTS = st.integers(-62_135_596_800 * 10**9, 253_402_300_799 * 10**9)  # years 1 to 9999


def as_datetime(at_ns):
    return EPOCH + timedelta(microseconds=at_ns // 1000)


# --- instants -----------------------------------------------------------------------------------------------------


@given(INSTANTS)
def test_the_calendar_is_the_standard_library_s(at_ns):
    c, expected = instants.calendar(at_ns), as_datetime(at_ns)
    assert (c.year, c.month, c.day, c.hour, c.minute, c.second) == expected.timetuple()[:6]
    assert c.nanosecond == at_ns % 10**9


@given(INSTANTS)
def test_texts_of_an_instant(at_ns):
    expected = as_datetime(at_ns)
    stamp = expected.strftime("%m%dt%H%M%S") + f"{expected.microsecond // 1000:03}z"
    assert instants.compact(at_ns) == f"{expected.year:04}{stamp}"
    assert instants.iso(at_ns) == expected.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert instants.day_key(at_ns) == expected.date().isoformat()
    if expected.year > 1:
        monday = expected.date() - timedelta(days=expected.weekday())
        assert instants.week_key(at_ns) == monday.isoformat()


@given(st.integers(-62_135_596_800 * 10**9 + 1, 253_402_300_799 * 10**9))
def test_rfc_3339_there_and_back(at_ns):
    assert parse_rfc3339(format_rfc3339(at_ns)) == at_ns


EDGES = {
    "2024-02-29T23:59:59.999Z": "a leap day",
    "1999-12-31T23:59:59.999Z": "the end of a century",
    "2000-02-29T00:00:00.000Z": "a leap century",
    "2100-03-01T00:00:00.000Z": "no leap century",
    "1969-12-31T23:59:59.999Z": "before the epoch",
}


@pytest.mark.parametrize("text", EDGES, ids=EDGES.values())
def test_edges(text):
    assert instants.iso(parse_rfc3339(text)) == text


@pytest.mark.parametrize(
    ("at", "day", "week"),
    [
        ("2026-11-15T23:59:59.999Z", "2026-11-15", "2026-11-09"),
        ("2026-11-16T00:00:00Z", "2026-11-16", "2026-11-16"),
        ("2026-01-01T00:00:00Z", "2026-01-01", "2025-12-29"),
    ],
    ids=["Sunday's last millisecond", "Monday", "a week over New Year"],
)
def test_days_and_weeks_roll_over_at_midnight_utc(at, day, week):
    at_ns = parse_rfc3339(at)
    assert (instants.day_key(at_ns), instants.week_key(at_ns)) == (day, week)


# --- money --------------------------------------------------------------------------------------------------------

VALUES = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=15)
GRIDS = st.sampled_from(["1", "0.01", "0.00000001", "0.05", "5", "0.25", "0.0003", "10", "0.7"]).map(Decimal)


@given(VALUES, GRIDS)
def test_grids_are_exact_and_in_the_right_direction(value, increment):
    low, high = money.floor_to(value, increment), money.ceil_to(value, increment)
    units = Fraction(value) / Fraction(increment)
    assert Fraction(low) == (units.numerator // units.denominator) * Fraction(increment)
    assert Fraction(high) == -(-units.numerator // units.denominator) * Fraction(increment)
    assert low <= value <= high


def test_a_value_of_28_digits_is_not_rounded_up_by_its_quotient():
    assert money.floor_to(D("9.999999999999999999999999999"), D(5)) == 5
    assert money.ceil_to(D("5.000000000000000000000000001"), D(5)) == 10


@pytest.mark.parametrize("increment", ["0", "-0.01", "NaN"])
@pytest.mark.parametrize("rounded", [money.floor_to, money.ceil_to])
def test_an_increment_must_be_positive(rounded, increment):
    with pytest.raises((ValueError, InvalidOperation)):
        rounded(D(1), D(increment))


def test_more_units_than_can_be_told_apart_are_an_error():
    with pytest.raises(InvalidOperation):
        money.floor_to(D("1e40"), D("1e-8"))


def test_basis_points_and_shares():
    assert money.bps_of(D(250), D(40)) == 1
    assert money.pct_of(D(1), D(8)) == D("12.5")
    with pytest.raises((ZeroDivisionError, InvalidOperation)):
        money.pct_of(D(1), D(0))


@given(VALUES)
def test_plain_text_has_no_exponent_no_trailing_zero_and_the_same_value(value):
    text = money.plain(value)
    assert D(text) == value
    assert "E" not in text.upper()
    assert "." not in text or not text.endswith(("0", "."))


@pytest.mark.parametrize(
    ("value", "text"), [("1E+3", "1000"), ("1E-8", "0.00000001"), ("10.00", "10"), ("100", "100"), ("0.10", "0.1")]
)
def test_plain(value, text):
    assert money.plain(D(value)) == text


# --- identities ---------------------------------------------------------------------------------------------------

BOTS = st.from_regex(r"[a-z0-9]{1,12}", fullmatch=True)
PRODUCTS = st.from_regex(r"[A-Z0-9]{1,8}-[A-Z]{3,4}", fullmatch=True)
COUNTS = st.integers(0, 10**12)


@pytest.mark.req("X1")
@given(BOTS, PRODUCTS, st.integers(0, 4 * 10**18), COUNTS, COUNTS, st.integers(1, 99))
def test_an_id_is_taken_apart_into_what_it_was_made_of(bot, product, at_ns, epoch, counter, attempt):
    at = instants.compact(at_ns)
    text = ids.client_order_id(ids.intent_id(bot, product, at, epoch, counter), attempt)
    parts = ids.parse_client_order_id(text)
    assert (parts.bot, parts.product, parts.at) == (bot, product.lower(), at)
    assert (parts.epoch, parts.counter, parts.attempt) == (epoch, counter, attempt)
    assert text.startswith(ids.bot_prefix(bot))
    assert len(text) <= 128
    assert text == text.lower()


@pytest.mark.req("X1")
@given(st.tuples(COUNTS, COUNTS, st.integers(1, 99)), st.tuples(COUNTS, COUNTS, st.integers(1, 99)))
def test_two_orders_of_the_same_moment_and_size_have_two_ids(one, other):
    texts = {
        ids.client_order_id(ids.intent_id("bot", "BTC-USD", "20261118t120000000z", epoch, counter), attempt)
        for epoch, counter, attempt in (one, other)
    }
    assert len(texts) == len({one, other})


FOREIGN = {
    "another program's": "247trader_coid_0123456789abcdef",
    "a UUID": "8f7e6d5c-0000-4000-8000-000000000000",
    "empty": "",
    "no attempt": "bot-btc-usd-20261118t120000000z-1_2",
    "attempt in words": "bot-btc-usd-20261118t120000000z-1_2-aX",
    "a bot id that is too long": "abcdefghijklm-btc-usd-20261118t120000000z-1_2-a1",
    "something behind": "bot-btc-usd-20261118t120000000z-1_2-a1 ",
    "a line behind": "bot-btc-usd-20261118t120000000z-1_2-a1\n",
    "upper case": "BOT-btc-usd-20261118t120000000z-1_2-a1",
}


@pytest.mark.parametrize("text", FOREIGN.values(), ids=FOREIGN)
def test_somebody_else_s_id_is_nobody_s(text):
    assert ids.parse_client_order_id(text) is None


@pytest.mark.parametrize("bot", ["", "A", "a-b", "abcdefghijklm", "a b", "ä"])
def test_a_bot_id_that_could_not_be_told_from_others_is_refused(bot):
    with pytest.raises(ValueError, match="1 to 12"):
        ids.bot_prefix(bot)
