"""A change is told as what it does to risk; whatever nobody can order loosens."""

import shutil
from pathlib import Path

import pytest
import yaml

from config.check import known_keys
from config.diff import Effect, differences, loosening
from config.directions import DOWN, EITHER, NEUTRAL, UP, Looser, direction, directions
from config.editor import editor_schema
from config.effective import moved
from config.files import FILES
from config.load import load

SHIPPED = Path(__file__).resolve().parents[2] / "config"


@pytest.fixture(scope="module")
def shipped():
    return load(SHIPPED).config


@pytest.mark.req("C1")
@pytest.mark.parametrize(
    ("key", "value", "effect"),
    [
        ("risk.max_total_at_risk_pct", "26", Effect.LOOSENS),
        ("risk.daily_stop_pnl_pct", "-2", Effect.TIGHTENS),
        ("risk.daily_stop_pnl_pct", "-4", Effect.LOOSENS),
        ("risk.min_seconds_between_trades", "240", Effect.TIGHTENS),
        ("risk.min_seconds_between_trades", "179", Effect.LOOSENS),
        ("risk.protective_exits_when_halted", "false", Effect.LOOSENS),
        ("exits.check_stop_loss", "false", Effect.LOOSENS),
        ("exits.use_trailing_stop", "true", Effect.TIGHTENS),
        ("app.mode", "PAPER", Effect.LOOSENS),
        ("risk.max_per_theme_pct.OTHER", "11", Effect.LOOSENS),
        ("tiers.tier_3.symbols", "[LTC-USD]", Effect.LOOSENS),
        ("exclusions.never_trade", "[USDT-USD]", Effect.LOOSENS),
        ("regime.bull.allowed_signals", "[price_move]", Effect.TIGHTENS),
        ("regime.bull.allowed_signals", "[price_move, reversal]", Effect.LOOSENS),
        ("regime.bull.allowed_signals", "[volume_spike, breakout, price_move, momentum]", Effect.NEUTRAL),
        ("loop.interval.jitter_pct", "5", Effect.NEUTRAL),
        ("logging.level", "DEBUG", Effect.NEUTRAL),
        ("execution.fees", "constants", Effect.LOOSENS),
        ("risk.managed_position_tag", "other", Effect.LOOSENS),
        ("rate_limits.kill_sweep.rate", "14", Effect.LOOSENS),
        ("profiles.day_trader.tier_max_pct.tier1", "8", Effect.LOOSENS),
    ],
)
def test_change_has_its_effect(shipped, key, value, effect):
    [found] = differences(shipped, load(SHIPPED, overrides={key: value}).config)
    assert (found.key, found.effect) == (key, effect)
    assert bool(loosening([found])) is (effect is Effect.LOOSENS)


def test_difference_is_told_with_unit_and_both_values(shipped):
    [found] = differences(shipped, load(SHIPPED, overrides={"risk.max_total_at_risk_pct": "30"}).config)
    assert str(found) == (
        "policy.yaml risk.max_total_at_risk_pct: 25 -> 30 (% of NAV) LOOSENS: "
        "what all positions and open buys together may lose"
    )


@pytest.mark.req("C1")
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"risk.max_total_at_risk_pct": "30"}, ["max exposure: 25 % -> 30 %"]),
        ({"loop.interval.seconds": "30"}, []),
        ({"risk.max_drawdown_pct": "9.5"}, ["max drawdown: 10 % -> 9.5 %"]),
        # the risk profile's own cap of tier 1 is 3 %: a wider common cap changes nothing that can be lost
        ({"risk.max_position_size_pct": "4"}, []),
        # a bull market does not raise the cap of one asset, 4 %; nothing of tier 3 is allocated in any regime
        (
            {"regime.bull.position_size_multiplier": "1.5"},
            [
                *("max position, tier 1: 3.6 % -> 4 %", "max position, tier 2: 2.4 % -> 3 %"),
                *("max exposure in full slots: 18 % -> 20 %", "max loss of a position at its stop: 0.36 % -> 0.4 %"),
            ],
        ),
        # five slots, of which the regimes allow five
        ({"risk.max_open_positions": "6"}, []),
    ],
)
def test_candidate_is_told_by_what_can_be_lost(changes, told):
    assert [str(figure) for figure in moved(load(SHIPPED).policy, load(SHIPPED, overrides=changes).policy)] == told


def test_risk_profile_is_told_by_what_it_sets(shipped):
    found = {d.key: d for d in differences(shipped, load(SHIPPED, overrides={"risk_profile": "day_trader"}).config)}
    assert found["risk_profile"].effect is Effect.NEUTRAL
    assert (found["strategy.min_conviction_to_propose"].after, len(loosening(list(found.values())))) == ("0.3", 9)
    assert (found["risk.max_tier_position_pct.tier1"].before, found["risk.max_tier_position_pct.tier1"].after) == (
        *("3", "7"),
    )


def test_entry_that_comes_or_goes_loosens(shipped, tmp_path):
    shutil.copytree(SHIPPED, tmp_path / "c", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    path = tmp_path / "c" / "policy.yaml"
    tree = yaml.safe_load(path.read_text())
    del tree["profiles"]["day_trader"]
    path.write_text(yaml.safe_dump(tree))
    other = load(tmp_path / "c").config
    gone, come = differences(shipped, other), differences(other, shipped)
    assert {d.after for d in gone} == {d.before for d in come} == {"-"}
    assert len(gone) == len(loosening(gone)) == len(loosening(come)) == 8


def test_same_is_no_difference(shipped):
    assert differences(shipped, load(SHIPPED).config) == ()


def test_every_key_has_one_direction():
    keys = [key.replace(".yaml:", ":").split(":") for key in known_keys()]
    assert len(keys) > 200
    assert [(which, key) for which, key in keys if len(directions(which, key)) != 1] == []


def test_no_direction_of_a_key_that_is_gone():
    keys = [[which, *key.split(".")] for which, key in (k.replace(".yaml:", ":").split(":") for k in known_keys())]
    spelt = [
        [*section.split("."), name] for t in (UP, DOWN, EITHER, NEUTRAL) for section in t for name in t[section].split()
    ]
    fits = [
        any(len(p) == len(k) and all(x in {"*", y} for x, y in zip(p, k, strict=True)) for k in keys) for p in spelt
    ]
    assert [".".join(p) for p, fit in zip(spelt, fits, strict=True) if not fit] == []


def test_a_key_without_direction_may_loosen_either_way():
    assert direction("policy", "risk.of_tomorrow") is Looser.EITHER


@pytest.mark.parametrize("which", [None, *FILES])
def test_editor_schema_takes_numbers_and_tells_unit_range_and_reason(which):
    exported = editor_schema(which)
    defined = exported["$defs"]
    assert exported["$ref"].rpartition("/")[2] in defined
    described_keys = [p for one in defined.values() for p in one.get("properties", {}).values() if "x-unit" in p]
    assert described_keys
    assert all(p["x-unit"] in p["description"] and p.get("format") != "decimal" for p in described_keys)


def test_editor_schema_of_one_key():
    total = editor_schema("policy")["$defs"]["Risk"]["properties"]["max_total_at_risk_pct"]
    assert (total["type"], total["default"], total["exclusiveMinimum"], total["maximum"]) == ("number", 15.0, 0, 100)
    assert total["description"] == (
        "what all positions and open buys together may lose (% of NAV, > 0 and ≤ 100; higher is looser)"
    )
