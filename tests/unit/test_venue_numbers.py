"""Numbers and times as the venue writes them."""

from decimal import Decimal

import pytest

from actors.venue.exact import ceil_to, floor_to, on_grid, parse_amount, plain, quotient
from actors.venue.instants import parse_rfc3339, rfc3339

D = Decimal


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("83261.00", "83261"),
        ("0.70", "0.7"),
        ("0E-8", "0"),
        ("1E+3", "1000"),
        ("-0.00", "0"),
        ("1e-10", "0.0000000001"),
    ],
)
def test_plain_text_has_no_exponent_and_no_trailing_zeros(value, text):
    assert plain(D(value)) == text


@pytest.mark.parametrize(
    ("text", "value"), [("1.5", D("1.5")), (2, D(2)), ("", None), ("NaN", None), ("Infinity", None), ("1,5", None)]
)
def test_only_finite_numbers_are_amounts(text, value):
    assert parse_amount(text) == value


def test_grids():
    assert (floor_to(D("1.2399"), D("0.01")), ceil_to(D("1.2301"), D("0.01"))) == (D("1.23"), D("1.24"))
    assert on_grid(D("0.15"), D("0.05"))
    assert not on_grid(D("0.16"), D("0.05"))
    assert (quotient(D(1), D(3)), quotient(D(1), D(0))) == (D("0.3333333333333333"), D(0))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026-09-30T02:39:59.4104Z", "2026-09-30T02:39:59.4104Z"),
        ("2024-02-29T23:59:59.000001Z", "2024-02-29T23:59:59.000001Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ("2023-12-31t23:00:00+01:00", "2023-12-31T22:00:00Z"),
        ("2026-01-01T00:30:00.123456789-01:30", "2026-01-01T02:00:00.123456Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ],
)
def test_times_are_read_and_written(text, written):
    at_ns = parse_rfc3339(text)
    assert at_ns is not None
    assert rfc3339(at_ns) == written


def test_the_epoch_is_counted_right():
    assert parse_rfc3339("2024-02-27T03:37:14Z") == 1_709_005_034 * 10**9  # the venue's own /time answer


@pytest.mark.parametrize(
    "text", ["", "2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01", "2026-01-01T24:00:00Z", "now"]
)
def test_what_is_no_time_is_refused(text):
    assert parse_rfc3339(text) is None
