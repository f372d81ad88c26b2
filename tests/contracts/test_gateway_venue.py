"""The gateway's core and its real HTTP edge against the embedded venue in a process of its own (fault matrix C)."""

import asyncio
import time
import uuid
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from actors.gateway.core import Settings, initial, step
from actors.gateway.edge import HttpEdge
from protocol.coinbase.keys import load_key_file
from protocol.effects import SetTimer, Tell
from protocol.ids import ClientOrderId, ProductId, VenueOrderId
from protocol.instants import SECOND_NS
from protocol.lifecycle import Recover, Wake
from protocol.orders import (
    CancelAnswered,
    OrderNotFound,
    OrderReported,
    PlaceAccepted,
    PlaceRefused,
    PlaceUnknown,
    Side,
)
from protocol.transport import HttpCall, SignWith
from protocol.venue import (
    AccountsListed,
    CandlesListed,
    FeesKnown,
    FillsListed,
    GetFees,
    ListAccounts,
    ListCandles,
    ListFills,
    ListOpenOrders,
    ListProducts,
    LookUpOrder,
    OpenOrdersListed,
    OrderPreviewed,
    PreviewOrder,
    ProductsListed,
    QueryFailed,
    RequestCancel,
    VenueHealth,
)
from tests.support.gateway_room import released
from tests.support.venue_server import GENEROUS, running

BTC = ProductId("BTC-USD")
ASK = {"request_id": "q", "reply_to": "asker"}
CALM = {"pending_ms": [0, 0], "cancel_ms": [0, 0], "list_ms": [0, 0], "fill_ms": [0, 0]}
VERDICT = (PlaceAccepted, PlaceRefused, PlaceUnknown)


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    with running(tmp_path_factory.mktemp("venue"), "--seed", "11") as client:
        yield client


@pytest.fixture
def venue(process):
    process.change(limits=GENEROUS, unpleasantness=CALM)
    yield process
    process.admin("DELETE", "/faults")


class Pages:
    """The two shared pages, as a test sets them: the epoch, and how late the pumps are."""

    def __init__(self):
        self.epoch, self.late_ns = 1, 0

    def current(self):
        return self.epoch

    def age_ns(self, slot):  # noqa: ARG002 - the pages' own signature
        return self.late_ns


class Desk:
    """Core and edge on this loop; it is its own port. What the core told is kept by its kind."""

    name, incarnation, cause = "gateway", 1, 0

    def __init__(self, url, key, pages, settings):
        self.state = initial(settings)
        self.edge = HttpEdge(url, key, pages, pages)
        self.told, self.calls, self.changed = [], [], asyncio.Event()

    def now_ns(self):
        return time.time_ns()

    def valid(self):
        return True

    def failed(self, error):
        raise error

    def tell(self, to, message, cause=0):  # noqa: ARG002 - a port's own signature
        self.state, effects = step(self.state, message, self.now_ns())
        loop = asyncio.get_running_loop()
        for effect in effects:
            match effect:
                case HttpCall() | SignWith():
                    self.calls += [effect] if isinstance(effect, HttpCall) else []
                    self.edge.perform(effect)
                case SetTimer():
                    wake = Wake(timer=effect.timer, due_ns=effect.due_ns)
                    loop.call_later(max(0, effect.due_ns - self.now_ns()) / SECOND_NS, self.tell, "", wake)
                case Tell():
                    self.told.append(effect.message)
                    self.changed.set()

    async def hear(self, *kinds, within_s=10.0):
        """The next message of these kinds, taken out of what was told."""
        async with asyncio.timeout(within_s):
            while True:
                found = next((m for m in self.told if isinstance(m, kinds)), None)
                if found is not None:
                    self.told.remove(found)
                    return found
                self.changed.clear()
                await self.changed.wait()

    async def ask(self, question, kind):
        self.tell("", question)
        answer = await self.hear(kind, QueryFailed)
        assert isinstance(answer, kind), answer
        return answer

    async def place(self, asked):
        self.tell("", asked)
        return await self.hear(*VERDICT)

    def places(self):
        return sum(call.endpoint == "CREATE_ORDER" for call in self.calls)


@asynccontextmanager
async def desk_at(url, key, pages):
    settings = Settings(public=(1e3, 1e3), private=(1e3, 1e3), exit_cancel=(1e3, 1e3), drill=(1e3, 1e3), epoch=1)
    desk = Desk(url, key, pages, settings)
    desk.edge.bind(desk)
    try:
        yield desk
    finally:
        desk.edge.close()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.gather(*others, return_exceptions=True)


def against(venue, scenario, *, url=None, pages=None):
    """Run a scenario with a desk of its own."""
    key = load_key_file(Path(venue.ready["key_file"]).read_bytes())

    async def run():
        async with desk_at(url or venue.ready["rest"], key, pages or Pages()) as desk:
            return await scenario(desk)

    return asyncio.run(run())


def near(venue, share):
    """A price at a share of the best bid."""
    book = venue.public("/market/product_book?product_id=BTC-USD&limit=1").json["pricebook"]
    return (Decimal(book["bids"][0]["price"]) * Decimal(share)).quantize(Decimal(1))


def resting(venue, side=Side.BUY, life_s=3.0, **changes):
    """A released order far below the market, with an id nobody used."""
    now_ns = time.time_ns()
    own = {
        "limit_price": near(venue, "0.8"),
        "base_size": Decimal("0.001"),
        "not_after_ns": now_ns + int(life_s * SECOND_NS),
        "expires_at_ns": now_ns + 600 * SECOND_NS,
    }
    return released(f"bot-{uuid.uuid4()}", side, **(own | changes))


def venue_side(venue, asked):
    """The order as the venue has it; None if it never took it."""
    rows = venue.admin("GET", "/orders")["orders"]
    found = [row for row in rows if row["client_order_id"] == asked.submit.client_order_id]
    assert len(found) <= 1, "one id, one order"
    return found[0] if found else None


def arrivals(venue, asked):
    """How often the place request arrived at the venue."""
    text = asked.submit.client_order_id
    return sum(text in str(row) for row in venue.admin("GET", "/requests")["requests"])


# --- one order's life -------------------------------------------------------------------------------------------------


@pytest.mark.req("X1", "X2")
def test_an_order_is_placed_found_listed_and_cancelled(venue):
    asked = resting(venue)
    coid = asked.submit.client_order_id

    async def scenario(desk):
        verdict = await desk.place(asked)
        assert isinstance(verdict, PlaceAccepted)
        by_id = LookUpOrder(
            **ASK, client_order_id=coid, venue_order_id=verdict.venue_order_id, product_id=BTC, since_ns=0
        )
        assert (await desk.ask(by_id, OrderReported)).order.status == "OPEN"
        by_list = LookUpOrder(
            **ASK, client_order_id=coid, venue_order_id=None, product_id=BTC, since_ns=desk.now_ns() - SECOND_NS
        )
        found = (await desk.ask(by_list, OrderReported)).order
        assert (found.venue_order_id, found.base_size) == (verdict.venue_order_id, Decimal("0.001"))
        listed = await desk.ask(ListOpenOrders(**ASK), OpenOrdersListed)
        assert coid in [o.client_order_id for o in listed.orders]
        cancel = RequestCancel(client_order_id=coid, venue_order_id=verdict.venue_order_id, reply_to=f"order:{coid}")
        desk.tell("", cancel)
        assert (await desk.hear(CancelAnswered)).success
        assert (await desk.ask(by_id, OrderReported)).order.status == "CANCELLED"
        listed = await desk.ask(ListOpenOrders(**ASK), OpenOrdersListed)
        assert coid not in [o.client_order_id for o in listed.orders]
        return verdict

    verdict = against(venue, scenario)
    assert venue_side(venue, asked)["order_id"] == verdict.venue_order_id
    assert arrivals(venue, asked) == 1


def test_a_purchase_is_in_fills_and_accounts(venue):
    asked = resting(venue, limit_price=None, base_size=None, quote_size=Decimal(50))

    async def scenario(desk):
        before = {b.currency: b.total for b in (await desk.ask(ListAccounts(**ASK), AccountsListed)).balances}
        verdict = await desk.place(asked)
        fills = (await desk.ask(ListFills(**ASK, venue_order_id=verdict.venue_order_id), FillsListed)).fills
        after = {b.currency: b.total for b in (await desk.ask(ListAccounts(**ASK), AccountsListed)).balances}
        return before, fills, after

    before, fills, after = against(venue, scenario)
    assert fills
    assert all(f.side is Side.BUY and not f.maker for f in fills)
    spent = sum(f.value + f.fee for f in fills)
    assert Decimal(45) < spent <= Decimal(50)
    assert after["BTC"] - before.get("BTC", 0) == sum(f.size for f in fills)
    assert before["USD"] - after["USD"] == pytest.approx(spent, abs=Decimal("1e-8"))


def test_market_questions(venue):
    async def scenario(desk):
        products = await desk.ask(ListProducts(**ASK, product_ids=(BTC, ProductId("NOPE-USD"))), ProductsListed)
        everything = await desk.ask(ListProducts(**ASK), ProductsListed)
        end_s = desk.now_ns() // SECOND_NS
        ask = ListCandles(**ASK, product_id=BTC, granularity_s=3600, start_s=end_s - 167 * 3600, end_s=end_s)
        candles = await desk.ask(ask, CandlesListed)
        fees = await desk.ask(GetFees(**ASK), FeesKnown)
        ask = PreviewOrder(
            **ASK, product_id=BTC, side=Side.BUY, base_size=Decimal("0.001"), limit_price=near(venue, "1.01")
        )
        return products, everything, candles, fees, await desk.ask(ask, OrderPreviewed), end_s

    products, everything, candles, fees, preview, end_s = against(venue, scenario)
    assert [p.product_id for p in products.products] == [BTC]
    assert products.products[0].tradable
    assert products.products[0].volume_24h_usd > 1_000_000
    assert len(everything.products) > 20
    starts = [bar.start_s for bar in candles.bars]
    assert starts == sorted(set(starts))
    assert 160 <= len(starts) <= 168
    assert starts[-1] + 3600 <= end_s
    assert (fees.maker_bps, fees.taker_bps) == (60, 120)
    assert preview.errors == ()
    assert preview.commission > 0


def test_an_order_nobody_placed_is_not_found_either_way(venue):
    async def scenario(desk):
        for known in (VenueOrderId(str(uuid.uuid4())), None):
            ask = LookUpOrder(
                **ASK, client_order_id=ClientOrderId("bot-none"), venue_order_id=known, product_id=BTC, since_ns=1
            )
            assert (await desk.ask(ask, OrderNotFound)).client_order_id == "bot-none"

    against(venue, scenario)


def test_refusals_of_the_venue_are_refusals_with_its_reason(venue):
    async def scenario(desk):
        poor = await desk.place(resting(venue, base_size=Decimal(1000)))
        crossing = await desk.place(resting(venue, limit_price=near(venue, "1.01")))
        return poor.reason, crossing.reason

    poor, crossing = against(venue, scenario)
    assert "INSUFFICIENT_FUND" in poor
    assert "INVALID_LIMIT_PRICE_POST_ONLY" in crossing


# --- faults -----------------------------------------------------------------------------------------------------------

UNKNOWN = {
    "500, placed": ("error", {"status": 500, "accepted": True}, True),
    "500, not placed": ("error", {"status": 500, "accepted": False}, False),
    "reset, placed": ("reset", {"accepted": True}, True),
    "reset, not placed": ("reset", {"accepted": False}, False),
    "half a body": ("truncate", {}, True),
    "maintenance": ("maintenance", {}, False),
    "an echo of another id": ("rewrite", {"members": {"client_order_id": "somebody-else"}}, True),
}


@pytest.mark.req("CB1", "X1")
@pytest.mark.parametrize(("kind", "parameters", "rests"), UNKNOWN.values(), ids=UNKNOWN)
def test_without_a_verdict_the_outcome_is_unknown_sent_once_and_found_by_look_up(venue, kind, parameters, rests):
    venue.fault(kind, target="create_order", count=1, parameters=parameters)
    asked = resting(venue)

    async def scenario(desk):
        began_ns = desk.now_ns()
        verdict = await desk.place(asked)
        assert isinstance(verdict, PlaceUnknown)
        ask = LookUpOrder(
            **ASK,
            client_order_id=asked.submit.client_order_id,
            venue_order_id=None,
            product_id=BTC,
            since_ns=began_ns,
        )
        return await desk.ask(ask, OrderReported if rests else OrderNotFound), desk.places()

    found, places = against(venue, scenario)
    assert places == 1
    assert (venue_side(venue, asked) is not None) is rests
    if rests:
        assert found.order.client_order_id == asked.submit.client_order_id


@pytest.mark.slow
@pytest.mark.req("CB1")
def test_the_whole_exchange_is_bounded_in_time_not_only_the_connect(venue):
    venue.fault("slow_body", target="create_order", count=1, parameters={"ms": 100})
    asked = resting(venue)

    async def scenario(desk):
        began = time.monotonic()
        verdict = await desk.place(asked)
        return verdict, time.monotonic() - began

    verdict, took_s = against(venue, scenario)
    assert isinstance(verdict, PlaceUnknown)
    assert took_s < 3.5
    assert venue_side(venue, asked) is not None


@pytest.mark.req("CB1")
def test_429_as_a_page_is_sent_once_more_and_then_refused(venue):
    async def scenario(desk):
        venue.fault("rate_limit", target="create_order", count=1, parameters={"html": True})
        again = resting(venue)
        first = await desk.place(again)
        venue.fault("rate_limit", target="create_order", count=2, parameters={"html": True})
        never = resting(venue)
        second = await desk.place(never)
        return again, first, never, second, desk.places(), (await desk.hear(VenueHealth)).rate_limited_until_ns

    again, first, never, second, places, until_ns = against(venue, scenario)
    assert isinstance(first, PlaceAccepted)
    assert isinstance(second, PlaceRefused)
    assert places == 4
    assert venue_side(venue, again) is not None
    assert venue_side(venue, never) is None
    assert until_ns > time.time_ns()


@pytest.mark.req("CB1")
def test_a_clock_that_is_off_is_measured_at_the_401_and_the_request_signed_anew(venue):
    venue.fault("clock_offset", parameters={"s": 600})
    asked = resting(venue)

    async def scenario(desk):
        verdict = await desk.place(asked)
        return verdict, desk.state.health.clock_offset_ns / SECOND_NS

    verdict, offset_s = against(venue, scenario)
    assert isinstance(verdict, PlaceAccepted)
    assert offset_s == pytest.approx(600, abs=1)
    assert venue_side(venue, asked) is not None


@pytest.mark.req("CB1")
def test_a_401_that_stays_is_refused_and_said(venue):
    venue.fault("unauthorized", target="create_order")

    async def scenario(desk):
        return await desk.place(resting(venue)), desk.places(), desk.state.health.auth_failing

    verdict, places, failing = against(venue, scenario)
    assert isinstance(verdict, PlaceRefused)
    assert (places, failing) == (2, True)


@pytest.mark.req("CB1")
def test_nobody_listens_is_tried_three_times_and_never_sent(venue):
    async def scenario(desk):
        return await desk.place(resting(venue)), desk.places()

    verdict, places = against(venue, scenario, url="http://127.0.0.1:9")
    assert isinstance(verdict, PlaceRefused)
    assert not verdict.sent
    assert places == 3


FENCES = {
    "the epoch has moved": (lambda pages: setattr(pages, "epoch", 2), {}),
    "the pump is late": (lambda pages: setattr(pages, "late_ns", 2 * SECOND_NS), {}),
    "too old": (lambda pages: None, {"life_s": -0.1}),
}


@pytest.mark.req("K1")
@pytest.mark.parametrize(("what", "act", "changes"), [(k, *v) for k, v in FENCES.items()], ids=FENCES)
def test_a_fence_holds_places_back_and_lets_everything_else_through(venue, what, act, changes):
    pages, asked = Pages(), resting(venue, **changes)
    act(pages)

    async def scenario(desk):
        verdict = await desk.place(asked)
        cancel = RequestCancel(client_order_id=ClientOrderId("c"), venue_order_id=VenueOrderId("v"), reply_to="order:c")
        desk.tell("", cancel)
        return verdict, await desk.hear(CancelAnswered), await desk.ask(ListOpenOrders(**ASK), OpenOrdersListed)

    verdict, cancelled, _ = against(venue, scenario, pages=pages)
    assert isinstance(verdict, PlaceRefused)
    assert not verdict.sent
    assert what in verdict.reason
    assert cancelled.reason == "UNKNOWN_CANCEL_ORDER"
    assert arrivals(venue, asked) == 0


def test_members_nobody_knows_disturb_nobody(venue):
    venue.fault("extra_members")
    venue.fault("old_answer", target="create_order")

    async def scenario(desk):
        verdict = await desk.place(resting(venue))
        await desk.ask(ListAccounts(**ASK), AccountsListed)
        await desk.ask(GetFees(**ASK), FeesKnown)
        return verdict

    assert isinstance(against(venue, scenario), PlaceAccepted)


def test_part_of_a_batch_cancel_may_fail(venue):
    orders = [resting(venue) for _ in range(3)]

    async def scenario(desk):
        ids = [(await desk.place(o)).venue_order_id for o in orders]
        venue.fault("refuse_cancel", target="cancel_orders", count=1, parameters={"reason": "COMMANDER_REJECTED"})
        for asked, venue_id in zip(orders, ids, strict=True):
            desk.tell(
                "", RequestCancel(client_order_id=asked.submit.client_order_id, venue_order_id=venue_id, reply_to="o")
            )
        return [(await desk.hear(CancelAnswered)).success for _ in orders]

    assert sorted(against(venue, scenario)) == [False, True, True]


@pytest.mark.req("TIME1")
def test_the_clock_is_measured_at_the_start(venue):
    async def scenario(desk):
        desk.tell("", Recover())
        return (await desk.hear(VenueHealth)).clock_offset_ns

    assert abs(against(venue, scenario)) < SECOND_NS // 4


def test_a_list_on_many_pages_is_whole(venue):
    orders = [resting(venue) for _ in range(260)]
    for asked in orders:
        body = {
            "client_order_id": asked.submit.client_order_id,
            "product_id": BTC,
            "side": "BUY",
            "order_configuration": {
                "limit_limit_gtc": {"base_size": "0.0001", "limit_price": "20000", "post_only": True}
            },
        }
        assert venue.post("/orders", body)["success"]

    async def scenario(desk):
        return await desk.ask(ListOpenOrders(**ASK), OpenOrdersListed), len(desk.calls)

    listed, calls = against(venue, scenario)
    assert {o.submit.client_order_id for o in orders} <= {o.client_order_id for o in listed.orders}
    assert calls >= 3
