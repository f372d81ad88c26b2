"""The door behind the launcher: exit codes, paths, and no traceback for a user."""

import json
import os
import subprocess
import sys
import types
from decimal import Decimal
from pathlib import Path

import pytest

import ops.cli
from ops.exits import Exit, VerbError
from ops.output import print_json, print_table

ROOT = Path(__file__).resolve().parents[2]


def verb(main, **extra):
    """A verb module with the given work."""
    return types.SimpleNamespace(__doc__="Do a thing.\n\nMore.", configure=lambda parser: None, main=main, **extra)


@pytest.fixture
def door(monkeypatch, tmp_path):
    """Runs a command line whose only verb does the given work; STATE is a fresh folder."""

    def run(main, *arguments, **extra):
        monkeypatch.setattr(ops.cli, "VERBS", ("thing",))
        monkeypatch.setattr(ops.cli, "verb_module", lambda name: verb(main, **extra))
        return ops.cli.run(["thing", "--state", str(tmp_path / "state"), *arguments])

    return run


@pytest.mark.parametrize("code", list(Exit))
def test_a_verbs_exit_code_is_the_programs(door, code):
    assert door(lambda args: code) == code


def test_a_verbs_error_is_one_line_and_its_code(door, capsys):
    def work(args):
        raise VerbError("the desk is not running;\nstart it with run", Exit.NOT_RUNNING)

    assert door(work) == 3
    assert capsys.readouterr().err == "trader: the desk is not running; start it with run\n"


@pytest.mark.req("SEC1")
def test_an_unexpected_error_leaves_its_details_in_a_redacted_file(door, capsys, tmp_path):
    secret = "qF8zR1" * 12

    def work(args):
        raise KeyError(f"no such thing {secret}")

    assert door(work) == 1
    said = capsys.readouterr()
    details = (tmp_path / "state" / "logs" / "cli-errors.log").read_text()
    assert len(said.err.splitlines()) == 1
    assert "KeyError" in said.err
    assert "cli-errors.log" in said.err
    assert "Traceback" in details
    assert secret not in said.err + said.out + details


def test_an_interrupt_is_one_line(door, capsys):
    def work(args):
        raise KeyboardInterrupt

    assert door(work) == 1
    assert capsys.readouterr().err == "trader: interrupted\n"


def test_relative_paths_are_the_callers(door, monkeypatch, tmp_path):
    seen = {}
    monkeypatch.chdir(tmp_path)
    door(lambda args: seen.update(vars(args)) or 0, "--state", "here", "--config", "there")
    assert (seen["state"], seen["config"]) == (tmp_path / "here", tmp_path / "there")


def test_state_comes_from_the_environment_else_beside_the_code(door, monkeypatch, tmp_path):
    monkeypatch.setattr(ops.cli, "verb_module", lambda name: verb(lambda args: 0))
    monkeypatch.setattr(ops.cli, "VERBS", ("thing",))
    monkeypatch.delenv("TRADER_STATE", raising=False)
    assert ops.cli.parse(["thing"]).state == ROOT / "var"
    monkeypatch.setenv("TRADER_STATE", str(tmp_path))
    assert ops.cli.parse(["thing"]).state == tmp_path


@pytest.mark.parametrize("arguments", [["nonsense"], [], ["thing", "--nonsense"], ["thing", "--sta", "x"]])
def test_a_wrong_command_line_exits_2(monkeypatch, arguments, capsys):
    monkeypatch.setattr(ops.cli, "VERBS", ("thing",))
    monkeypatch.setattr(ops.cli, "verb_module", lambda name: verb(lambda args: 0))
    with pytest.raises(SystemExit) as end:
        ops.cli.run(arguments)
    assert end.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_verb_that_asks_for_it_gets_the_rest(door):
    seen = []
    door(lambda args: seen.extend(args.rest) or 0, "-k", "one and two", "tests/unit", "-x", PASSES_REST=True)
    assert seen == ["-k", "one and two", "tests/unit", "-x"]


TALKATIVE = """
import sys, types
import ops.cli
ops.cli.VERBS = ("thing",)
ops.cli.verb_module = lambda name: types.SimpleNamespace(
    __doc__="Talk.", configure=lambda parser: None, main=lambda args: print("x" * 1_000_000) or 0
)
sys.exit(ops.cli.run(["thing"]))
"""


def test_a_reader_that_leaves_is_no_error():
    writer = subprocess.Popen(
        [sys.executable, "-c", TALKATIVE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    )
    writer.stdout.read(1)
    writer.stdout.close()
    with writer.stderr:
        said = writer.stderr.read()
    assert (writer.wait(timeout=20), said) == (0, b"")


def test_a_quick_verb_loads_nothing_heavy():
    code = "import sys, ops.cli; ops.cli.build_parser([]); print([m for m in sys.modules if m in {%s}])"
    heavy = "'aiohttp', 'pyarrow', 'pytest', 'rich', 'pykka', 'structlog'"
    done = subprocess.run([sys.executable, "-c", code % heavy], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "[]\n"


def test_json_keeps_decimals_exact(capsys):
    print_json({"price": Decimal("0.10000000000000000001"), "rows": [1, None]})
    assert json.loads(capsys.readouterr().out) == {"price": "0.10000000000000000001", "rows": [1, None]}


def test_a_table_is_plain_lines_where_nobody_looks(capsys):
    print_table(("product", "size"), [("BTC-USD", Decimal("0.5")), ("ETH-USD", None)], title="Positions")
    assert capsys.readouterr().out == "product\tsize\nBTC-USD\t0.5\nETH-USD\t-\n"


@pytest.mark.parametrize("no_color", [True, False])
def test_a_table_is_coloured_only_where_it_may_be(no_color):
    environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
    environment.pop("NO_COLOR", None)
    if no_color:
        environment["NO_COLOR"] = "1"
    code = "from ops.output import print_table; print_table(('a',), [('[red]x[/red]',)], title='t')"
    ours, theirs = os.openpty()
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=theirs, stderr=subprocess.PIPE, env=environment, check=True
    )
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    os.close(theirs)
    assert done.stderr == b""
    assert "[red]x[/red]" in shown  # data is never markup
    assert "━" in shown
    assert ("\x1b[3" in shown and "\x1b[38" in shown) is False
