"""The fault matrix (faults.md §3), row by row: the tests that inject exactly that fault and hold its bound.

A row is named only where a test of its own ring injects the fault and would fail if the property or its bound broke;
every other row stands in `MISSING`, with what is still wanted.
"""

import re

import pytest

from tests.support.named_tests import ROOT, exists, listed

FAULTS = ROOT / "../shared/design/faults.md"
COUNTS = {"A": 19, "B": 9, "C": 20, "D": 21, "E": 20, "F": 14, "G": 5, "H": 12}
ROWS = {f"{part}{number}" for part, count in COUNTS.items() for number in range(1, count + 1)}

CONNECTION, FEED, SOCKET = (f"tests/unit/test_feed_{name}.py" for name in ("connection", "core", "socket"))
USER = "tests/unit/test_user_feed_core.py"
GATEWAY, BUDGETS, PLACES = (
    "tests/contracts/test_gateway_venue.py",
    *(f"tests/unit/test_gateway_{name}.py" for name in ("budgets", "places")),
)
ORDER, DESK, OWNED, RESTART = (f"tests/unit/test_order_{name}.py" for name in ("core", "desk", "ownership", "restart"))
SIZING = "tests/unit/test_risk_sizing.py"
STREAMS, ENTRY = "tests/simulation/test_stream_faults.py", "tests/simulation/test_order_faults.py"
ORDERS = "tests/properties/test_order_properties.py"
BOOKING, EXITS = (f"tests/unit/test_portfolio_{name}.py" for name in ("booking", "exits"))
RULES, STATES, TRIPS = (f"tests/unit/test_risk_{name}.py" for name in ("rules", "states", "breakers"))
BREAKERS, DEATHS = (f"tests/simulation/test_{name}.py" for name in ("breakers", "crash_points"))
TREE, SHELL = (f"tests/unit/test_runtime_{name}.py" for name in ("tree", "shell"))
WATCHDOG, SWEEPS, KILLS = (
    "tests/unit/test_watchdog_core.py",
    "tests/process/test_watchdog.py",
    "tests/unit/test_watchdog_kill.py",
)
WHOLE, KERNEL = "tests/process/test_watchdog_whole.py", "tests/simulation/test_kernel_watchdog.py"
LMDB, RECORDER, STORE = (
    "tests/contracts/test_lmdb_facts.py",
    "tests/unit/test_recorder_core.py",
    "tests/properties/test_recorder_properties.py",
)
INSTALLED = "tests/unit/test_recorder_installation.py"

NAMED = {
    "A1": (
        f"{STREAMS}::test_a_cut_market_socket_is_told_at_once_and_live_again_within_five_seconds_and_nothing_is_bought_between",
        f"{CONNECTION}::test_a1_every_close_leads_to_a_new_connection",
    ),
    "A2": (
        f"{STREAMS}::test_a_socket_that_stays_open_and_silent_is_stale_two_and_a_half_seconds_after_its_last_heartbeat",
        f"{CONNECTION}::test_a2_silence_of_2_5_s_is_told_and_of_10_s_ends_the_connection",
    ),
    "A3": (
        f"{BREAKERS}::test_a_book_that_is_cut_off_from_its_writtenis_found_by_rest_and_taken_anew",
        f"{TRIPS}::test_a_stale_product_is_alerted_within_a_second_of_its_limit_and_traded_after_two_fresh_cycles",
    ),
    "A4": (
        f"{CONNECTION}::test_a4_gap_voids_every_book_and_asks_anew",
        f"{FEED}::test_a4_nothing_is_quoted_from_a_void_book_until_its_snapshot",
    ),
    "A5": (f"{CONNECTION}::test_a5_duplicates_are_ignored",),
    "A6": (
        f"{CONNECTION}::test_a6_reordered_pair_is_a_gap_then_old",
        f"{FEED}::test_a4_nothing_is_quoted_from_a_void_book_until_its_snapshot",
    ),
    "A7": (
        f"{STREAMS}::test_a_snapshot_that_never_comes_is_asked_for_three_times_then_the_feed_is_down_with_an_alert",
        f"{CONNECTION}::test_a7_missing_snapshot_is_asked_for_three_times_then_down_with_an_alert",
    ),
    "A10": (  # the same step that hears of the overflow voids the book; a real socket overflows
        f"{CONNECTION}::test_a10_overflow_voids_first_and_is_no_further_gap",
        f"{SOCKET}::test_a10_overflow_drops_everything_and_says_so",
    ),
    "A11": (f"{CONNECTION}::test_a11_malformed_frames_are_counted_and_survived",),
    "A12": (f"{CONNECTION}::test_a12_unknown_channels_and_members_are_ignored",),
    "A13": (
        "tests/wire/test_wire_border.py::test_no_number_without_worth_passes",
        "tests/wire/test_wire_border.py::test_the_bad_is_refused_with_its_reason",
        f"{FEED}::test_a13_prices_that_are_none_void_the_book",
        f"{FEED}::test_a13_sizes_and_sides_that_are_none_void_the_book",
    ),
    "A14": (
        f"{FEED}::test_a14_locked_or_crossed_is_stale_until_uncrossed_for_a_second",
        f"{RULES}::test_staleness",
    ),
    "A15": (
        "tests/unit/test_feed_moves.py::test_a_jump_is_told_in_deviations_whichever_way",
        f"{RULES}::test_spread_and_depth",
        f"{RULES}::test_a_jump_stops_operators_and_never_an_exit",
        f"{EXITS}::test_a_level_that_an_outlier_crosses_must_be_crossed_again_a_quarter_second_later",
    ),
    "A19": (
        f"{STREAMS}::test_connections_that_are_refused_for_a_minute_are_tried_at_most_once_a_second_each",
        f"{SOCKET}::test_a19_the_budget_is_shared_and_spaced",
    ),
    "B1": (f"{STREAMS}::test_fills_of_a_minute_without_the_user_stream_are_booked_within_five_seconds_of_its_return",),
    "B2": (
        f"{USER}::test_b2_replays_carry_the_same_cumulative_figures",
        f"{BOOKING}::test_a_fill_is_booked_once_when_it_is_delivered",
        "tests/properties/test_portfolio_books.py::test_a_fill_stream_replayed_over_a_restart_changes_nothing",
    ),
    "B3": (f"{USER}::test_b3_totals_that_fall_are_not_believed_and_a_reconcile_is_asked",),
    "B4": (f"{ORDER}::test_scenario", f"{DEATHS}::test_a_life_without_a_death_is_in_order"),
    "B5": (
        f"{ORDER}::test_scenario",
        f"{RESTART}::test_a_late_fill_opens_a_settled_order_again_until_it_is_booked",
        f"{BOOKING}::test_a_fill_that_comes_after_its_order_was_settled_is_still_ours",
    ),
    "B6": (f"{STREAMS}::test_an_order_that_no_room_knows_is_cancelled_within_two_seconds_if_it_is_ours",),
    "B8": (
        f"{SOCKET}::test_every_subscribe_is_signed_anew_and_in_order",
        f"{SOCKET}::test_waits_grow_with_jitter_to_thirty_seconds",
        f"{USER}::test_b8_a_refused_token_is_renewed_once_and_then_the_connection",
    ),
    "C1": (
        f"{ENTRY}::test_an_order_whose_answer_is_lost_is_found_within_five_seconds_and_never_sent_again",
        f"{DEATHS}::test_a_life_without_a_death_is_in_order",
    ),
    "C2": (
        f"{ENTRY}::test_an_order_that_never_arrived_is_given_up_when_its_signature_died_and_not_before",
        f"{ORDER}::test_scenario",
    ),
    "C4": (
        f"{DEATHS}::test_a_life_without_a_death_is_in_order",
        f"{GATEWAY}::test_without_a_verdict_the_outcome_is_unknown_sent_once_and_found_by_look_up",
    ),
    "C5": (
        f"{PLACES}::test_a_429_on_a_place_delays_neither_cancels_nor_exits",
        f"{PLACES}::test_429_is_definite_sent_once_more_and_then_refused",
        f"{PLACES}::test_429_is_only_sent_again_within_not_after",
        f"{BREAKERS}::test_a_429_holds_entries_for_its_minute",
        f"{STATES}::test_what_each_gate_lets_through",
    ),
    "C6": (f"{ENTRY}::test_cancels_that_are_turned_away_for_three_seconds_empty_the_book_within_six",),
    "C9": (
        f"{ENTRY}::test_an_order_whose_answer_is_lost_is_found_within_five_seconds_and_never_sent_again",
        f"{PLACES}::test_one_answer_one_verdict_one_request",
    ),
    "C10": (
        f"{ENTRY}::test_an_order_whose_answer_is_lost_is_found_within_five_seconds_and_never_sent_again",
        f"{GATEWAY}::test_without_a_verdict_the_outcome_is_unknown_sent_once_and_found_by_look_up",
    ),
    "C11": (
        f"{PLACES}::test_connection_refused_before_the_write_is_tried_three_times_then_refused_as_never_sent",
        f"{GATEWAY}::test_nobody_listens_is_tried_three_times_and_never_sent",
    ),
    "C12": (f"{GATEWAY}::test_the_whole_exchange_is_bounded_in_time_not_only_the_connect",),
    "C13": (f"{ORDER}::test_scenario", f"{DEATHS}::test_a_life_without_a_death_is_in_order"),
    "C14": (
        f"{BUDGETS}::test_each_order_hears_its_own_result_in_whatever_order_they_come",
        f"{ORDER}::test_scenario",
        f"{GATEWAY}::test_part_of_a_batch_cancel_may_fail",
    ),
    "C16": (
        f"{DESK}::test_a_post_only_refusal_is_tried_once_more_a_tick_further_out_and_then_the_next_step",
        f"{STATES}::test_a_post_only_refusal_is_no_rejection",
        "tests/unit/test_risk_requests.py::test_an_approved_purchase_holds",
    ),
    "C20": (
        f"{OWNED}::test_an_operators_resting_order_is_renewed_at_half_its_life_when_the_old_one_has_ended",
        f"{OWNED}::test_an_order_filled_while_it_is_renewed_is_filled",
        f"{ORDERS}::test_no_intent_trades_more_than_it_was_meant_to_whatever_the_venue_and_the_actors_do",
    ),
    "D1": (
        f"{ENTRY}::test_a_room_that_crashes_is_back_within_a_tenth_of_a_second_and_has_recovered_within_one",
        f"{DEATHS}::test_a_room_that_dies_leaves_everything_in_order",
    ),
    "D2": (
        f"{TREE}::test_a_factory_that_fails_is_an_exit_like_any_other",
        "tests/contracts/test_pykka_facts.py::test_a_failing_on_start_ends_it_without_on_failure",
    ),
    "D3": (
        "tests/contracts/test_pykka_facts.py::test_system_exit_stops_every_threading_actor_but_only_the_stepped_one",
    ),
    "D4": (
        f"{SHELL}::test_a_poison_message_ends_its_reader_twice_and_the_rest_is_handled",
        "tests/properties/test_mailbox_lanes.py::test_what_crashed_its_reader_comes_back_first_and_only_once",
    ),
    "D6": (
        f"{TREE}::test_a_hung_pinned_actor_is_fenced_and_its_message_handled_by_the_next",
        f"{RECORDER}::test_superseded_between_commit_and_release_it_releases_and_acknowledges_nothing",
    ),
    "D8": (f"{TREE}::test_a_feed_backs_off_then_is_parked_and_tried_again_without_touching_others",),
    "D10": (
        f"{ENTRY}::test_a_room_that_crashes_is_back_within_a_tenth_of_a_second_and_has_recovered_within_one",
        "tests/unit/test_recorder_runtime.py::test_a_recorder_that_dies_in_a_commit_takes_the_rest_along_and_all_agree_again",
        f"{DEATHS}::test_a_room_that_dies_leaves_everything_in_order",
    ),
    "D11": (
        f"{ENTRY}::test_a_gateway_that_dies_with_twenty_requests_in_flight_leaves_all_in_doubt_and_sends_none_again",
    ),
    "D12": (
        f"{DEATHS}::test_a_room_that_dies_leaves_everything_in_order",
        f"{DEATHS}::test_every_death_leaves_everything_in_order",
        f"{RESTART}::test_the_request_travels_with_the_commit_that_makes_it_durable_and_nowhere_else",
    ),
    "D13": (f"{ENTRY}::test_a_desk_room_that_dies_with_two_hundred_orders_owns_them_all_again_within_five_seconds",),
    "D14": (f"{ENTRY}::test_a_portfolio_that_dies_in_a_burst_of_fills_books_each_once",),
    "D19": (
        f"{TRIPS}::test_a_lane_reduces_at_half_halts_when_full_and_clears_below_a_quarter",
        f"{TREE}::test_an_event_lane_over_its_bound_is_reported_and_nothing_is_dropped",
        f"{BREAKERS}::test_lanes_configuration_and_a_pause",
    ),
    "E2": ("tests/process/test_kill.py::test_a_frozen_desk_is_swept_and_replaced",),
    "E4": (
        f"{WHOLE}::test_a_desk_that_wakes_after_the_sweep_places_nothing_and_ends",
        f"{WHOLE}::test_a_desk_that_wakes_after_the_sweep_without_a_root_places_nothing_and_ends",
    ),
    "E5": (
        f"{WHOLE}::test_late_arrivals_after_a_kill_are_cancelled_and_a_second_kill_is_the_same",
        f"{WATCHDOG}::test_the_late_arrival_is_found_within_five_seconds",
        f"{GATEWAY}::test_a_fence_holds_places_back_and_lets_everything_else_through",
    ),
    "E6": (f"{WHOLE}::test_a_frozen_watchdog_makes_the_desk_reduce_and_is_replaced_once_it_is_gone",),
    "E8": (f"{SWEEPS}::test_a_watchdog_killed_in_a_sweep_takes_it_up_again",),
    "E9": (f"{SWEEPS}::test_a_venue_that_fails_is_asked_until_it_answers",),
    "E10": (
        f"{KERNEL}::test_a_kill_while_the_venue_is_away_is_done_when_it_answers",
        f"{KERNEL}::test_a_kill_while_no_connection_to_the_venue_can_be_made_is_loud_and_the_orders_end_by_their_date",
    ),
    "E11": (
        f"{KILLS}::test_a_kill_said_twice_is_one_kill_with_an_answer_for_each",
        f"{WHOLE}::test_late_arrivals_after_a_kill_are_cancelled_and_a_second_kill_is_the_same",
    ),
    "E12": (  # the store knows none of these orders
        f"{SWEEPS}::test_a_kill_by_socket_empties_the_book_and_cancels_what_arrives_late",
        f"{WATCHDOG}::test_a_store_that_cannot_be_read_says_nothing_and_the_list_decides",
    ),
    "E13": (
        f"{WATCHDOG}::test_scope",
        f"{SWEEPS}::test_a_kill_by_socket_empties_the_book_and_cancels_what_arrives_late",
    ),
    "E14": (f"{WATCHDOG}::test_a_pulse_older_than_two_seconds_is_a_frozen_desk",),
    "E20": ("tests/unit/test_control_requests.py::test_a_rearm_without_a_clean_reconcile_is_refused_with_the_reason",),
    "F1": ("tests/process/test_recorder_kill.py::test_a_thousand_deaths_lose_and_tear_nothing",),
    "F2": (f"{STORE}::test_nothing_acknowledged_is_lost_and_nothing_is_torn_over_a_thousand_deaths",),
    "F3": (
        f"{RECORDER}::test_a_full_store_grows_and_resumes_without_loss",
        "tests/contracts/test_store_contract.py::test_a_full_store_loses_nothing_and_takes_more_after_growing",
        f"{LMDB}::test_a_reader_follows_the_map_when_the_writer_grows_it",
    ),
    "F8": (
        f"{STORE}::test_a_damaged_snapshot_is_bridged_by_an_older_one_and_more_journal",
        f"{INSTALLED}::test_a_damaged_snapshot_file_is_passed_over_and_removed",
    ),
    "F9": (
        f"{STORE}::test_one_flipped_bit_is_found_and_its_entry_named",
        f"{STORE}::test_a_damaged_entry_refuses_and_names_itself_and_the_ways_out",
    ),
    "F10": (
        f"{INSTALLED}::test_marker_without_store_refuses_and_names_the_ways_out",
        f"{INSTALLED}::test_a_first_run_makes_marker_and_store_and_the_next_finds_them",
    ),
    "F11": (
        f"{INSTALLED}::test_an_older_schema_is_taken_over",
        "tests/unit/test_protocol_codec.py::test_an_older_value_is_upgraded_step_by_step_in_memory",
        "tests/unit/test_protocol_codec.py::test_the_vocabulary_is_the_pinned_one",
    ),
    "F12": (
        f"{INSTALLED}::test_a_newer_schema_refuses",
        "tests/unit/test_protocol_codec.py::test_a_value_of_a_newer_schema_is_refused_by_name",
    ),
    "F14": (f"{LMDB}::test_a_network_mount_is_refused",),
    "G1": (
        f"{BREAKERS}::test_a_wall_clock_that_was_set_is_held_against_the_venues_within_five_seconds",
        "tests/unit/test_runtime_clock.py::test_the_system_clock_ignores_jumps_of_the_wall",
    ),
    "G3": (f"{ORDER}::test_scenario", f"{PLACES}::test_429_is_only_sent_again_within_not_after"),
    "G4": (
        "tests/unit/test_runtime_clock.py::test_timers_fire_by_due_time_and_of_equal_times_in_the_order_they_were_set",
    ),
    "G5": (
        f"{TRIPS}::test_ages_are_taken_on_the_venues_clock",
        f"{TRIPS}::test_stamps_behind_or_ahead_of_ours_are_no_age_once_the_offset_is_measured_and_half_a_second_never",
        f"{BUDGETS}::test_the_clock_s_offset_is_taken_at_the_middle_of_the_round_trip",
    ),
    "H1": (
        "tests/properties/test_config_mistakes.py::test_any_single_key_lost_or_of_another_kind_is_refused_or_safe",
        "tests/unit/test_config_load.py::test_mistaken_key_is_refused_with_its_value_and_rule",
    ),
    "H2": ("tests/unit/test_config_rules.py::test_broken_rule_is_refused_by_file_key_value_and_rule",),
    "H3": (
        "tests/unit/test_config_modes.py::test_only_three_words_in_the_files_together_open_the_way_to_real_orders",
        "tests/unit/test_config_load.py::test_live_needs_every_switch",
    ),
    "H6": (f"{SIZING}::test_a_cap_lowered_below_what_is_held_buys_no_more_and_sells_nothing_by_itself",),
    "H4": (
        "tests/unit/test_key_file.py::test_a_file_that_others_may_read_or_change_is_refused",
        "tests/unit/test_key_file.py::test_a_file_that_is_not_there_and_one_that_is_no_key_are_named",
        "tests/process/test_refusals.py::test_a_key_that_others_may_read_ends_the_run_before_it_is_used",
    ),
    "H7": (
        f"{STATES}::test_a_resume_before_the_first_picture_arms_nobody",
        "tests/unit/test_control_requests.py::test_a_rearm_without_a_clean_reconcile_is_refused_with_the_reason",
    ),
    "H9": (f"{SIZING}::test_a_request_a_hundred_times_too_large_never_leaves_at_its_size",),
    "H10": (
        f"{STATES}::test_a_loss_limit_alerts_once_says_so_at_once_and_cancels_purchases",
        f"{STATES}::test_what_each_gate_lets_through",
        f"{STATES}::test_how_long_a_stop_holds",
    ),
    "H11": (
        f"{STATES}::test_what_each_gate_lets_through",
        f"{STATES}::test_a_post_only_refusal_is_no_rejection",
        f"{STATES}::test_rejections_are_forgotten_after_ten_minutes",
        f"{BREAKERS}::test_three_refused_orders_reduce",
    ),
}

MISSING = {
    "A8": "decoding and applying 50 000 levels together within 250 ms",
    "A9": "a burst of 10 000 messages a second for a minute",
    "A16": "the whole desk hears of a product's state when it next lists the products, not within 5 s",
    "A17": "increments that move under a running desk",
    "A18": "a thousand reconnects without a subscription too late",
    "B7": "fills by REST that contradict the stream",
    "B9": "another fee tier in the middle of a run",
    "C3": "ten thousand seeds of late lists",
    "C7": "the alert within 2 s",
    "C8": "every documented reason",
    "C15": "an order that moves between the pages of a list",
    "C17": "balances are not asked for when the venue says that funds are insufficient",
    "C18": "half an hour of maintenance: requests counted, a sweep on return",
    "C19": "a million numbers over restarts",
    "D5": "the hang is detected, its time is not measured",
    "D7": "a hung pump in a process: the first cancel within 3 s",
    "D9": "a risk that crashes for ever in a process: orders gone within 10 s",
    "D15": "a strategy that raises at every call, in the whole desk, with orders of its own",
    "D16": "the latency of the core while a strategy loops",
    "D17": "native code that holds the interpreter for 3 s",
    "D18": "two actors that send each other messages for ever",
    "D20": "a stop that meets a restart under way",
    "D21": "a day of orders, compressed",
    "E1": "200 resting orders; a desk alone, each order owned within 5 s or gone within 10 s",
    "E3": "a real desk frozen inside its write transaction, and the sweep beside it",
    "E7": "desk and watchdog dead together: only the orders' own dates end them",
    "E15": "the kernel's own kill for want of memory",
    "E16": "a start with a latch and a thousand orders within 10 s",
    "E17": "a restart storm of real processes up to the latch",
    "E18": "the stop is within 25 s in the test, not 10 s, and beside no resting order",
    "E19": "a flooded socket of a real desk, and a kill beside it within 200 ms",
    "F4": "a running desk on a full disk: halted within 1 s, and the kill beside it",
    "F5": "commits of 3 s and 8 s in a running desk, requests past their time, the sweep",
    "F6": "the number of slots over minutes of readers that die",
    "F7": "a reader that stays for long, and how the file grows",
    "F13": "the second desk's end within 1 s",
    "G2": "a day of drift without a refused token",
    "H5": "a scan of everything that a whole run leaves behind",
    "H8": "a key of another portfolio",
    "H12": "two strategies on both sides of one product",
}


@pytest.mark.parametrize("test", listed(NAMED))
def test_the_test_that_injects_a_fault_exists(test):
    assert exists(test)


def test_every_row_is_named_or_missing_and_never_both():
    for row in sorted(MISSING, key=lambda row: (row[0], int(row[1:]))):
        print(f"{row}: {MISSING[row]}")
    assert NAMED.keys() & MISSING.keys() == set()
    assert NAMED.keys() | MISSING.keys() == ROWS
    assert all(NAMED.values())
    assert all(MISSING.values())


@pytest.mark.skipif(not FAULTS.is_file(), reason="the fault matrix is not here")
def test_the_rows_are_those_of_the_matrix():
    assert sorted(re.findall(r"^\| ([A-H]\d+) \|", FAULTS.read_text(), re.MULTILINE)) == sorted(ROWS)
