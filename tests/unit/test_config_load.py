"""Every mistake in a file, profile or variable is refused by name; what is right loads clean."""

import shutil
import time
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from config.load import ConfigError, load
from protocol.policy import Mode

SHIPPED = Path(__file__).resolve().parents[2] / "config"


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(SHIPPED, tmp_path / "config", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return tmp_path / "config"


def change(folder, file, key, value):
    """Sets one dotted key of one file."""
    path = folder / file
    tree = yaml.safe_load(path.read_text())
    node = tree
    *parents, last = key.split(".")
    for part in parents:
        node = node.setdefault(part, {})
    node[last] = value
    path.write_text(yaml.safe_dump(tree))


def swap(folder, file, old, new):
    """Replaces one piece of text of one file."""
    text = (folder / file).read_text()
    assert text.count(old) == 1
    (folder / file).write_text(text.replace(old, new))


def refused(folder, **options):
    """The problems of a configuration that must not load, as (file, key, value, rule)."""
    with pytest.raises(ConfigError) as caught:
        load(folder, **options)
    found = caught.value.problems
    assert all(p.file and p.key and p.value and p.rule for p in found)
    assert str(caught.value).count("\n") == len(found) - 1, "one line each"
    return [(p.file, p.key, p.value, p.rule) for p in found]


def only(folder, **options):
    [problem] = refused(folder, **options)
    return problem


@pytest.mark.parametrize("profile", [None, "embedded", "paper", "live"])
def test_shipped_files_load_clean(profile):
    loaded = load(SHIPPED, profile=profile)
    assert loaded.warnings == ()
    assert loaded.policy.mode is (Mode.PAPER if profile == "paper" else Mode.DRY_RUN)
    assert loaded.policy.read_only
    assert not loaded.policy.live_trading_enabled


def test_all_files_load_within_a_tenth_of_a_second():
    load(SHIPPED)
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        load(SHIPPED, profile="embedded")
        taken.append(time.perf_counter() - began)
    assert min(taken) <= 0.1


@pytest.mark.req("C1")
@pytest.mark.parametrize("file", ["app.yaml", "policy.yaml", "universe.yaml", "signals.yaml", "strategies.yaml"])
@pytest.mark.parametrize(
    ("content", "key", "rule"),
    [
        (None, "(file)", "cannot be read"),
        (b"", "(root)", "a mapping must stand at the root"),
        (b"- 1\n- 2\n", "(root)", "a mapping must stand at the root"),
        (b"\xff\xfe\x00", "(file)", "not UTF-8"),
        (b"a: \x00", "(syntax)", "not YAML"),
        (b"[" * 5000, "(syntax)", ""),
        (b"a: 1\n---\nb: 2\n", "(syntax)", "expected a single document"),
        (b"#" * 1_100_000, "(file)", "at most"),
    ],
)
def test_file_that_cannot_be_used_is_refused_by_name(folder, file, content, key, rule):
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    found = refused(folder)
    assert found[0][:2] == (file, key)
    assert rule in found[0][3]


@pytest.mark.req("C1")
def test_syntax_error_names_line_and_column(folder):
    (folder / "app.yaml").write_text("app:\n  mode: DRY_RUN\n  - x\n")
    with pytest.raises(ConfigError) as caught:
        load(folder)
    [problem] = caught.value.problems
    assert str(problem).startswith("app.yaml:3:3: ")


def test_folder_in_place_of_a_file_is_refused(folder):
    (folder / "app.yaml").unlink()
    (folder / "app.yaml").mkdir()
    assert only(folder)[:2] == ("app.yaml", "(file)")


def test_folder_that_does_not_exist_names_every_file(tmp_path):
    assert {file for file, *_ in refused(tmp_path / "nowhere")} == {
        *("app.yaml", "policy.yaml", "universe.yaml", "signals.yaml", "strategies.yaml")
    }


@pytest.mark.req("C1")
@pytest.mark.parametrize(
    ("file", "key", "value", "shown", "rule"),
    [
        ("policy.yaml", "risk.max_open_position", 5, "5", "did you mean max_open_positions?"),
        ("policy.yaml", "risk.quote_age_s", 5, "5", "belongs at policy.yaml:staleness.quote_age_s"),
        ("policy.yaml", "risk.surprise", 5, "5", "nothing reads it"),
        ("policy.yaml", "risk.max_exposure_pct", 5, "5", "deprecated: use risk.max_total_at_risk_pct"),
        ("universe.yaml", "universe.cache_ttl_seconds", 5, "5", "deprecated"),
        ("policy.yaml", "risk.max_position_size_pct", "3 %", "3 %", "must be a number"),
        ("policy.yaml", "risk.max_position_size_pct", True, "true", "must be a number"),
        ("policy.yaml", "risk.max_position_size_pct", None, "nothing", "must be a number"),
        ("policy.yaml", "risk.max_position_size_pct", [1], "a list of 1", "must be a number"),
        ("policy.yaml", "risk.max_position_size_pct", float("nan"), ".nan", "must be a number"),
        ("policy.yaml", "risk.max_position_size_pct", 0, "0", "> 0 and ≤ 100"),
        ("policy.yaml", "risk.max_position_size_pct", -1, "-1", "> 0 and ≤ 100"),
        ("policy.yaml", "risk.max_position_size_pct", 100.1, "100.1", "> 0 and ≤ 100"),
        ("policy.yaml", "risk.max_open_positions", 5.0, "5.0", "must be a whole number"),
        ("policy.yaml", "risk.max_open_positions", "5", "5", "must be a whole number"),
        ("policy.yaml", "risk", 3, "3", "must be a mapping"),
        ("policy.yaml", "risk.managed_position_tag", "Mine!", "Mine!", "[a-z0-9]{1,12}"),
        (
            "policy.yaml",
            "regime.bull.allowed_signals",
            ["hunch"],
            "hunch",
            "one of breakout, mean_reversion, momentum, price_move",
        ),
        ("policy.yaml", "regime.bull.allowed_signals", "momentum", "momentum", "must be a list"),
        ("policy.yaml", "risk.daily_stop_pnl_pct", 3, "3", "≥ -100 and ≤ 0"),
        ("policy.yaml", "staleness.quote_age_s", 301, "301", "≤ 300"),
        ("policy.yaml", "execution.fees", "guess", "guess", "one of venue, constants"),
        ("app.yaml", "exchange.read_only", "no", "no", "must be true or false"),
        ("app.yaml", "exchange.read_only", 0, "0", "must be true or false"),
        ("app.yaml", "app.mode", "LIVEISH", "LIVEISH", "one of DRY_RUN, PAPER, LIVE"),
        ("app.yaml", "app.mode", True, "true", "one of DRY_RUN, PAPER, LIVE"),
        ("app.yaml", "loop.interval.jitter_pct", 21, "21", "≥ 0 and ≤ 20"),
        ("app.yaml", "auth.order_token_life_s", 121, "121", "≥ 10 and ≤ 120"),
        ("universe.yaml", "tiers.tier_1_core.symbols", ["btc"], "btc", "BASE-QUOTE"),
        ("universe.yaml", "tiers.tier_1_core.symbols", ["BTC-USD", "BTC-USD"], "a list of 2", "twice"),
        ("strategies.yaml", "strategies.hunches", {"enabled": True}, "missing", "a required key"),
    ],
)
def test_mistaken_key_is_refused_with_its_value_and_rule(folder, file, key, value, shown, rule):
    change(folder, file, key, value)
    found = refused(folder)
    entry = next(f for f in found if f[1] == key or f[1].startswith(f"{key}."))
    assert (entry[0], entry[2]) == (file, shown)
    assert rule in entry[3]


@pytest.mark.parametrize(("file", "section"), [("policy.yaml", "risk"), ("policy.yaml", "circuit_breakers")])
def test_required_section_that_is_missing_is_named(folder, file, section):
    tree = yaml.safe_load((folder / file).read_text())
    del tree[section]
    (folder / file).write_text(yaml.safe_dump(tree))
    assert only(folder) == (file, section, "missing", "a required key is missing")


@pytest.mark.parametrize("tier", ["tier_1_core", "tier_2", "tier_3"])
def test_all_three_tiers_must_be_there(folder, tier):
    swap(folder, "universe.yaml", f"  {tier}:", "  tier_9:")
    assert (f"tiers.{tier}", "missing") in {found[1:3] for found in refused(folder)}


def test_every_mistake_is_told_at_once(folder):
    change(folder, "app.yaml", "app.mode", "SOMEHOW")
    change(folder, "policy.yaml", "risk.max_drawdown_pct", 101)
    change(folder, "policy.yaml", "risk.max_per_asset_pct", 2)
    change(folder, "universe.yaml", "clusters.LAYER2", [])
    (folder / "signals.yaml").unlink()
    swap(folder, "strategies.yaml", "max_trades_per_cycle: 5", "max_trades_per_cycle: many")
    assert {file for file, *_ in refused(folder)} == {
        *("app.yaml", "policy.yaml", "signals.yaml", "strategies.yaml"),
    }
    shutil.copy(SHIPPED / "signals.yaml", folder)
    shutil.copy(SHIPPED / "strategies.yaml", folder)
    keys = {key for _, key, *_ in refused(folder)}
    assert keys == {
        "app.mode",
        "risk.max_drawdown_pct",
        "risk.max_position_size_pct, risk.max_per_asset_pct",
        "clusters.LAYER2",
    }


def test_rule_that_only_follows_from_a_bad_key_is_not_told(folder):
    change(folder, "policy.yaml", "risk.max_total_at_risk_pct", "much")
    assert only(folder)[1] == "risk.max_total_at_risk_pct"


@pytest.mark.parametrize(
    "text", ["yes", "no", "on", "off", "1:30", "010", "1_000", "0x10", ".inf", "2026-01-01", "!!int 3"]
)
def test_yaml_words_are_not_guessed_into_numbers(folder, text):
    swap(folder, "policy.yaml", "max_open_positions: 5", f"max_open_positions: {text}")
    assert ("policy.yaml", "risk.max_open_positions") in {found[:2] for found in refused(folder)}


@pytest.mark.parametrize("text", ["yes", "no", "on", "off", "1", "'true'"])
def test_yaml_words_are_not_guessed_into_switches(folder, text):
    swap(folder, "app.yaml", "read_only: true", f"read_only: {text}")
    assert only(folder)[:2] == ("app.yaml", "exchange.read_only")


def test_decimals_stay_exact(folder):
    swap(folder, "policy.yaml", "risk_per_trade_pct: 1.0", "risk_per_trade_pct: 0.1")
    assert load(folder).policy.strategy.risk_per_trade_pct == Decimal("0.1")


@pytest.mark.parametrize("number", ["1e99", "9" * 5000, "1e999999999", "1e-99"])
def test_monstrous_numbers_are_refused_quietly(folder, number):
    swap(folder, "policy.yaml", "max_total_at_risk_pct: 25", f"max_total_at_risk_pct: {number}")
    assert any(key.startswith("risk.max_") for _, key, *_ in refused(folder))


def test_key_that_stands_twice_is_refused_with_its_line(folder):
    swap(folder, "app.yaml", "  mode: DRY_RUN", "  mode: LIVE\n  mode: DRY_RUN")
    file, key, _, rule = only(folder)
    assert (file, key) == ("app.yaml", "app.mode")
    assert "twice" in rule


def test_alias_and_tag_are_refused(folder):
    swap(folder, "policy.yaml", "max_open_positions: 5", "max_open_positions: &five 5")
    swap(folder, "policy.yaml", "max_trades_per_hour: 5", "max_trades_per_hour: *five")
    swap(folder, "policy.yaml", "dust_threshold_usd: 1", "dust_threshold_usd: !!python/name:os.system 1")
    rules = {key: rule for _, key, _, rule in refused(folder)}
    assert "alias" in rules["risk.max_trades_per_hour"]
    assert "tags" in rules["risk.dust_threshold_usd"]


def test_mapping_that_holds_itself_is_refused(folder):
    (folder / "app.yaml").write_text("app: &a\n  mode: *a\n")
    assert any("alias" in rule for *_, rule in refused(folder))


SECRETS = [
    "api_key: organizations/1c9a/apiKeys/77aa",
    "api_secret: hunter2hunter2",
    "webhook_url: https://user:pass@alerts.example/x",
    "note: '-----BEGIN EC PRIVATE KEY-----'",
    "note: dGhpcyBpcyBhIHRocm93IGF3YXkga2V5IDEyMzQ1Njc4OTAxMjM0NTY3ODkw",
    "# old: organizations/1c9a/apiKeys/77aa",
]


@pytest.mark.req("SEC1")
@pytest.mark.parametrize("line", SECRETS)
@pytest.mark.parametrize("file", ["app.yaml", "strategies.yaml", "profiles/paper.yaml"])
def test_literal_secret_anywhere_is_refused_and_not_shown(folder, file, line):
    with (folder / file).open("a") as out:
        out.write(f"\n{line}\n")
    found = refused(folder, profile="paper")
    assert any("rule 24" in rule for *_, rule in found)
    secret = line.partition(": ")[2].strip("'")
    assert not any(secret in field for problem in found for field in problem)


def test_secret_in_a_variable_is_refused_and_not_shown():
    environ = {"TRADER__RISK__MANAGED_POSITION_TAG": "organizations/1c9a/apiKeys/77aa"}
    with pytest.raises(ConfigError) as caught:
        load(SHIPPED, environ=environ)
    assert "rule 24" in str(caught.value)
    assert "77aa" not in str(caught.value)


@pytest.mark.req("M1")
@pytest.mark.parametrize("text", ["", "mode:", "mode: null", "mode: ~"])
def test_missing_mode_is_the_safest(folder, text):
    swap(folder, "app.yaml", "mode: DRY_RUN", text)
    swap(folder, "app.yaml", "app:\n  ", "app: {}" if not text else "app:\n  ")
    assert load(folder).policy.mode is Mode.DRY_RUN


@pytest.mark.req("M1")
@pytest.mark.parametrize("text", ["", "exchange:\n  read_only:\n", "exchange: {}\n"])
def test_live_with_a_missing_read_only_is_refused(folder, text):
    swap(folder, "app.yaml", "mode: DRY_RUN", "mode: live")
    swap(folder, "policy.yaml", "live_trading_enabled: false", "live_trading_enabled: true")
    whole = (folder / "app.yaml").read_text()
    start, end = whole.index("exchange:"), whole.index("auth:")
    (folder / "app.yaml").write_text(whole[:start] + text + whole[end:])
    assert only(folder)[1:] == ("app.mode, exchange.read_only", "LIVE, true", "LIVE needs exchange.read_only: false")


@pytest.mark.req("M1")
def test_live_needs_every_switch(folder):
    change(folder, "app.yaml", "app.mode", "LIVE")
    assert [key for _, key, *_ in refused(folder)] == [
        "app.mode, exchange.read_only",
        "governance.live_trading_enabled",
    ]
    change(folder, "app.yaml", "exchange.read_only", False)
    assert [key for _, key, *_ in refused(folder)] == ["governance.live_trading_enabled"]
    change(folder, "policy.yaml", "governance.live_trading_enabled", True)
    assert load(folder).policy.mode is Mode.LIVE
    assert not load(folder).policy.read_only


def test_read_only_false_is_without_effect_outside_live(folder):
    change(folder, "app.yaml", "exchange.read_only", False)
    assert load(folder).policy.read_only


@pytest.mark.parametrize("word", ["paper", "Paper", "PAPER"])
def test_mode_names_know_no_case(folder, word):
    change(folder, "app.yaml", "app.mode", word)
    assert load(folder).policy.mode is Mode.PAPER


@pytest.mark.req("M1")
@pytest.mark.parametrize(
    ("content", "key"),
    [
        ("app: {app: {mode: LIVE}}", "app.mode"),
        ("app: {app: {mode: live}}", "app.mode"),
        ("app: {exchange: {read_only: false}}", "exchange.read_only"),
        ("policy: {governance: {live_trading_enabled: true}}", "governance.live_trading_enabled"),
    ],
)
def test_environment_profile_never_unlocks(folder, content, key):
    (folder / "profiles" / "mine.yaml").write_text(content)
    found = refused(folder, profile="mine")
    assert ("profiles/mine.yaml", key) in {entry[:2] for entry in found}
    assert any("rule 17" in rule for *_, rule in found)


@pytest.mark.parametrize("name", ["embeded", "../app", "", "EMBEDDED", "a/b"])
def test_profile_that_does_not_exist_is_refused(name):
    with pytest.raises(ConfigError, match="no such environment profile"):
        load(SHIPPED, profile=name)


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ("risk: {max_open_positions: 3}", "risk"),
        ("policy: 3", "policy"),
        ("policy: {risk: {max_open_position: 3}}", "risk.max_open_position"),
        ("policy: {risk: {max_open_positions: 300}}", "risk.max_open_positions"),
        ("policy: [", "(syntax)"),
    ],
)
def test_mistake_in_a_profile_is_refused_by_its_file(folder, content, key):
    (folder / "profiles" / "mine.yaml").write_text(content)
    assert only(folder, profile="mine")[:2] == ("profiles/mine.yaml", key)


def test_embedded_profile_changes_exactly_three_keys():
    loaded = load(SHIPPED, profile="embedded")
    assert {(c.file, c.key, c.after) for c in loaded.changes} == {
        ("app", "loop.interval.seconds", "5"),
        ("policy", "risk.min_seconds_between_trades", "10"),
        ("policy", "risk.per_symbol_trade_spacing_seconds", "60"),
    }
    assert str(loaded.changes[0]) == "app.yaml loop.interval.seconds: 60 -> 5 (profile embedded)"
    assert (loaded.policy.loop.interval_s, loaded.policy.risk.spacing_s) == (5.0, 10)
    assert loaded.policy.risk.symbol_spacing_s == 60


def test_each_layer_lies_over_the_one_before(folder):
    name, key = "TRADER__LOOP__INTERVAL__SECONDS", "loop.interval.seconds"
    swap(folder, "app.yaml", "    seconds: 60\n", "")
    assert load(folder).policy.loop.interval_s == 60.0
    change(folder, "app.yaml", key, 50)
    assert load(folder).policy.loop.interval_s == 50.0
    assert load(folder, profile="embedded").policy.loop.interval_s == 5.0
    loaded = load(folder, profile="embedded", environ={name: "7.5"})
    assert (loaded.policy.loop.interval_s, loaded.applied) == (7.5, (name,))
    loaded = load(folder, profile="embedded", environ={name: "7.5"}, overrides={key: "9"})
    assert loaded.policy.loop.interval_s == 9.0
    assert [(c.source, c.after) for c in loaded.changes if c.key == key] == [
        *(("profile embedded", "5"), ("environment", "7.5"), ("operator", "9"))
    ]


def test_variables_reach_maps_lists_and_named_files():
    environ = {
        "TRADER__RISK__MAX_PER_THEME_PCT__MEME": "5",
        "TRADER__RISK__MAX_TOTAL_AT_RISK_PCT": "26",
        "TRADER__TIERS__TIER_3__SYMBOLS": "[LTC-USD]",
        "TRADER__SIGNALS__TRIGGERS__MAX_TRIGGERS_PER_CYCLE": "2",
        "TRADER__GLOBAL__MAX_TOTAL_PROPOSALS_PER_CYCLE": "4",
        "HOME": "somewhere",
    }
    loaded = load(SHIPPED, environ=environ)
    assert loaded.applied == tuple(sorted(environ.keys() - {"HOME"}))
    assert loaded.policy.risk.theme_cap_pct("MEME") == 5
    assert loaded.policy.universe.tiers[2].products == ("LTC-USD",)
    assert loaded.policy.triggers.max_triggers_per_cycle == 2
    assert loaded.policy.strategy.max_total_proposals_per_cycle == 4


@pytest.mark.parametrize(
    ("environ", "key"),
    [
        ({"TRADER__RISK__NOTHING": "1"}, "TRADER__RISK__NOTHING"),
        ({"TRADER__": "1"}, "TRADER__"),
        ({"TRADER__RISK": "1"}, "TRADER__RISK"),
        ({"TRADER__RISK__MAX_OPEN_POSITIONS": "many"}, "risk.max_open_positions"),
        ({"TRADER__RISK__MAX_OPEN_POSITIONS": "3: [4"}, "risk.max_open_positions"),
        ({"TRADER__RISK__MAX_OPEN_POSITIONS": ""}, "risk.max_open_positions"),
        ({"TRADER__APP__MODE": "YOLO"}, "app.mode"),
        (
            {"TRADER__PROFILES__CONSERVATIVE__MIN_CONVICTION__DEEPER": "1"},
            "TRADER__PROFILES__CONSERVATIVE__MIN_CONVICTION__DEEPER",
        ),
    ],
)
def test_mistaken_variable_is_refused(environ, key):
    with pytest.raises(ConfigError) as caught:
        load(SHIPPED, environ=environ)
    assert [(p.file, p.key) for p in caught.value.problems] == [("environment", key)]


def test_empty_mode_variable_does_not_unlock():
    assert load(SHIPPED, environ={"TRADER__APP__MODE": ""}).policy.mode is Mode.DRY_RUN


@pytest.mark.parametrize(
    ("name", "conviction", "sizes", "caps", "minimum"),
    [
        ("conservative", 0.40, ("1.5", "1.0", "0.5"), ("3", "2", "1"), "10"),
        ("swing_trader", 0.34, ("2.0", "1.2", "0.5"), ("3", "3", "2"), "9"),
        ("day_trader", 0.30, ("3.0", "2.0", "0.7"), ("3", "3", "2.5"), "5"),
    ],
)
def test_risk_profile_sets_conviction_sizes_caps_and_minimum(name, conviction, sizes, caps, minimum):
    policy = load(SHIPPED, overrides={"risk_profile": name}).policy
    assert policy.strategy.min_conviction == conviction
    assert policy.strategy.tier_base_pct == tuple(map(Decimal, sizes))
    assert policy.risk.tier_cap_pct == tuple(map(Decimal, caps))
    assert policy.risk.min_trade_notional_usd == policy.execution.min_notional_usd == Decimal(minimum)


def test_environment_profile_and_operator_lie_over_the_risk_profile(folder):
    (folder / "profiles" / "mine.yaml").write_text("policy: {strategy: {min_conviction_to_propose: 0.45}}")
    assert load(folder, profile="mine").policy.strategy.min_conviction == 0.45
    over = {"strategy.min_conviction_to_propose": "0.42"}
    assert load(folder, profile="mine", overrides=over).policy.strategy.min_conviction == 0.42


def test_file_value_that_the_risk_profile_overrules_is_told(folder):
    change(folder, "policy.yaml", "strategy.min_conviction_to_propose", 0.2)
    loaded = load(folder)
    assert loaded.policy.strategy.min_conviction == 0.4
    assert [w.key for w in loaded.warnings] == ["strategy.min_conviction_to_propose"]


def test_risk_profile_that_does_not_exist_is_refused(folder):
    change(folder, "policy.yaml", "risk_profile", "yolo")
    file, key, value, rule = only(folder)
    assert (file, key, value) == ("policy.yaml", "risk_profile", "yolo")
    assert "conservative, day_trader, swing_trader" in rule


def test_odd_names_stay_on_one_line(folder):
    with (folder / "app.yaml").open("a") as out:
        out.write('"": 1\n"a\\nb": 2\n? [x]\n: 3\n"\\u2028": 4\n')
    assert {key for _, key, *_ in refused(folder)} == {"''", r"a\nb", "(compound key)", r"\u2028"}
