"""Red flags: a ban holds for its time and over restarts, ends by itself, and is replaced by another one."""

import pytest
from msgspec.structs import replace

from actors.universe.flags import PREFIX
from protocol import codec
from protocol.effects import Commit, LogLine
from protocol.instants import HOUR_NS
from protocol.lifecycle import Recover, StoreRecord
from protocol.risk import VerbAnswered, VerbOutcome
from protocol.strategy import FlagProduct, RedFlag, UnflagProduct
from tests.support.desk_scenes import BTC, ETH, NOON_NS, policy, told
from tests.support.universe_rig import Rig

pytestmark = pytest.mark.req("U1")

WEEK_NS = 168 * HOUR_NS
EXPLOIT, RUG = "recent_exploit", "team_rug"


def flag(product=BTC, reason=EXPLOIT):
    return FlagProduct(request_id="r1", reply_to="control", product_id=product, reason=reason, by="ann@desk")


def unflag(product=BTC):
    return UnflagProduct(request_id="r2", reply_to="control", product_id=product, by="ann@desk")


def answered(rig):
    (answer,) = told(rig.effects, VerbAnswered, "control")
    return answer


def test_the_shipped_reasons_and_time():
    assert policy().universe.red_flags == ("recent_exploit", "regulatory_action", "delisting_rumors", "team_rug")
    assert policy().universe.ban_s * 10**9 == WEEK_NS


def test_a_banned_product_is_out_at_once_and_everybody_sees_why():
    rig = Rig().tell(flag())
    assert next(type(e) for e in rig.effects) is Commit
    assert (answered(rig).request_id, answered(rig).outcome) == ("r1", VerbOutcome.DONE)
    view = rig.view()
    (out,) = [x for x in view.excluded if x.product_id == BTC]
    assert (out.reason, out.tier, out.checks[0].unit) == ("red_flag", 1, EXPLOIT)
    assert view.flags == (
        RedFlag(product_id=BTC, reason=EXPLOIT, by="ann@desk", banned_ns=NOON_NS, expires_ns=NOON_NS + WEEK_NS),
    )
    assert ETH in {a.product_id for a in view.eligible}


def test_never_trade_is_the_reason_before_a_flag():
    assert Rig(never=frozenset({BTC})).tell(flag()).why() == "never_trade"


@pytest.mark.parametrize(("left_ns", "expected"), [(1, "red_flag"), (0, "eligible")], ids=["before its end", "at it"])
def test_a_ban_ends_by_itself_and_is_forgotten_durably(left_ns, expected):
    rig = Rig().tell(flag())
    rig.view()
    rig.now_ns += WEEK_NS - left_ns
    assert rig.ready().why() == expected
    assert (PREFIX + BTC in rig.store) is (expected == "red_flag")


def test_a_ban_holds_over_a_restart():
    rig = Rig().tell(flag()).restart()
    assert rig.why() == "red_flag"
    assert rig.later(168).why() == "eligible"


def test_another_flag_replaces_the_one_that_stands():
    rig = Rig().tell(flag()).later(100).tell(flag(reason=RUG))
    assert [(f.reason, f.expires_ns) for f in rig.view().flags] == [(RUG, rig.now_ns + WEEK_NS)]
    assert rig.restart().later(100).why() == "red_flag"


def test_an_operator_lifts_a_ban():
    rig = Rig().tell(flag(), unflag())
    assert answered(rig).outcome is VerbOutcome.DONE
    assert rig.why() == "eligible"
    assert rig.restart().why() == "eligible"


REFUSED = {
    "a product nobody follows": (flag("PEPE-USD"), VerbOutcome.NOT_FOUND, "PEPE-USD"),
    "a reason nobody knows": (flag(reason="hunch"), VerbOutcome.REFUSED, "delisting_rumors"),
    "lifting what is not banned": (unflag(), VerbOutcome.NOT_FOUND, "not banned"),
}


@pytest.mark.parametrize(("message", "outcome", "text"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_changes_nothing(message, outcome, text):
    rig = Rig()
    before = rig.state
    rig.tell(message)
    assert answered(rig).outcome is outcome
    assert text in answered(rig).text
    assert (rig.state, rig.writes) == (before, 0)


DAMAGED = {
    "no bytes of ours": b"\xc1\x00",
    "another value": codec.encode_value(StoreRecord(key="x", value=None)),
    "half of it": codec.encode_value(
        RedFlag(product_id=BTC, reason=EXPLOIT, by="x", banned_ns=NOON_NS, expires_ns=NOON_NS + WEEK_NS)
    )[:-4],
}


@pytest.mark.parametrize("value", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_entry_is_dropped_and_said_and_the_others_hold(value):
    rig = Rig().tell(flag(ETH))
    rig.store[PREFIX + BTC] = value
    records = tuple(StoreRecord(key=key, value=kept) for key, kept in sorted(rig.store.items()))
    rig.state = replace(rig.state, flags={})
    rig.tell(Recover(records=records))
    (line,) = [e for e in rig.effects if isinstance(e, LogLine)]
    assert (line.event, dict(line.fields)["keys"]) == ("red_flags_dropped", PREFIX + BTC)
    assert set(rig.store) == {PREFIX + ETH}
    assert [rig.why(p) for p in (BTC, ETH)] == ["eligible", "red_flag"]
