"""Bans by hand: control asks the universe and answers when they are durable; the verbs, and what they show."""

import json

import pytest

from actors.control.core import step
from actors.control.state import Control, Settings
from ops import cli
from ops.exits import Exit
from protocol.control import Answer, Asked, BanProduct, Reply, UnbanProduct, View
from protocol.effects import Tell
from protocol.risk import VerbAnswered, VerbOutcome
from protocol.strategy import FlagProduct, UnflagProduct
from tests.support.desk_scenes import BTC, NOON_NS
from tests.support.universe_rig import Rig

BY = "ann@desk"
SETTINGS = Settings(
    bot="bot", mode="PAPER", venue="embedded", profile="embedded", epoch=3, config_hash="ab", versions=()
)
BAN = BanProduct(by=BY, product_id="btc/usd", reason="recent_exploit")
UNBAN = UnbanProduct(by=BY, product_id="BTC")


def asked(request, state=None):
    return step(state or Control(settings=SETTINGS), Asked(connection=7, request=request), NOON_NS)


@pytest.mark.parametrize(("request_", "kind"), [(BAN, FlagProduct), (UNBAN, UnflagProduct)])
def test_a_request_goes_to_the_universe_under_its_canonical_name(request_, kind):
    state, (told,) = asked(request_)
    assert (told.to, type(told.message), told.message.product_id, told.message.by) == ("universe", kind, BTC, BY)
    assert state.waiting == {told.message.request_id: 7}


CODES = {VerbOutcome.DONE: 0, VerbOutcome.NOT_FOUND: 2, VerbOutcome.REFUSED: 4}


@pytest.mark.parametrize(("outcome", "code"), CODES.items())
def test_the_universes_answer_is_the_one_reply(outcome, code):
    state, (told,) = asked(BAN)
    answer = VerbAnswered(request_id=told.message.request_id, outcome=outcome, text="so it is")
    state, (reply,) = step(state, answer, NOON_NS)
    assert (reply.connection, reply.reply.code, reply.reply.text) == (7, code, "so it is")
    assert step(state, answer, NOON_NS) == (state, ())


def test_what_names_no_product_is_answered_at_once():
    _, (reply,) = asked(BanProduct(by=BY, product_id="B T C", reason="team_rug"))
    assert (type(reply), reply.reply.code) == (Answer, 2)


@pytest.mark.req("U1")
def test_the_view_shows_every_row_and_every_ban():
    rig = Rig().volume(BTC, 5)
    flag = FlagProduct(request_id="r", reply_to="control", product_id="ETH-USD", reason="team_rug", by=BY)
    rig.tell(flag).view()
    seen = next(e.message for e in rig.effects if isinstance(e, Tell) and e.to == "control")
    state, _ = step(Control(settings=SETTINGS), seen, NOON_NS)
    _, (reply,) = asked(View(by=BY, what="universe"), state)
    shown = json.loads(reply.reply.data)
    out = {x["product_id"]: x for x in shown["excluded"]}
    assert (out["BTC-USD"]["tier"], out["BTC-USD"]["reason"]) == (1, "volume")
    (row,) = [c for c in out["BTC-USD"]["checks"] if c["code"] == "volume"]
    assert row == {"code": "volume", "passed": False, "value": 5.0, "limit": 10_000_000.0, "unit": "usd"}
    assert [(f["product_id"], f["reason"], f["expires_at"][:10]) for f in shown["flags"]] == [
        ("ETH-USD", "team_rug", "2026-11-25")
    ]
    sol = next(a for a in shown["eligible"] if a["product_id"] == "SOL-USD")
    assert (sol["max_allocation_pct"], sol["overrides"]) == ("40", [])
    assert {c["code"] for c in sol["checks"]} >= {"volume", "spread", "depth"}


# --- the verbs ----------------------------------------------------------------------------------------------------


@pytest.fixture
def desk(monkeypatch):
    """A desk that keeps what it is asked and gives the answer it was told to give."""

    def answering(reply):
        requests = []
        monkeypatch.setattr("ops.desk.ask", lambda path, request, timeout_s: requests.append(request) or reply)
        return requests

    return answering


def test_ban_and_unban_ask_the_desk_and_return_its_code(desk, capsys, tmp_path):
    requests = desk(Reply(code=0, text="BTC-USD is banned"))
    assert cli.run(["ban", "btc", "--reason", "team_rug", "--state", str(tmp_path)]) == Exit.DONE
    assert cli.run(["unban", "BTC_USD", "--state", str(tmp_path)]) == Exit.DONE
    assert capsys.readouterr().out.splitlines() == ["BTC-USD is banned"] * 2
    ban, unban = requests
    assert (type(ban), ban.product_id, ban.reason) == (BanProduct, BTC, "team_rug")
    assert (type(unban), unban.product_id) == (UnbanProduct, BTC)
    desk(Reply(code=4, text="'hunch' is no red flag"))
    assert cli.run(["ban", "btc", "--reason", "hunch", "--state", str(tmp_path)]) == Exit.REFUSED


@pytest.mark.parametrize("arguments", [["ban", "btc"], ["ban", "--reason", "x"], ["unban"]])
def test_a_ban_needs_a_product_and_a_reason(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        cli.run(arguments)
    assert end.value.code == Exit.USAGE
    capsys.readouterr()


def test_a_product_that_is_none_is_wrong_usage(desk, tmp_path, capsys):
    assert desk(Reply(code=0, text="")) == []
    assert cli.run(["unban", "B T C", "--state", str(tmp_path)]) == Exit.USAGE
    assert "is no product" in capsys.readouterr().err


UNIVERSE = {
    "regime": "chop",
    "eligible": [{"product_id": "BTC-USD", "tier": 1, "spread_bps": 1.25, "overrides": []}],
    "excluded": [{"product_id": "ETH-USD", "tier": 1, "reason": "spread", "value": 30.0, "limit": 20.0}],
    "flags": [{"product_id": "SOL-USD", "reason": "team_rug", "expires_at": "2026-11-25T12:00:00.000Z", "by": "x"}],
    "discovery": None,
}


def test_the_universe_verb_shows_who_is_in_and_who_out(desk, tmp_path, capsys):
    desk(Reply(code=0, text="", data=json.dumps(UNIVERSE)))
    assert cli.run(["universe", "--state", str(tmp_path)]) == Exit.DONE
    said = capsys.readouterr()
    header, first, second = (line.split("\t") for line in said.out.splitlines())
    assert header[:4] == ["symbol", "tier", "eligible", "exclusion_reason"]
    assert first[:4] == ["BTC-USD", "1", "yes", "-"]
    assert second[:6] == ["ETH-USD", "1", "no", "spread", "30.0", "20.0"]
    assert "banned: SOL-USD for team_rug" in said.err
    assert "found at" not in said.err
    assert cli.run(["universe", "--json", "--state", str(tmp_path)]) == Exit.DONE
    assert json.loads(capsys.readouterr().out) == UNIVERSE


FOUND = {
    "at": "2026-11-24T00:00:00.000Z",
    "source": "fallback",
    "detail": "the listing failed: HTTP 500",
    "tiers": {"1": ["BTC-USD", "ETH-USD"], "2": [], "3": []},
    "left_out": [{"product_id": "WIDE-USD", "reason": "spread", "value": 90.0, "limit": 80.0}],
    "unread": [],
}


@pytest.mark.req("U1")
def test_the_universe_verb_says_what_a_start_has_found_and_why_it_fell_back(desk, tmp_path, capsys):
    desk(Reply(code=0, text="", data=json.dumps(UNIVERSE | {"discovery": FOUND})))
    assert cli.run(["universe", "--state", str(tmp_path)]) == Exit.DONE
    said = capsys.readouterr().err
    assert "2 products found at 2026-11-24T00:00:00.000Z, source fallback (the listing failed: HTTP 500)" in said
    assert "1 left out" in said
