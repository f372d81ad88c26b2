"""The root takes up what the desk's actors accepted and the files say, and nothing else."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as changed

from actors.compose import root
from actors.compose.common import accept, accepted, launch_of
from actors.compose.root import Plan
from actors.root.drift import DriftWatch
from config.load import load
from protocol.discovery import Source
from tests.support.desk_scenes import policy

CONFIG = Path(__file__).resolve().parents[2] / "config"
LINE = {"rest": "http://venue", "ws": "ws://venue", "key_file": "key"}


def plan(state, config_hash="old", **changes):
    parts = Plan(
        state_dir=state,
        mode="PAPER",
        profile="embedded",
        overlay=(),
        variables=(),
        policy=changed(policy(), config_hash=config_hash),
        again=lambda: None,
        config_dir=Path("config"),
        overrides=(),
        environment=(),
        market="synthetic",
        seed=1,
        cash="1",
        venue_port=0,
        fresh=False,
        for_s=None,
    )
    return replace(parts, **changes)


async def exchanged(whole):
    await whole._launch()
    await whole._take_up()


def taken_up(state, found):
    """What desks are told and what is no drift after a desk made way; `found`: what the files say, None: refused."""
    old = plan(state, again=lambda: None if found is None else plan(state, found))
    whole = root._Root(old, ())
    whole._venue = LINE
    whole._drift = DriftWatch("old", lambda: "?", state / "nobody")
    asyncio.run(exchanged(whole))
    return launch_of(state).policy.config_hash, whole._drift._running


@pytest.mark.req("C1")
def test_what_was_accepted_and_stands_in_the_files_is_what_the_next_desk_reads(tmp_path):
    accept(tmp_path, "new")
    assert taken_up(tmp_path, "new") == ("new", "new")
    assert accepted(tmp_path) == "", "it was accepted for this once"


@pytest.mark.req("C1")
@pytest.mark.parametrize(("said", "found"), [("new", "edited"), ("new", None), (None, "new")])
def test_what_nobody_accepted_comes_into_force_under_no_run(tmp_path, said, found):
    if said is not None:
        accept(tmp_path, said)
    assert taken_up(tmp_path, found) == ("old", "old")


@pytest.mark.req("C1")
@pytest.mark.parametrize("again", [lambda: None, lambda: plan(Path("x"), "new")])
def test_a_run_does_not_start_with_what_the_files_do_not_say_any_more(tmp_path, capsys, again):
    assert root.run(plan(tmp_path, again=again), ()) == root.REFUSED
    assert "has changed" in capsys.readouterr().err


@pytest.mark.req("U1", "C1")
def test_products_are_found_once_for_each_configuration(tmp_path):
    """Nobody listens where this venue is said to be: what stands in for a listing is told with the moment of asking."""
    dynamic = load(CONFIG, overrides={"universe.universe.method": "dynamic_discovery"}).policy
    new = changed(dynamic, config_hash="new")
    whole = root._Root(plan(tmp_path, policy=dynamic, again=lambda: plan(tmp_path, policy=new)), ())
    whole._venue = LINE | {"rest": "http://127.0.0.1:9", "key_file": ""}
    whole._drift = DriftWatch(dynamic.config_hash, lambda: "?", tmp_path / "nobody")

    async def told():
        await whole._launch()
        return launch_of(tmp_path).policy.universe

    async def lives():
        first, again = await told(), await told()
        accept(tmp_path, "new")
        await whole._take_up()
        return first, again, launch_of(tmp_path).policy

    first, again, after = asyncio.run(lives())
    assert (first.found.source, first.traded) == (Source.FALLBACK, dynamic.universe.discovery.fallback)
    assert again == first, "a venue that comes back is not asked again"
    assert (after.config_hash, after.universe.found.at_ns > first.found.at_ns) == ("new", True)
