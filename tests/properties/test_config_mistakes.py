"""Whatever single key is deleted, retyped or pushed out of range: a clear refusal or a safe start, nothing else."""

import copy
import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from config.check import described, plain_type
from config.documents import parse
from config.files import FILES
from config.layers import leaves
from config.load import ConfigError, load
from config.schema import Range
from protocol.policy import Mode

SHIPPED = Path(__file__).resolve().parents[2] / "config"
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
TREES = {name: yaml.safe_load((SHIPPED / f"{name}.yaml").read_text()) for name in FILES}


def paths(tree, prefix=()):
    """Every key of a file, sections and leaves."""
    for key, value in tree.items():
        yield (*prefix, key)
        if isinstance(value, dict):
            yield from paths(value, (*prefix, key))


EVERY = [(name, path) for name, tree in TREES.items() for path in paths(tree)]
LEAVES = [(name, tuple(key.split("."))) for name, tree in TREES.items() for key, _ in leaves(tree)]


def declared(name, path):
    """The schema's type and range of one key."""
    found = described(FILES[name])
    for part in path:
        bare, _ = plain_type(found)
        if hasattr(bare, "fields"):
            found = next(f.type for f in bare.fields if f.encode_name == part)
        else:
            found = bare.value_type
    return plain_type(found)


RANGED = [(name, path) for name, path in LEAVES if isinstance(declared(name, path)[1].get("range"), Range)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The shipped files; each attempt puts its own back."""
    path = tmp_path_factory.mktemp("config")
    shutil.copytree(SHIPPED, path, ignore=shutil.ignore_patterns("*.py", "__pycache__"), dirs_exist_ok=True)
    return path


def attempt(folder, name, tree):
    """Load with one file replaced: the configuration, or the problems; no other end."""
    file = folder / f"{name}.yaml"
    file.write_text(tree if isinstance(tree, str) else yaml.dump(tree, Dumper=DUMPER))
    try:
        loaded, problems = load(folder), ()
    except ConfigError as error:
        loaded, problems = None, error.problems
    finally:
        shutil.copy(SHIPPED / f"{name}.yaml", file)
    assert loaded or problems, "a refusal says why"
    assert all(p.file and p.key and p.value and p.rule and "\n" not in str(p) for p in problems)
    return loaded, problems


def without(tree, path):
    tree = copy.deepcopy(tree)
    node = tree
    for part in path[:-1]:
        node = node[part]
    del node[path[-1]]
    return tree


def changed(tree, path, value):
    tree = copy.deepcopy(tree)
    node = tree
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    return tree


def named(problems, name, path):
    """Whether some problem names this file and key, or a key above or below it."""
    dotted = ".".join(path)
    keys = {key for p in problems for key in p.key.split(", ") if p.file == f"{name}.yaml"}
    return any(key == dotted or key.startswith(f"{dotted}.") or dotted.startswith(f"{key}.") for key in keys)


def is_safe(policy):
    """Whether nothing real can be placed, and no more is risked than is shipped."""
    closed = policy.mode is Mode.DRY_RUN and policy.read_only and not policy.live_trading_enabled
    return closed and policy.risk.max_total_at_risk_pct <= 25 and policy.risk.max_open_positions <= 5


fast = settings(max_examples=80, deadline=None)
faster = settings(max_examples=40, deadline=None)


@pytest.mark.req("C1", "M1")
@fast
@given(place=st.sampled_from(EVERY))
def test_deleting_any_key_refuses_or_falls_back_to_a_safe_value(folder, place):
    name, path = place
    loaded, problems = attempt(folder, name, without(TREES[name], path))
    assert problems if loaded is None else is_safe(loaded.policy)


WRONG = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-10, 10),
    st.text("abcXYZ019 -_:#{}[]'\"\\%@", max_size=12),
    st.lists(st.integers(0, 3), max_size=3),
    st.dictionaries(st.sampled_from(["a", "tier1", "mode"]), st.integers(0, 3), max_size=2),
)


@pytest.mark.req("C1", "M1")
@fast
@given(place=st.sampled_from(EVERY), value=WRONG)
def test_retyping_any_key_names_it_or_is_a_value_it_may_have(folder, place, value):
    name, path = place
    loaded, problems = attempt(folder, name, changed(TREES[name], path, value))
    if loaded is None:
        assert named(problems, name, path) or all("rule" in p.rule or "needs" in p.rule for p in problems)
    else:
        assert loaded.policy.mode is Mode.DRY_RUN
        assert loaded.policy.read_only


@pytest.mark.req("C1")
@fast
@given(place=st.sampled_from(RANGED), above=st.booleans(), by=st.sampled_from([1, 0.001, 10**6, 10**20]))
def test_pushing_any_number_out_of_its_range_is_refused_by_name(folder, place, above, by):
    name, path = place
    bounds = declared(name, path)[1]["range"]
    edge = float(bounds.high) if above else float(bounds.low)
    value = edge + by if above else edge - by
    if value == edge:
        value = edge * 2 + 1
    loaded, problems = attempt(folder, name, changed(TREES[name], path, value))
    assert loaded is None
    assert named(problems, name, path)


@faster
@given(text=st.text(max_size=200), name=st.sampled_from(list(FILES)))
def test_any_text_in_place_of_a_file_is_refused(folder, text, name):
    encoded = text.encode("utf-8", "replace").decode()
    loaded, problems = attempt(folder, name, encoded)
    assert loaded is None or name == "app", "only app.yaml may be empty of everything"
    assert loaded is not None or {p.file for p in problems} == {f"{name}.yaml"}


@faster
@given(data=st.data())
def test_any_piece_of_a_file_lost_never_ends_in_a_traceback_or_live(folder, data):
    name = data.draw(st.sampled_from(list(FILES)))
    text = (SHIPPED / f"{name}.yaml").read_text()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 200)))
    loaded, _ = attempt(folder, name, text[:start] + text[end:])
    assert loaded is None or loaded.policy.mode is Mode.DRY_RUN


@fast
@given(text=st.text(max_size=100))
def test_reading_any_text_raises_nothing(text):
    document = parse(text, "x.yaml")
    assert document.problems or isinstance(document.data, dict)


@pytest.mark.slow
@pytest.mark.req("C1", "M1")
@pytest.mark.parametrize("name", FILES)
def test_any_single_key_lost_or_of_another_kind_is_refused_or_safe(folder, name):
    """Every key, none left to chance: missing, empty, and of each kind that it may not be."""
    places = [path for which, path in EVERY if which == name]
    trees = [without(TREES[name], path) for path in places]
    trees += [changed(TREES[name], path, value) for path in places for value in (None, "x", [], {}, -(10**9))]
    for tree in trees:
        loaded, _ = attempt(folder, name, tree)
        assert loaded is None or is_safe(loaded.policy), tree
    assert len(trees) == 6 * len(places)
