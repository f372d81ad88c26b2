"""A whole installation whose start finds its products at the venue over HTTP, and takes another configuration up."""

import shutil

import pytest

from tests.support.installation import ROOT, running, wait_for

METHOD = ("method: static", "method: dynamic_discovery")
FEWER = ("tier2_max_symbols: 20", "tier2_max_symbols: 0")


def folder(place, *changes):
    """The shipped configuration with its universe changed."""
    shutil.copytree(ROOT / "config", place, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    path = place / "universe.yaml"
    for old, new in changes:
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
    return place


def discovery(trader):
    return trader.view("universe")["discovery"]


def held(trader):
    return {position["product_id"] for position in trader.view("positions")}


@pytest.mark.slow
@pytest.mark.req("U1", "C1")
@pytest.mark.timeout(240)
@pytest.mark.xdist_group("processes")
def test_a_start_finds_its_products_and_a_change_of_configuration_finds_them_anew(tmp_path):
    used, candidate = folder(tmp_path / "config", METHOD), folder(tmp_path / "candidate", METHOD, FEWER)
    options = ("--config", str(used))
    with running(tmp_path / "state", "--seed", "5", *options) as trader:
        found = discovery(trader)
        assert (found["source"], found["detail"]) == ("venue", "")
        first, second, third = (found["tiers"][number] for number in "123")
        assert "BTC-USD" in first
        assert (bool(second), third) == (True, [])
        wait_for("a position", lambda: held(trader), 60.0)

        desk = trader.kill_desk()
        trader.armed_again(desk)
        assert discovery(trader) == found, "a desk that is replaced asks nothing"

        wait_for("a position in tier 2", lambda: held(trader) & set(second), 90.0)
        code, said = trader.verb("config", "apply", str(candidate), *options, within_s=60.0)
        assert code == 0, said
        now = discovery(trader)
        assert (now["tiers"]["1"], now["tiers"]["2"], now["at"] > found["at"]) == (first, [], True)
        kept = held(trader) & set(second)
        assert {row["product_id"] for row in trader.view("universe")["excluded"] if row["reason"] == "no_tier"} == kept
        assert trader.stop() == 0
