"""Numbers and times cross the wire without losing a digit."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.coinbase import wire
from protocol.coinbase.wire import BadWire

FINITE = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15, places=18)


@settings(deadline=None)  # the machine is shared
@given(FINITE)
def test_a_decimal_comes_back_exactly_and_without_exponent(value):
    text = wire.wire_decimal(value)
    assert set(text) <= set("-.0123456789")
    assert wire.read_decimal(text, "x") == value


@pytest.mark.parametrize(
    ("value", "text"),
    [("1E-8", "0.00000001"), ("1E+3", "1000"), ("-0", "0"), ("0E-9", "0.000000000"), ("0.10", "0.10")],
)
def test_plain_digits(value, text):
    assert wire.wire_decimal(Decimal(value)) == text


@pytest.mark.parametrize("value", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_never_written(value):
    with pytest.raises(ValueError, match="cannot go on the wire"):
        wire.wire_decimal(Decimal(value))


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", " ", "NaN", "nan", "sNaN", "Infinity", "-inf", "1_000", " 1", "1 ", "0x10", "1e999999999", "1,0"),
        *("\u0661", "+1", "9" * 41, ".", "-", "1.", ".5", "1.2.3", "1e", "--1", "1\n"),
    ],
)
def test_what_is_no_number_is_never_read(text):
    with pytest.raises(BadWire, match="price is not a number"):
        wire.read_decimal(text, "price")


def test_absent_is_none():
    assert [wire.optional_decimal(text, "x") for text in (None, "", "0", "2.5")] == [None, None, 0, Decimal("2.5")]


@settings(deadline=None)  # the machine is shared
@given(st.integers(min_value=-62_135_596_799 * 10**9, max_value=253_402_300_799 * 10**9))
def test_an_instant_comes_back_to_the_nanosecond(at_ns):
    assert wire.parse_rfc3339(wire.format_rfc3339(at_ns)) == at_ns


@settings(deadline=None)  # the machine is shared
@given(st.datetimes(min_value=datetime(1, 1, 1, 0, 0, 1), max_value=datetime(9999, 12, 31)))  # noqa: DTZ001
def test_instants_agree_with_the_standard_library(moment):
    # hypothesis wants its bounds without zone
    at = moment.replace(tzinfo=UTC)
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    expected = (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
    assert wire.parse_rfc3339(at.isoformat().replace("+00:00", "Z")) == expected


@pytest.mark.parametrize(
    ("text", "at_ns"),
    [
        ("2026-09-30T02:39:59.551901038Z", 1790735999551901038),
        ("2026-09-30T02:39:59.4104Z", 1790735999410400000),
        ("2026-09-30T02:39:59Z", 1790735999000000000),
        ("2026-09-30T02:39:59+00:00", 1790735999000000000),
        ("1970-01-01T00:00:00Z", 0),
        ("0001-01-01T00:00:00Z", None),
        ("", None),
        (None, None),
    ],
)
def test_times_as_the_venue_writes_them(text, at_ns):
    assert wire.parse_rfc3339(text) == at_ns


def test_trailing_zeros_are_cut():
    assert wire.format_rfc3339(1790735999410400000) == "2026-09-30T02:39:59.4104Z"
    assert wire.format_rfc3339(1790735999000000000) == "2026-09-30T02:39:59Z"


@pytest.mark.parametrize(
    "text",
    [
        *("2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-10T00:00:00Z", "0000-01-02T00:00:00Z"),
        *("2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:60Z", "2026-01-01T00:00:00"),
        *("2026-01-01T00:00:00.Z", "2026-01-01T00:00:00.0123456789Z", "2026-01-01T00:00:00+02:00", "1790735999"),
        *("2026-09-30 02:37:15.057778606 +0000 UTC m=+21697.195984854", "\u0662\u0660\u0662\u0666-01-01T00:00:00Z"),
    ],
)
def test_what_is_no_utc_time_is_refused(text):
    with pytest.raises(BadWire):
        wire.parse_rfc3339(text)


class Thing(wire.Wire, frozen=True, kw_only=True):
    name: str
    size: wire.Text = ""


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"name":1}',
        b'{"size":"1"}',
        b"\xff\xfe",
        b'{"name":"\xed\xa0\x80"}',
        b'{"name":"x","more":' + b"[" * 100_000,
    ],
)
def test_hostile_bytes_are_refused_in_one_way(raw):
    with pytest.raises(BadWire, match="Thing"):
        wire.decode(raw, Thing)


def test_unknown_members_are_ignored_and_null_is_absent():
    assert wire.decode(b'{"name":"a","size":null,"new":{"x":[1]}}', Thing) == Thing(name="a", size=None)
    assert json.loads(wire.encode(Thing(name="a"))) == {"name": "a", "size": ""}
