"""Defects of an earlier system, and the tests that make each impossible here (known-defects.md §5, §6).

All of those in deciding; of the others, those of the configuration.
"""

import re

import pytest

from tests.support.named_tests import ROOT, exists, listed

KNOWN = ROOT / "../shared/spec/known-defects.md"
DECISIONS = ("R-", "G-")

IMPOSSIBLE = {
    "R-01": (  # the kill switch stands above everything, cancels, and is durable
        "tests/unit/test_risk_states.py::test_a_kill_is_durable_alerted_and_told_in_the_same_step",
        "tests/unit/test_risk_states.py::test_a_restarted_desk_stays_killed_until_the_latch_says_otherwise",
        "tests/simulation/test_kernel_kill.py::test_a_killed_desk_cancels_and_its_successors_place_nothing_until_rearmed",
    ),
    "R-02": (  # every configured breaker trips
        "tests/unit/test_risk_rules.py::test_staleness",
        "tests/unit/test_universe_eligibility.py::test_fewer_than_must_be_is_a_critical_alert_once",
        "tests/unit/test_risk_breakers.py::test_volatility_holds_entries_until_two_cycles_are_calm",
        "tests/unit/test_risk_breakers.py::test_every_age_has_its_own_limit_and_name",
    ),
    "R-03": (  # a strategy's cap counts what it holds
        "tests/unit/test_risk_sizing.py::test_what_does_not_fit_is_refused_with_the_code_of_what_stops_it",
    ),
    "R-04": (  # only what was approved is sent
        "tests/unit/test_risk_requests.py::test_a_batch_is_answered_whole_and_what_was_approved_goes_to_the_desk_after_it_is_on_record",
    ),
    "R-05": (  # no dead zone between floor and caps
        "tests/unit/test_config_coherence.py::test_account_too_small_for_any_order_is_refused",
        "tests/unit/test_config_coherence.py::test_small_account_is_told_which_entries_will_be_dropped",
    ),
    "R-06": (  # what sizing lets pass the final check lets pass
        "tests/properties/test_risk_invariants.py::test_a_size_that_passed_sizing_passes_the_final_check",
    ),
    "R-07": (  # an over-budget batch is cut, not refused
        "tests/unit/test_risk_sizing.py::test_a_request_is_sized_to_the_tightest_cap",
        "tests/unit/test_risk_requests.py::test_two_proposals_cannot_use_the_same_room",
    ),
    "R-08": (  # one exposure, and no cap as a tuning knob
        "tests/unit/test_config_coherence.py::test_over_half_at_risk_warns_and_live_refuses",
        "tests/unit/test_risk_methods.py::test_what_is_not_ours_counts",
    ),
    "R-09": (  # exits pass entry rules, and nothing is sold that is not held
        "tests/unit/test_risk_requests.py::test_exits_wait_for_no_cooldown",
        "tests/unit/test_risk_rules.py::test_a_sale_proposed_for_what_is_not_held_is_refused",
        "tests/unit/test_risk_sales.py::test_the_same_units_are_not_sold_twice_while_no_order_is_known",
    ),
    "R-10": (  # one injected clock
        "tests/simulation/test_kernel_trades.py::test_the_same_seed_writes_the_same_journal",
    ),
    "R-11": (  # no product without a theme
        "tests/unit/test_universe_config.py::test_every_tradable_product_has_a_theme_with_a_cap",
    ),
    "R-12": (  # one key per concept
        "tests/unit/test_config_rules.py::test_broken_rule_is_refused_by_file_key_value_and_rule",
        "tests/unit/test_config_readers.py::test_no_further_limit_is_without_reader",
    ),
    "R-13": (  # one canon of reasons
        "tests/unit/test_cycle_core.py::test_the_canon_knows_its_own_words_and_no_others",
    ),
    "R-14": (  # one form of a symbol
        "tests/unit/test_cycle_core.py::test_what_is_being_bought_is_not_proposed_again",
        "tests/unit/test_universe_regime_effects.py::test_a_wrapped_coin_is_its_originals_exposure",
    ),
    "R-15": (  # recovery needs a good probe
        "tests/unit/test_risk_breakers.py::test_api_health_is_not_healed_by_time_but_by_one_success",
    ),
    "G-01": (  # moves keep their sign
        "tests/unit/test_triggers_signals.py::test_a_crash_is_never_told_as_a_rise",
        "tests/unit/test_triggers_signals.py::test_a_fall_on_volume_is_told_as_a_fall_and_a_dead_market_has_no_spike",
        "tests/unit/test_strategy_rules.py::test_only_purchases_are_ever_proposed",
    ),
    "G-02": (  # the regime is detected and acts
        "tests/simulation/test_universe_exclusion.py::test_a_crash_blocks_entries_in_the_cycle_that_sees_it_and_is_journalled",
        "tests/simulation/test_recorded_days.py::test_nothing_is_bought_on_the_nineteenth_of_may",
    ),
    "G-03": (  # one regime table
        "tests/unit/test_universe_config.py::test_the_one_table_of_regimes",
        "tests/unit/test_universe_regime_effects.py::test_every_cap_in_every_regime",
    ),
    "G-04": (  # true quarter hours
        "tests/unit/test_triggers_signals.py::test_price_move",
        "tests/unit/test_triggers_signals.py::test_hours_are_no_quarters",
        "tests/unit/test_triggers_scan.py::test_no_candles_and_too_few_are_said",
    ),
    "G-05": (  # a breakout leaves its own bar out
        "tests/unit/test_triggers_signals.py::test_breakout_leaves_the_current_bar_out",
        "tests/unit/test_triggers_signals.py::test_a_quiet_market_near_its_high_does_not_break_out",
    ),
    "G-06": (  # what fires can reach the minimum score
        "tests/unit/test_config_rules.py::test_broken_rule_is_refused_by_file_key_value_and_rule",
    ),
    "G-07": (  # triggers by regime
        "tests/unit/test_triggers_signals.py::test_momentum",
        "tests/unit/test_triggers_scan.py::test_a_regime_fires_only_what_it_allows",
    ),
    "G-08": (  # no inert key
        "tests/unit/test_config_readers.py::test_no_further_limit_is_without_reader",
        "tests/unit/test_config_coherence.py::test_each_trigger_is_allowed_in_some_regime_and_none_in_a_crash",
        "tests/unit/test_triggers_scan.py::test_the_strongest_come_first_ties_by_name_and_the_rest_is_cut_and_said",
        "tests/unit/test_triggers_scan.py::test_the_minimum_confidence_is_enforced",
    ),
    "G-09": (  # size grows with conviction
        "tests/unit/test_strategy_rules.py::test_the_size_grows_with_conviction",
    ),
    "G-10": (  # risk parity binds
        "tests/unit/test_strategy_rules.py::test_doubling_volatility_halves_the_size_where_parity_binds",
    ),
    "G-11": (  # the shipped keys are those that are read
        "tests/unit/test_universe_config.py::test_the_keys_of_overrides_are_those_that_are_read",
    ),
    "G-12": (  # discovery is built, ranks everything listed, and trades through the whole tree
        "tests/properties/test_discovery_invariants.py::test_whatever_is_listed_the_limits_hold_and_the_ranking_is_kept",
        "tests/simulation/test_discovery_tree.py::test_a_desk_trades_what_its_start_has_found",
        "tests/simulation/test_discovery_tree.py::test_a_listing_that_fails_falls_back_and_says_so",
    ),
    "G-13": (  # the shipped configuration starts
        "tests/unit/test_config_load.py::test_shipped_files_load_clean",
    ),
    "G-14": (  # loosening never writes a file
        "tests/unit/test_strategy_overlay.py::test_a_drought_loosens_once_in_memory_and_a_trigger_ends_it",
    ),
    "G-15": (  # profiles are applied and hashed
        "tests/unit/test_config_load.py::test_risk_profile_sets_conviction_sizes_caps_and_minimum",
        "tests/unit/test_config_resolve.py::test_hash_changes_with_any_value",
    ),
    "G-16": (  # nothing is sold because slots are full
        "tests/unit/test_risk_methods.py::test_without_pyramiding_a_position_is_left_alone_and_a_working_purchase_named_first",
        "tests/unit/test_risk_methods.py::test_what_is_not_ours_is_no_position_of_ours",
    ),
    "P-01": (  # safe as shipped, as missing, as unknown; LIVE needs every word, and no layer says one
        "tests/unit/test_config_modes.py::test_only_three_words_in_the_files_together_open_the_way_to_real_orders",
        "tests/unit/test_config_modes.py::test_no_layer_above_the_files_opens_it",
        "tests/unit/test_config_modes.py::test_a_run_that_may_not_be_starts_nothing",
    ),
    "T-13": (  # every file is held against a strict schema
        "tests/properties/test_config_mistakes.py::test_any_single_key_lost_or_of_another_kind_is_refused_or_safe",
        "tests/unit/test_config_rules.py::test_broken_rule_is_refused_by_file_key_value_and_rule",
    ),
}


@pytest.mark.parametrize("test", listed(IMPOSSIBLE))
def test_the_test_that_makes_a_defect_impossible_exists(test):
    assert exists(test)


@pytest.mark.skipif(not KNOWN.is_file(), reason="the list of known defects is not here")
def test_every_known_defect_in_deciding_has_its_tests():
    rows = re.findall(r"^\| ([A-Z]-\d\d) \|", KNOWN.read_text(), re.MULTILINE)
    assert [row for row in rows if row.startswith(DECISIONS) and not IMPOSSIBLE.get(row)] == []
