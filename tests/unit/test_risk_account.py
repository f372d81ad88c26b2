"""What risk says of the account as a whole: more at risk than the cap, too small to trade at all."""

import pytest

from protocol.lifecycle import Wake
from protocol.orders import PlaceIntent
from protocol.portfolio import Holding
from protocol.risk import Alert
from tests.support.desk_rooms import RiskDesk
from tests.support.desk_scenes import (
    ETH,
    D,
    alerts,
    exit_wanted,
    noted,
    operator_order,
    order,
    position,
    proposal,
    told,
    view,
)

BREACH = [("exposure_breach", "WARNING")]


def look(desk):
    """What it says at its next look."""
    return desk.tell(Wake(timer="view", due_ns=desk.now))


@pytest.mark.req("E1")
def test_more_at_risk_than_the_cap_is_said_once_until_it_is_below_again():
    desk = RiskDesk(max_total_at_risk_pct=D(25))
    desk.tell(view(positions=(position(quantity=25),)))
    assert alerts(look(desk)) == [], "the cap itself is none too much"
    desk.tell(view(positions=(position(quantity="25.1"),)))
    effects = look(desk)
    assert alerts(effects) == BREACH
    assert noted(effects, Alert)[0].context == (("pct", "25.10"), ("cap", "25"))
    assert alerts(look(desk)) == []
    desk.tell(view(None, positions=(position(quantity=25),)))
    assert alerts(look(desk)) == []
    desk.tell(view(positions=(position(quantity=24),)))
    assert alerts(look(desk)) == []
    desk.tell(view(positions=(position(quantity=24),)), order(ETH, size=2))
    assert alerts(look(desk)) == BREACH, "pending purchases count"


def test_what_others_hold_is_no_breach_of_ours():
    desk = RiskDesk(max_total_at_risk_pct=D(25))
    desk.tell(view(external=(Holding(currency="PEPE", quantity=D(1), value_usd=D(5000)),)))
    assert alerts(look(desk)) == []


SMALL = [("account_too_small", "CRITICAL")]


def worth(nav):
    return view(nav, positions=(), periods=None)


# net value of the conservative profile's account, what an entry meets, what people hear: 10 USD and the maker fee
# against 3 % of NAV in tier 1
SIZES = {
    "too small for any position": (255, "position_size_too_small", SMALL),
    "a hair too small": ("334.67", "position_size_too_small", SMALL),
    "just enough": ("334.68", "approved", []),
    "enough": (1000, "approved", []),
}


@pytest.mark.req("U2")
@pytest.mark.parametrize(("nav", "code", "said"), SIZES.values(), ids=SIZES)
def test_an_account_in_which_no_position_is_worth_its_fees_enters_nothing_and_says_so(nav, code, said):
    desk = RiskDesk(ready=False)
    assert alerts(desk.tell(worth(nav))) == said
    desk.get_ready(nav=nav)
    assert desk.code(proposal(pct=3)) == code
    assert alerts(desk.tell(worth(nav))) == [], "once"


@pytest.mark.req("U2")
def test_it_is_weighed_again_when_it_has_moved_by_more_than_a_tenth():
    desk = RiskDesk(ready=False)
    assert alerts(desk.tell(worth(310))) == SMALL
    desk.get_ready(nav=341)
    assert desk.code(proposal(pct=3)) == "position_size_too_small", "a tenth more"
    desk.tell(worth("341.01"))
    assert desk.code(proposal(pct=3)) == "approved"
    desk.tell(worth(None))
    assert alerts(desk.tell(worth(300))) == SMALL


@pytest.mark.req("U2")
def test_a_small_account_is_sold_and_traded_by_hand_all_the_same():
    desk = RiskDesk(ready=False)
    desk.get_ready(nav=255)
    desk.tell(view(255, positions=(position(quantity=1),)))
    assert told(desk.tell(exit_wanted()), PlaceIntent, "orders")
    assert "net value for any position" not in {v.detail for v in desk.operate(operator_order(ETH)).verdicts}


def test_how_many_tiers_and_regimes_are_starved_is_shown():
    desk = RiskDesk(ready=False)
    assert desk.seen().starved_cells is None
    desk.tell(worth(10_000))
    few = desk.seen().starved_cells
    desk.tell(worth(1000))
    assert 0 <= few < desk.seen().starved_cells
