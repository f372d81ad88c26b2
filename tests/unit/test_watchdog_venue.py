"""The watchdog's way to the venue, against a server of a few lines that misbehaves on demand."""

import asyncio
import json
import secrets
import time

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from actors.watchdog.questions import Budget, UnreachableError
from actors.watchdog.venue import VenueClient
from protocol.coinbase.endpoints import Endpoint
from protocol.coinbase.keys import SigningKey
from protocol.instants import SECOND_NS


def order(name, status="OPEN"):
    return {
        "order_id": name,
        "client_order_id": f"bot-{name}",
        "product_id": "BTC-USD",
        "side": "BUY",
        "status": status,
        "created_time": "2026-01-01T00:00:00Z",
    }


class FakeVenue:
    """Serves lists by status, two orders a page; `broken` calls are cut off without an answer."""

    def __init__(self) -> None:
        self.orders, self.asked, self.cancelled = [], [], []
        self.refuses_queued, self.broken, self.unauthorized = False, 0, 0

    async def list(self, request):
        self.asked.append(dict(request.query))
        fault = self.fault(request)
        if fault is not None:
            return fault
        statuses = request.query.getall("order_status", [])
        if self.refuses_queued and len(statuses) > 1:
            return web.json_response({"error": "INVALID_ARGUMENT"}, status=400)
        found = [o for o in self.orders if not statuses or o["status"] in statuses]
        at = int(request.query.get("cursor") or 0)
        more = at + 2 < len(found)
        page = {"orders": found[at : at + 2], "has_next": more, "cursor": str(at + 2) if more else ""}
        return web.json_response(page)

    async def cancel(self, request):
        ids = (await request.json())["order_ids"]
        fault = self.fault(request)
        if fault is not None:
            return fault
        self.cancelled.append(ids)
        return web.json_response({"results": [{"success": True, "order_id": name} for name in ids]})

    async def time(self, _request):
        ms = time.time_ns() // 1_000_000 + 50_000
        return web.json_response({"iso": "", "epochSeconds": str(ms // 1000), "epochMillis": str(ms)})

    def fault(self, request):
        if self.broken:
            self.broken -= 1
            request.transport.abort()
            return web.Response()
        if self.unauthorized:
            self.unauthorized -= 1
            return web.Response(status=401)
        return None


def against(scenario):
    """Run `scenario(fake, client)` with a server on a free port."""

    async def run():
        fake = FakeVenue()
        app = web.Application()
        app.router.add_get(Endpoint.ORDERS.path(), fake.list)
        app.router.add_post(Endpoint.CANCEL_ORDERS.path(), fake.cancel)
        app.router.add_get(Endpoint.TIME.path(), fake.time)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        client = VenueClient(
            f"http://{host}:{port}", SigningKey(secrets.token_hex(8), Ed25519PrivateKey.generate()), 120, (15.0, 20)
        )
        try:
            await scenario(fake, client)
        finally:
            await client.close()
            await runner.cleanup()

    asyncio.run(run())


def ids(orders):
    return sorted(o.venue_order_id for o in orders)


def test_a_complete_list_has_every_page_of_both_questions():
    async def scenario(fake, client):
        fake.orders = [order("a"), order("b"), order("c"), order("d", "PENDING"), order("e", "FILLED")]
        assert ids(await client.complete_list()) == ["a", "b", "c", "d"]

    against(scenario)


@pytest.mark.parametrize("oldest_ns", [None, 1_700_000_000 * SECOND_NS])
def test_where_the_queued_ones_are_refused_all_statuses_are_read(oldest_ns):
    async def scenario(fake, client):
        fake.refuses_queued = True
        fake.orders = [order("a"), order("b", "CANCEL_QUEUED"), order("c", "FILLED"), order("d", "NEW_AND_UNKNOWN")]
        assert ids(await client.complete_list(oldest_ns)) == ["a", "b", "d"]
        since = [query["start_date"] for query in fake.asked if "start_date" in query]
        assert since
        if oldest_ns is not None:
            assert set(since) == {"2023-11-14T22:03:20Z"}

    against(scenario)


def test_half_a_list_is_none():
    async def scenario(fake, client):
        fake.orders = [order(str(number)) for number in range(5)]
        fake.broken = 100
        with pytest.raises(UnreachableError):
            await client.complete_list()

    against(scenario)


def test_a_try_without_an_answer_is_sent_again_at_once_on_the_second_connection():
    async def scenario(fake, client):
        fake.broken = 1
        await client.cancel(("a", "b"))
        assert fake.cancelled == [["a", "b"]]

    against(scenario)


def test_cancels_go_in_batches_of_at_most_a_hundred():
    async def scenario(fake, client):
        await client.cancel(tuple(str(number) for number in range(250)))
        assert sorted(len(batch) for batch in fake.cancelled) == [50, 100, 100]

    against(scenario)


def test_a_401_measures_the_venues_clock_and_signs_again():
    async def scenario(fake, client):
        fake.unauthorized = 1
        await client.cancel(("a",))
        assert fake.cancelled == [["a"]]
        assert 49 * SECOND_NS < client.offset_ns < 51 * SECOND_NS

    against(scenario)


def test_an_answer_that_is_no_list_is_a_failure():
    async def scenario(fake, client):
        fake.orders = [json.loads("{}")]
        with pytest.raises(UnreachableError):
            await client.complete_list()

    against(scenario)


@pytest.mark.parametrize(("rate", "burst", "calls"), [(15.0, 20, 35), (5.0, 10, 15)])
def test_so_many_calls_a_second_after_so_many_at_once(rate, burst, calls):
    now_s = 0.0
    budget = Budget(lambda: now_s, rate, burst)
    for taken in range(calls):
        while wait_s := budget.wait_s():
            assert taken >= burst
            now_s += wait_s
    assert 1.0 <= now_s <= 1.1
