"""Risk takes a product's tier and its place in the universe from the universe, and from no proposal."""

import pytest

from protocol.orders import PlaceIntent, Side
from protocol.risk import Decision, Reason
from protocol.strategy import Exclusion
from tests.support.desk_rooms import RiskDesk
from tests.support.desk_scenes import (
    BTC,
    DOGE,
    ETH,
    LINK,
    PRODUCTS,
    D,
    asset,
    epoch,
    exit_wanted,
    health,
    noted,
    operator_order,
    position,
    products_known,
    proposal,
    told,
    universe_view,
    view,
)


def excluding(product, reason):
    """A universe without this product."""
    row = Exclusion(product_id=product, tier=1, reason=reason, value=None, limit=None)
    return universe_view(eligible=tuple(asset(p) for p in PRODUCTS if p != product), excluded=(row,))


def said(decision):
    verdict = decision.refusal
    return None if verdict is None else (verdict.code, verdict.detail)


@pytest.mark.req("U1", "R1")
@pytest.mark.parametrize("reason", ["red_flag:team_rug", "never_trade", "volume"])
def test_nothing_is_bought_of_what_the_universe_excludes(reason):
    desk = RiskDesk()
    desk.tell(excluding(BTC, reason), view(positions=(position(),)))
    refusal = (Reason.PRODUCT_DISABLED, f"not eligible: {reason}")
    assert said(desk.decide(proposal(BTC))[BTC]) == refusal
    assert said(desk.operate(operator_order(BTC))) == refusal
    assert desk.operate(operator_order(ETH)).approved
    assert desk.operate(operator_order(BTC, Side.SELL, base_size=D("0.1"))).approved, "what is held may be sold"
    assert told(desk.tell(exit_wanted(quantity=D("0.9"))), PlaceIntent, "orders"), "and is left"


def test_what_no_cycle_has_looked_at_is_not_bought():
    desk = RiskDesk(ready=False)
    desk.tell(epoch(), products_known(), health(), view())
    desk.fresh()
    assert said(desk.operate(operator_order(BTC))) == (Reason.PRODUCT_DISABLED, "not eligible: not in the universe")
    desk.tell(universe_view())
    assert desk.operate(operator_order(BTC)).approved


def test_people_may_buy_what_only_the_last_cycle_could_not_see():
    desk = RiskDesk()
    desk.tell(excluding(BTC, "no_market_data"))
    assert desk.code() == "product_disabled"
    assert desk.operate(operator_order(BTC)).approved, "its quote is fresh at this moment"


@pytest.mark.req("E1")
def test_a_tier_that_a_proposal_claims_moves_no_cap():
    desk = RiskDesk()
    effects = desk.ask(proposal(DOGE, 10, tier=1))
    (decision,) = noted(effects, Decision)
    assert decision.approved_usd == 200, "2 % is tier 2's cap, 3 % tier 1's"
    assert told(effects, PlaceIntent, "orders")[0].intent.tier == 2


def test_the_universes_word_on_a_tier_stands_over_the_configured_one():
    desk = RiskDesk()
    desk.tell(universe_view(eligible=(asset(DOGE, tier=1), asset(ETH))))
    assert desk.decide(proposal(DOGE, 10))[DOGE].approved_usd == 300


def test_of_equal_proposals_the_better_tier_is_first_whatever_they_claim():
    desk = RiskDesk(max_new_per_cycle=1)
    answers = desk.decide(proposal(LINK, tier=1), proposal(BTC, tier=3))
    assert [p for p, d in answers.items() if d.approved] == [BTC]
