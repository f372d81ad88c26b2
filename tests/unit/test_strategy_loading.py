"""Users' own strategies: what is loaded, what is refused with file and line, and that nobody else is taken along."""

from decimal import Decimal
from pathlib import Path
from textwrap import dedent

import pytest
from msgspec.structs import replace

from actors.strategy.actor import library, settings
from actors.strategy.base import Strategy
from actors.strategy.core import Host, StepFunction
from actors.strategy.library import example
from actors.strategy.loading import MAX_BYTES, Loader
from actors.strategy.manners import OURS, STANDARD, faults
from actors.strategy.running import Refused, Shelf
from protocol.effects import LogLine, Tell
from protocol.market import Bar, CandleHistory
from protocol.policy_strategy import StrategyRow
from protocol.strategy import Asset, CycleOpened, Failure, ProposalsMade, Regime, StrategyFailed, UniverseView
from tests.support.desk_scenes import BTC, NOON_NS, policy

D = Decimal
GOOD = """\
    from actors.strategy.base import StrategyContext

    class Mine:
        def generate_proposals(self, context: StrategyContext):
            return []
"""


def row(name="mine", class_name="Mine", **changes):
    parts = StrategyRow(name=name, enabled=True, max_at_risk_pct=D(5), max_trades_per_cycle=1, class_name=class_name)
    return replace(parts, **changes)


def write(folder, source, name="mine"):
    (folder / f"{name}.py").write_text(dedent(source))


def loaded(folder, source, **changes):
    write(folder, source)
    return Loader([row(**changes)], {}, folder)("mine")


@pytest.mark.req("STR1")
def test_a_class_with_the_one_method_is_a_strategy(tmp_path):
    found = loaded(tmp_path, GOOD)
    assert isinstance(found, Strategy)
    assert found.generate_proposals(None) == []


REFUSED = {
    "no Python": ("class Mine:\n    def broken(:\n", 2, "invalid syntax"),
    "another class": ("class Other:\n    x = 1\n", 1, "no class Mine"),
    "what is no class": ("Mine = 3\n", 1, "no class Mine"),
    "no method": ("class Mine:\n    def propose(self):\n        return []\n", 2, "no method generate_proposals"),
    "no argument": ("class Mine:\n\n    def generate_proposals(self):\n        return []\n", 3, "the context"),
    "one too many": (
        "class Mine:\n    def generate_proposals(self, context, more):\n        return []\n",
        2,
        "the context",
    ),
    "a clock": ("import math\nimport time\n", 2, "import of time"),
    "a date": ("from datetime import datetime\n", 1, "import of datetime"),
    "chance": ("\n\nfrom random import choice\n", 3, "import of random"),
    "chance by another's door": ("from statistics import random\n", 1, "import of statistics.random"),
    "a socket inside a method": ("def f():\n    import socket\n", 2, "import of socket"),
    "the rooms": ("from actors.strategy import core\n", 1, "import of actors.strategy.core"),
    "the policy": ("from protocol import policy\n", 1, "import of protocol.policy"),
    "a neighbour's file": ("from . import helper\n", 1, "no relative imports"),
    "everything": ("from math import *\n", 1, "import *"),
    "eval": ("x = 1\ny = eval('x')\n", 2, "eval is not for strategies"),
    "exec": ("exec('x = 1')\n", 1, "exec is not for strategies"),
    "open": ("open('f')\n", 1, "open is not for strategies"),
    "__import__": ("__import__('os')\n", 1, "__import__ is not for strategies"),
    "the way up": ("x = ().__class__.__subclasses__()\n", 1, ".__subclasses__ is not"),
    "waiting": ("async def f():\n    return 1\n", 1, "no async"),
    "what fails while it is read": ("x = 1\ny = x / 0\n", 2, "ZeroDivisionError"),
    "what fails while it is made": (
        "class Mine:\n    def __init__(self):\n        raise ValueError('by design')\n",
        3,
        "ValueError: by design",
    ),
}


@pytest.mark.req("STR1")
@pytest.mark.parametrize(("source", "line", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_told_with_file_and_line(tmp_path, source, line, said):
    found = loaded(tmp_path, source)
    assert isinstance(found, Refused)
    assert found.detail.startswith(f"{tmp_path / 'mine.py'}:{line}: ")
    assert said in found.detail


def test_a_parameter_it_does_not_have_is_named(tmp_path):
    found = loaded(tmp_path, GOOD, parameters=(("dip_pct", D(1)),))
    assert isinstance(found, Refused)
    assert "TypeError" in found.detail


@pytest.mark.req("STR1")
@pytest.mark.parametrize("name", sorted(STANDARD | OURS))
def test_values_and_the_contract_may_be_imported(name):
    assert faults(f"import {name}", "f.py") == []


def test_every_offence_of_a_file_is_found():
    assert [fault.split(":")[1] for fault in faults("import os\nx = 1\nimport sys\nopen('f')\n", "f.py")] == [
        "1",
        "3",
        "4",
    ]


def test_a_file_that_is_not_there_or_far_too_long_is_refused(tmp_path):
    absent = Loader([row()], {}, tmp_path)("mine")
    assert isinstance(absent, Refused)
    assert str(tmp_path / "mine.py") in absent.detail
    long = loaded(tmp_path, "#" * (MAX_BYTES + 1))
    assert isinstance(long, Refused)
    assert str(MAX_BYTES) in long.detail


def test_a_file_is_loaded_anew_each_time(tmp_path):
    load = Loader([row()], {}, tmp_path)
    write(tmp_path, "import os\n")
    assert isinstance(load("mine"), Refused)
    write(tmp_path, GOOD)
    assert isinstance(load("mine"), Strategy)


@pytest.mark.req("STR2")
@pytest.mark.parametrize("name", ["rules_engine", "momentum", "mean_reversion", "breakout"])
def test_the_library_is_loaded_by_name(tmp_path, name):
    assert isinstance(Loader([row(name, "")], library(policy()), tmp_path)(name), Strategy)


def test_the_library_s_parameters_are_checked(tmp_path):
    wrong = row("momentum", "", parameters=(("rise", D(1)),))
    found = Loader([wrong], library(policy()), tmp_path)("momentum")
    assert isinstance(found, Refused)
    assert "rise" in found.detail


# --- in a host ----------------------------------------------------------------------------------------------------


def history(closes, seconds):
    bars = tuple(Bar(start_s=i * seconds, open=c, high=c, low=c, close=c, volume=5.0) for i, c in enumerate(closes))
    return CandleHistory(product_id=BTC, granularity_s=seconds, bars=bars)


def cycle():
    asset = Asset(
        product_id=BTC, tier=1, theme="LAYER1", bid=D(94), ask=D(95), spread_bps=2.0, depth_usd=1e6, volume_24h_usd=1e8
    )
    view = UniverseView(
        at_ns=NOON_NS,
        regime=Regime.CHOP,
        regime_confidence=0.8,
        trend_pct=0.0,
        volatility_pct=50.0,
        eligible=(asset,),
        excluded=(),
    )
    return CycleOpened(cycle=3, opened_ns=NOON_NS, universe=view, held=())


def hosted(folder, *rows):
    """What a host with these strategies makes of a day in which BTC fell by 5 % and turned."""
    shipped = policy()
    changed = replace(shipped, strategy=replace(shipped.strategy, strategies=rows))
    step = StepFunction(Shelf(Loader(rows, library(changed), folder)))
    host = Host(settings=replace(settings(changed), products=(BTC,)))
    for message in (history([100.0] * 40 + [94.0, 95.0], 3600), history([95.0] * 64, 900)):
        host, _ = step(host, message, NOON_NS)
    return step(host, cycle(), NOON_NS)[1]


def told(effects, kind):
    return [e.message for e in effects if isinstance(e, Tell) and isinstance(e.message, kind)]


def shipped_example(folder):
    (folder / "dip_buyer.py").write_text(Path(example.__file__).read_text())
    return row("dip_buyer", "ExampleStrategy", parameters=(("dip_pct", D(3)),))


@pytest.mark.req("STR1", "STR4")
def test_the_worked_example_trades_and_one_that_is_refused_takes_it_not_along(tmp_path):
    write(tmp_path, "import os\n")
    effects = hosted(tmp_path, row(), shipped_example(tmp_path))
    (made,) = told(effects, ProposalsMade)
    assert [(p.product_id, p.strategy) for p in made.proposals] == [(BTC, "dip_buyer")]
    (failed,) = told(effects, StrategyFailed)
    assert (failed.name, failed.failure) == ("mine", Failure.REFUSED)
    assert f"{tmp_path / 'mine.py'}:1: import of os" in failed.detail
    assert [e.level for e in effects if isinstance(e, LogLine) and e.event == "strategy_failed"] == ["error"]


@pytest.mark.req("STR2")
def test_a_new_strategy_is_off_until_it_is_enabled(tmp_path):
    effects = hosted(tmp_path, replace(shipped_example(tmp_path), enabled=False))
    assert told(effects, ProposalsMade)[0].proposals == ()
    skipped = [dict(e.fields) for e in effects if isinstance(e, LogLine) and e.event == "strategy_skipped"]
    assert skipped == [{"strategy": "dip_buyer", "reason": "disabled"}]


@pytest.mark.req("STR1")
def test_what_is_no_list_is_a_failure_of_its_own_and_named(tmp_path):
    write(tmp_path, GOOD.replace("return []", "return None"))
    effects = hosted(tmp_path, row(), shipped_example(tmp_path))
    assert len(told(effects, ProposalsMade)[0].proposals) == 1
    (failed,) = told(effects, StrategyFailed)
    assert (failed.name, failed.failure) == ("mine", Failure.RAISED)
    assert "answers with a list, not NoneType" in failed.detail
