"""What people report most of this venue (pitfalls.md), and the tests that hold our property against each."""

import re

import pytest

from tests.support.named_tests import ROOT, exists, listed

PITFALLS = ROOT / "../shared/coinbase/pitfalls.md"
COUNT = 20

CONNECTION, FEED, SOCKET = (f"tests/unit/test_feed_{name}.py" for name in ("connection", "core", "socket"))
BUDGETS, PLACES, QUERIES = (f"tests/unit/test_gateway_{name}.py" for name in ("budgets", "places", "queries"))
ORDER, DESK, OWNED, RESTART = (f"tests/unit/test_order_{name}.py" for name in ("core", "desk", "ownership", "restart"))
USER, BOOKING = "tests/unit/test_user_feed_core.py", "tests/unit/test_portfolio_booking.py"
GATEWAY, ORDERS = "tests/contracts/test_gateway_venue.py", "tests/unit/test_venue_orders.py"

NAMED = {
    1: (  # a level2 snapshot of megabytes
        f"{SOCKET}::test_snapshots_of_megabytes_whole_or_in_fragments_arrive",
        f"{FEED}::test_a8_snapshot_of_50_000_levels_is_applied_in_slices_with_what_came_meanwhile",
        f"{CONNECTION}::test_a7_missing_snapshot_is_asked_for_three_times_then_down_with_an_alert",
    ),
    2: (  # sixteen books a connection, and an error that names none
        f"{CONNECTION}::test_products_are_shared_out_sixteen_to_a_connection_and_aliases_count_once",
        f"{CONNECTION}::test_error_frame_repeats_the_oldest_request_once_then_gives_up",
    ),
    3: (  # USDC labelled USD
        f"{CONNECTION}::test_alias_one_book_two_products",
        f"{ORDERS}::test_an_alias_shares_the_book_and_settles_in_its_own_wallet",
    ),
    4: (  # every close is a loss
        f"{CONNECTION}::test_a1_every_close_leads_to_a_new_connection",
        f"{SOCKET}::test_every_close_is_told_with_its_code_and_a_drawn_wait",
        f"{USER}::test_b1_a_close_is_down_and_the_way_back_up_is_a_new_snapshot",
        f"{BOOKING}::test_a_returning_stream_is_followed_by_a_look_at_what_was_missed",
    ),
    5: (  # a success that cannot be read
        f"{PLACES}::test_one_answer_one_verdict_one_request",
        f"{GATEWAY}::test_members_nobody_knows_disturb_nobody",
        f"{RESTART}::test_the_request_travels_with_the_commit_that_makes_it_durable_and_nowhere_else",
    ),
    6: (  # an id used before
        f"{PLACES}::test_one_answer_one_verdict_one_request",
        f"{DESK}::test_numbers_never_return_over_restarts_wherever_the_desk_died",
        f"{RESTART}::test_an_id_that_the_store_has_seen_is_never_sent_again",
    ),
    8: (  # a 401 now and then
        f"{PLACES}::test_401_measures_the_clock_first_then_signs_once_more_then_is_refused",
        f"{QUERIES}::test_401_is_signed_again_once_and_then_a_failure",
        f"{BUDGETS}::test_only_a_signed_success_says_that_the_credentials_are_good_again",
    ),
    9: (  # 429 as a page
        f"{PLACES}::test_429_is_definite_sent_once_more_and_then_refused",
        f"{GATEWAY}::test_429_as_a_page_is_sent_once_more_and_then_refused",
        "tests/wire/test_wire_border.py::test_an_error_page_is_kept_short_and_never_fails",
    ),
    10: (f"{BUDGETS}::test_a_lane_without_tokens_holds_up_only_itself",),  # one bucket for each lane
    11: (  # pages of fills
        f"{QUERIES}::test_fills_are_read_to_the_empty_page_counted_once_and_oldest_first",
        "tests/unit/test_portfolio_view.py::test_fills_are_asked_from_the_newest_known_one_with_an_overlap",
        f"{BOOKING}::test_fills_are_asked_for_until_the_books_have_what_the_stream_said",
    ),
    12: (  # pages of accounts
        f"{QUERIES}::test_accounts_are_read_to_the_end_and_wallets_of_a_currency_summed",
        "tests/unit/test_portfolio_view.py::test_a_currency_that_the_venue_does_not_list_is_zero_there",
    ),
    13: (  # three grids
        "tests/unit/test_order_routing.py::test_no_order_is_off_the_grid_below_a_minimum_or_beyond_what_is_left",
        f"{ORDERS}::test_three_grids_are_kept_apart",
    ),
    14: (  # candles: how many may be asked for, holes, the unfinished one
        f"{FEED}::test_history_is_asked_for_at_start_and_told_to_strategies",
        f"{FEED}::test_a_quiet_minute_closes_synthetic_at_the_last_price",
        f"{QUERIES}::test_candles_come_oldest_first_without_the_unfinished_one",
    ),
    15: (  # every status
        f"{ORDER}::test_every_pair_of_status_and_message_has_an_answer_that_the_table_allows",
        f"{QUERIES}::test_any_status_of_the_venue_is_handed_on_as_it_is",
        f"{OWNED}::test_an_order_of_ours_that_nobody_owns_is_cancelled_and_alerts",
    ),
    16: (  # what is left resting
        "tests/unit/test_control_requests.py::test_a_stop_drains_disarms_and_waits_for_two_clean_lists",
        f"{ORDER}::test_scenario",
        f"{QUERIES}::test_open_orders_are_all_pages_of_both_queries_as_old_as_the_first_page",
        f"{OWNED}::test_an_order_of_ours_that_nobody_owns_is_cancelled_and_alerts",
    ),
    17: (  # a user stream that says nothing
        f"{USER}::test_up_needs_acknowledgement_and_snapshot",
        f"{USER}::test_a_failed_subscribe_never_makes_it_up",
        f"{RESTART}::test_a_resting_order_is_asked_about_now_and_then_for_the_stream_may_be_silent",
        f"{ORDER}::test_scenario",
    ),
    18: (  # totals, replays, and a fill that only REST has
        f"{USER}::test_b2_replays_carry_the_same_cumulative_figures",
        f"{USER}::test_b3_totals_that_fall_are_not_believed_and_a_reconcile_is_asked",
        f"{BOOKING}::test_what_the_stream_said_and_the_books_lack_is_shown_as_unbooked",
        f"{BOOKING}::test_a_fill_is_booked_once_when_it_is_delivered",
    ),
    19: (  # quiet markets, gaps
        f"{CONNECTION}::test_a2_silence_of_2_5_s_is_told_and_of_10_s_ends_the_connection",
        f"{CONNECTION}::test_a4_gap_voids_every_book_and_asks_anew",
        f"{CONNECTION}::test_gaps_resync_at_most_once_a_second",
    ),
}

MISSING = {
    7: "key, clock and permission are not told apart at the start: /key_permissions is never asked",
    20: "both kinds of key are read, but portfolio and permissions are not held against the configuration",
}


@pytest.mark.parametrize("test", listed(NAMED))
def test_the_test_against_a_pitfall_exists(test):
    assert exists(test)


def test_every_pitfall_is_named_or_missing_and_never_both():
    for number, wanted in MISSING.items():
        print(f"{number}: {wanted}")
    assert NAMED.keys() & MISSING.keys() == set()
    assert NAMED.keys() | MISSING.keys() == set(range(1, COUNT + 1))
    assert all(NAMED.values())


@pytest.mark.skipif(not PITFALLS.is_file(), reason="the list of pitfalls is not here")
def test_the_pitfalls_are_those_of_the_list():
    assert re.findall(r"^\| (\d+) \|", PITFALLS.read_text(), re.MULTILINE) == [str(n) for n in range(1, COUNT + 1)]
