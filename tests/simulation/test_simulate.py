"""Seeded trouble everywhere, as plans: every invariant holds after every step, and what breaks one is told shortly."""

import json

import pytest

import ops.cli
from ops.simulate import plan, play
from ops.simulate.journal import Reader
from ops.simulate.lookback import same_trace
from ops.simulate.plan import Event

NAMED: tuple[int, ...] = ()
"""Seeds that once failed; each stays."""
RARE = {
    *(f"edge:partially_filled>{after}" for after in ("canceled", "expired", "failed", "pending_cancel", "unresolved")),
    *(f"edge:pending_cancel>{after}" for after in ("expired", "failed", "unresolved")),
    *(f"edge:submitted>{after}" for after in ("canceled", "expired", "failed", "filled", "partially_filled")),
    *(f"edge:unresolved>{after}" for after in ("canceled", "expired", "failed", "partially_filled")),
    *(f"recovered:{what}" for what in ("died", "partially_filled", "pending_cancel", "submitted")),
    "state:aborted",
}
"""What storms are made for, and ten minutes of twenty seeds may miss."""
CUT = {"at_s": 1.0, "kind": "ws_close", "target": "market", "count": 1, "parameters": {"code": 1006}}


@pytest.mark.req("X1")
@pytest.mark.parametrize("seed", [*range(1, 3), *NAMED])
def test_a_storm_breaks_no_invariant(seed):
    assert play.play(seed, plan.storm(seed, plan.ROUND_S)).faults == []


@pytest.mark.req("K1")
def test_a_storm_in_which_people_kill_and_both_processes_freeze_and_die_breaks_no_invariant():
    mischief = (
        Event(at_s=8.0, kind="watchdog_freezes"),
        Event(at_s=12.0, kind="desk_freezes", parameters={"steps": 3}),
        Event(at_s=16.0, kind="watchdog_wakes"),
        Event(at_s=24.0, kind="desk_wakes"),
        Event(at_s=30.0, kind="kill"),
        Event(at_s=31.0, kind="watchdog_dies"),
        Event(at_s=35.0, kind="desk_dies"),
        Event(at_s=40.0, kind="watchdog_begins"),
    )
    events = sorted((*plan.storm(1, plan.ROUND_S), *mischief), key=lambda event: event.at_s)
    outcome = play.play(1, tuple(events))
    assert outcome.faults == []
    assert outcome.seen["fault:kill"] == 1


@pytest.mark.slow
def test_a_storm_repeats_itself():
    one, other = (play.Player(7) for _ in range(2))
    assert one.play(plan.storm(7, 60.0)) == other.play(plan.storm(7, 60.0))
    assert same_trace(one.simulation, other.simulation) == []
    assert one.simulation.watchdog.did == other.simulation.watchdog.did


def test_what_fails_is_told_with_the_shortest_beginning_that_does(monkeypatch):
    """Planted: a resting order that a plan asks for is called a fault."""

    def planted(reader, now):
        return ["0: as planted"] if now.intent.correlation.startswith("plan/") and now.spec.post_only else []

    monkeypatch.setattr(Reader, "_order", planted)
    asked = Event(at_s=3.0, kind="order", target="BTC-USD", parameters={"side": "BUY", "usd": 60, "kind": "limit"})
    calls = [Event(at_s=float(second), kind="cancel_all") for second in range(8)]
    outcome = play.played(1, (*calls[:3], asked, *calls[4:]))
    assert (outcome.faults, outcome.enough) == (["0: as planted"], 4)


def test_the_verb_counts_what_occurred_and_says_how_to_see_a_seed_again(capsys, tmp_path):
    file = tmp_path / "plan.json"
    file.write_text(json.dumps([CUT, {"at_s": 5.0, "kind": "cancel_all"}]))
    assert ops.cli.run(["simulate", "--seeds", "1..2", "--faults", str(file), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["failures"], report["seen"]["fault:ws_close"]) == ([], 2)
    assert report["steps"] > 1000
    assert report["simulated_s"] > 2 * 90


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("[", "Input data was truncated"),
        ('[{"at_s": 1, "kind": "earthquake"}]', "Invalid enum value 'earthquake'"),
        ('[{"at_s": 1, "kind": "drop", "often": 1}]', "unknown field `often`"),
    ],
)
def test_a_file_that_is_no_plan_is_refused_with_its_name_and_the_rule(tmp_path, capsys, text, rule):
    file = tmp_path / "plan.json"
    file.write_text(text)
    assert ops.cli.run(["simulate", "--faults", str(file)]) == 2
    said = capsys.readouterr().err
    assert str(file) in said
    assert rule in said


@pytest.mark.parametrize("wrong", [["--seeds", "5..2"], ["--seeds", "a"], ["--hours", "0"], ["--hours", "5000"]])
def test_options_that_make_no_sense_are_refused(capsys, wrong):
    assert ops.cli.run(["simulate", *wrong]) == 2
    assert wrong[0] in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_twenty_seeds_of_ten_minutes_break_nothing_and_reach_what_storms_are_for(capsys):
    code = ops.cli.run(["simulate", "--seeds", "1..20", "--hours", "0.17", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert (code, report["failures"]) == (0, [])
    assert set(report["never"]) <= RARE
