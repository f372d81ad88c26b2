"""The verbs, the README, the lock and the requirement marks agree with each other."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ops.cli import VERBS, summary, verb_module
from ops.test import REQUIREMENTS

ROOT = Path(__file__).resolve().parents[2]


def pins(lock):
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", lock, re.MULTILINE))


@pytest.fixture(scope="module")
def lock():
    return (ROOT / "requirements.lock").read_text()


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_what_it_does(verb):
    module = verb_module(verb)
    assert summary(module)
    assert callable(module.configure)
    assert callable(module.main)


def test_readme_names_only_verbs_that_exist():
    named = set(re.findall(r"\./ops/trader ([a-z][a-z-]*)", (ROOT / "README.md").read_text()))
    assert named - set(VERBS) == set()


def test_doors_are_executable():
    assert all((ROOT / door).stat().st_mode & 0o100 for door in ("ops/trader", ".ci/run"))


def test_lock_holds_every_declared_dependency_inside_its_bounds(lock):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [Requirement(text) for text in project["dependencies"] + project["optional-dependencies"]["dev"]]
    pinned = pins(lock)
    outside = {str(r) for r in declared if not r.specifier.contains(pinned.get(canonicalize_name(r.name), "0"))}
    assert outside == set()


def test_lock_pins_and_hashes_and_names_no_place(lock):
    assert re.findall(r"^-.*|^.*(?://|\bfile:).*", lock, re.MULTILINE) == []
    entries = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)[1:]
    assert [entry.split("\n")[0] for entry in entries if "--hash=sha256:" not in entry or "==" not in entry] == []


def marks(source):
    """Requirement ids in `req` marks of one test file."""
    calls = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call) and getattr(n.func, "attr", "") == "req"]
    return {argument.value for call in calls for argument in call.args if isinstance(argument, ast.Constant)}


def test_marks_name_requirements_that_exist(texts):
    marked = {path: marks(text) for path, text in texts.items() if path.startswith("tests/") and path.endswith(".py")}
    assert {path: ids - set(REQUIREMENTS) for path, ids in marked.items() if ids - set(REQUIREMENTS)} == {}
