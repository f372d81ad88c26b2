"""The test verb, run as a user runs it, on a small project of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SETTINGS = """
[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["."]
addopts = "--strict-markers -p no:cacheprovider -p no:hypothesispytest"
markers = ["slow: slow", "req(*ids): requirement"]
"""
TESTS = """
import pytest

@pytest.mark.req("X1", "K1")
@pytest.mark.parametrize("n", [1, 2])
def test_good(n): assert n

def test_bad(): assert False
"""


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    for package in ("ops", "actors"):
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "tests").mkdir()
    (root / "tests" / "test_it.py").write_text(TESTS)
    (root / "pyproject.toml").write_text(SETTINGS)
    return root


def trader_test(project, *arguments, cwd=None):
    environment = {**os.environ, "PYTHONPATH": str(project)}
    command = [sys.executable, "-P", "-m", "ops.cli", "test", *arguments]
    done = subprocess.run(command, cwd=cwd or project, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_runs_what_is_not_slow_and_fails_when_a_test_does(project):
    code, out, _ = trader_test(project)
    assert code == 1
    assert "1 failed, 2 passed" in out


def test_passes_arguments_on_and_reads_paths_from_the_callers_directory(project):
    code, out, _ = trader_test(project, "test_it.py::test_good", "-n", "0", cwd=project / "tests")
    assert code == 0
    assert "2 passed" in out


def test_no_slow_tests_is_said_and_is_no_failure(project):
    code, _, err = trader_test(project, "--slow")
    assert code == 0
    assert "there are no slow tests" in err


@pytest.mark.parametrize(
    "arguments", [["-k", "nothing_matches", "-n", "0"], ["--no-such-option"], ["tests/absent.py", "-n", "0"]]
)
def test_nothing_found_and_bad_usage_exit_2(project, arguments):
    assert trader_test(project, *arguments)[0] == 2


def test_matrix_lists_each_test_once_and_names_what_is_missing(project):
    code, out, err = trader_test(project, "--matrix", "--json")
    matrix = json.loads(out)
    assert code == 1
    assert matrix["X1"] == matrix["K1"] == ["tests/test_it.py::test_good"]
    assert matrix["U1"] == []
    assert len(matrix) == 35
    assert "2 of 35" in err


def test_matrix_refuses_an_unknown_requirement(project):
    (project / "tests" / "test_more.py").write_text(
        "import pytest\n@pytest.mark.req('X9')\ndef test_x(): assert True\n"
    )
    code, _, err = trader_test(project, "--matrix")
    assert code == 1
    assert "X9" in err
