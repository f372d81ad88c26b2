"""No limit travels to actors in vain: what the policy holds, some code reads."""

import re
from pathlib import Path

import msgspec
import pytest

from protocol import policy, policy_strategy, policy_triggers

ROOT = Path(__file__).resolve().parents[2]
GATES = {"read_only", "live_trading_enabled"}
"""Read where the configuration is judged: LIVE is refused without them before any policy is made."""


def structs():
    """Every struct of the policy."""
    found = (getattr(module, name) for module in (policy, policy_strategy, policy_triggers) for name in dir(module))
    return [cls for cls in found if isinstance(cls, type) and issubclass(cls, msgspec.Struct)]


def unread(source):
    """Fields of the policy that no attribute access in `source` names."""
    fields = {
        f"{c.__name__}.{f}" for c in structs() if c.__module__.startswith(policy.__name__) for f in c.__struct_fields__
    }
    return {name for name in fields if not re.search(rf"\.{name.partition('.')[2]}\b", source)}


@pytest.fixture(scope="module")
def source():
    files = [file for folder in ("actors", "ops") for file in (ROOT / folder).rglob("*.py")]
    lookups = (ROOT / "protocol").glob("policy*.py")
    return "\n".join(file.read_text() for file in [*files, *ROOT.glob("supervisor.py"), *lookups])


def test_no_further_limit_is_without_reader(source):
    found = {name for name in unread(source) if name.partition(".")[2] not in GATES}
    assert found == set()


def test_a_limit_nobody_reads_is_found():
    assert "RiskPolicy.max_drawdown_pct" in unread("policy.risk.max_open_positions")
    assert "RiskPolicy.max_open_positions" not in unread("policy.risk.max_open_positions")
