"""The shipped universe and regime tables, by the real loader, down to what the rooms make of them."""

import shutil
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from actors.risk.actor import limits
from actors.universe.actor import settings
from config.load import ConfigError, load
from protocol.policy_universe import BandRow, NearMiss
from protocol.strategy import Regime

SHIPPED = Path(__file__).resolve().parents[2] / "config"
D = Decimal
HOUR_NS = 3600 * 10**9


@pytest.fixture(scope="module")
def policy():
    return load(SHIPPED).policy


@pytest.fixture
def loaded(tmp_path):
    """Loads the shipped files with dotted keys of `universe.yaml`, and the theme caps, changed."""

    def change(*, caps=None, **changes):
        folder = tmp_path / "config"
        shutil.copytree(SHIPPED, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        tree = yaml.safe_load((folder / "universe.yaml").read_text())
        for key, value in changes.items():
            *parents, last = key.split("__")
            node = tree
            for part in parents:
                node = node[part]
            node[last] = value
        (folder / "universe.yaml").write_text(yaml.safe_dump(tree))
        if caps is not None:
            limits_ = yaml.safe_load((folder / "policy.yaml").read_text())
            limits_["risk"]["max_per_theme_pct"] = caps
            (folder / "policy.yaml").write_text(yaml.safe_dump(limits_))
        return load(folder).policy

    return change


@pytest.mark.req("U1")
def test_the_tiers(policy):
    rows = [
        (t.tier, t.max_allocation_pct, t.max_spread_bps, t.min_volume_usd, t.min_depth_usd, t.forced, t.band)
        for t in settings(policy).bounds.tiers
    ]
    none = frozenset()
    assert rows == [
        (1, 40, 20, 10_000_000, 100_000, none, None),
        (2, 20, 35, 8_000_000, 25_000, none, None),
        (3, 10, 60, 8_000_000, 10_000, none, None),
    ]
    assert settings(policy).bounds.tiers[0].products == ("BTC-USD", "ETH-USD", "SOL-USD")
    assert len(settings(policy).bounds.tiers[1].products) == 11


@pytest.mark.req("U1")
def test_times_and_counts(policy):
    found = settings(policy)
    assert (found.refresh_ns, found.products_ns, found.ban_ns) == (HOUR_NS, HOUR_NS // 12, 168 * HOUR_NS)
    assert (found.min_eligible, found.bounds.near) == (2, None)


@pytest.mark.req("U3")
def test_the_one_table_of_regimes(policy):
    bull, chop, bear, crash = policy.regime.rows
    assert [r.position_size_multiplier for r in policy.regime.rows] == [D("1.2"), 1, D("0.6"), 0]
    assert [r.max_positions for r in policy.regime.rows] == [5, 3, 2, 0]
    assert [r.signal_confidence_boost for r in policy.regime.rows] == [0.05, -0.1, 0, 0]
    assert set(bull.allowed_signals) == {"momentum", "price_move", "breakout", "volume_spike"}
    assert set(chop.allowed_signals) == {"mean_reversion", "price_move", "breakout", "reversal", "volume_spike"}
    assert set(bear.allowed_signals) == {"price_move", "reversal"}
    assert crash.allowed_signals == ()


@pytest.mark.req("U1", "U3")
def test_tiers_and_floors_by_regime(policy):
    assert [s.allocation_mults for s in policy.universe.scales] == [
        (1, D("1.2"), 0),
        (1, D("0.8"), 0),
        (1, D("0.5"), 0),
        (0, 0, 0),
    ]
    assert [s.volume_mult for s in policy.universe.scales] == [D("0.9"), 1, D("1.2"), None]
    assert [s.regime for s in policy.universe.scales] == list(Regime)
    assert [r.allocations_pct for r in limits(policy).regimes] == [(40, 24, 0), (40, 16, 0), (40, 10, 0), (0, 0, 0)]


@pytest.mark.req("U1")
def test_the_keys_of_overrides_are_those_that_are_read(loaded):
    """Switched on in the file, they arrive in the room (a copy of the table elsewhere would not)."""
    policy = loaded(
        universe__near_threshold={"override_enabled": True, "tolerance_pct": 0.2, "max_overrides_per_tier": 1},
        tiers__tier_1_core__force_eligible_symbols=["SOL-USD"],
        tiers__tier_2__near_threshold_override__enable=True,
        tiers__tier_2__near_threshold_override__max_spread_bps=25,
    )
    bounds = settings(policy).bounds
    assert bounds.near == NearMiss(tolerance_share=D("0.2"), max_per_tier=1)
    assert bounds.tiers[0].forced == {"SOL-USD"}
    assert bounds.tiers[1].band == BandRow(
        lower_mult=D("0.95"),
        max_spread_bps=D(25),
        min_listing_age_s=30 * 86_400,
        require_depth_mult=D(12),
        slippage_budget_bps=D(35),
    )


@pytest.mark.req("U1")
def test_discovery_leaves_the_tiers_empty_for_a_start_to_fill_and_keeps_their_bounds(policy, loaded):
    found = loaded(universe__method="dynamic_discovery")
    assert found.universe.products == ()
    assert [(t.min_24h_volume_usd, t.max_spread_bps) for t in found.universe.tiers] == [
        (t.min_24h_volume_usd, t.max_spread_bps) for t in policy.universe.tiers
    ]
    rules = found.universe.discovery
    assert [(t.max_products, t.min_volume_usd) for t in rules.tiers] == [
        (10, 80_000_000),
        (20, 8_000_000),
        (0, 5_000_000),
    ]
    assert (rules.max_products, rules.max_spread_bps, rules.min_price_usd) == (30, 80, D("0.01"))
    assert {"USDT", "USDC", "PYUSD"} <= set(rules.stable_coins)
    assert rules.fallback == ("BTC-USD", "ETH-USD", "SOL-USD", "AVAX-USD", "DOT-USD", "ATOM-USD")


@pytest.mark.req("U1")
def test_without_the_cluster_of_base_layers_the_three_largest_stand_in(loaded):
    found = loaded(universe__method="dynamic_discovery", clusters={"MEME": ["DOGE-USD"]}, caps={"MEME": 4, "OTHER": 10})
    assert found.universe.discovery.fallback == ("BTC-USD", "ETH-USD", "SOL-USD")


@pytest.mark.req("U1")
def test_lists_that_are_not_read_need_not_be_kept_up(loaded):
    found = loaded(universe__method="dynamic_discovery", tiers__tier_1_core__symbols=[], tiers__tier_2__symbols=[])
    assert found.universe.discovery is not None


@pytest.mark.req("C1")
def test_another_way_to_choose_is_refused(loaded):
    with pytest.raises(ConfigError, match=r"universe.method.*newest.*must be one of"):
        loaded(universe__method="newest")


def test_shipped_products_are_those_listed(policy):
    assert (policy.universe.discovery, policy.universe.found) == (None, None)
    assert len(policy.universe.products) == 14


@pytest.mark.req("U2")
def test_every_tradable_product_has_a_theme_with_a_cap(policy):
    themes = {p: policy.universe.theme_of(p) for p in policy.universe.products}
    assert {p for p, theme in themes.items() if theme == "OTHER"} == {
        *("XRP-USD", "ADA-USD", "ALGO-USD", "XLM-USD", "HBAR-USD")
    }
    assert all(policy.risk.theme_cap_pct(theme) > 0 for theme in themes.values())
    assert policy.risk.theme_cap_pct("OTHER") == 10
