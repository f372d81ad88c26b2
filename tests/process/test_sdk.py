"""The official SDK, unmodified and in an environment of its own, trades on the embedded venue over TLS.

It pins an older `websockets` than ours, so it lives in its own virtual environment, kept in the user's cache
directory from run to run. Where no package index can be reached the test skips and says so.
"""

import json
import os
import subprocess
import sys
import textwrap

import pytest

from ops.bench.peers import NotInstalled, environment
from tests.support.venue_server import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.req("X1"), pytest.mark.timeout(600)]

SDK = "coinbase-advanced-py==1.8.4"

SCRIPT = textwrap.dedent(
    """
    import json, sys, time, uuid
    from coinbase.rest import RESTClient
    from coinbase.websocket import WSClient, WSUserClient

    ready = json.loads(sys.argv[1])
    host = ready["rest"].partition("//")[2]
    done = {}

    client = RESTClient(key_file=ready["key_file"], base_url=host, timeout=10)
    done["time"] = abs(int(client.get_unix_time().epoch_seconds) - time.time()) < 5
    products = client.get_products(get_tradability_status=True).products
    done["products"] = len(products)
    done["product"] = client.get_product("BTC-USD").product_id
    now = int(time.time()) // 60 * 60
    candles = client.get_candles("BTC-USD", str(now - 99 * 60), str(now), "ONE_MINUTE").candles
    done["candles"] = len(candles)
    done["public_candles"] = len(
        client.get_public_candles("BTC-USD", str(now - 9 * 60), str(now), "ONE_MINUTE").candles
    )
    book = client.get_product_book("BTC-USD", limit=3).pricebook
    bid = float(book.bids[0].price)
    done["accounts"] = sorted(one.currency for one in client.get_accounts(limit=250).accounts)[-2:]
    done["fees"] = client.get_transaction_summary()["fee_tier"]["taker_fee_rate"]
    permissions = client.get_api_key_permissions()
    done["portfolio"] = permissions.portfolio_uuid == client.get_portfolios().portfolios[0].uuid

    told = {"market": [], "user": []}
    market = WSClient(
        key_file=ready["key_file"], base_url="wss://" + host, on_message=lambda m: told["market"].append(json.loads(m))
    )
    user = WSUserClient(
        key_file=ready["key_file"], base_url="wss://" + host, on_message=lambda m: told["user"].append(json.loads(m))
    )
    market.open()
    market.subscribe(["BTC-USD"], ["heartbeats", "level2", "ticker", "market_trades"])
    user.open()
    user.heartbeats()
    user.user([])

    def until(condition):
        end = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < end, "it did not come true in time"
            time.sleep(0.05)

    until(lambda: any(m.get("channel") == "user" for m in told["user"]))
    preview = client.preview_limit_order_gtc_buy("BTC-USD", "0.001", str(int(bid * 0.9)), post_only=True)
    done["preview_errs"] = preview.errs
    post_only = client.limit_order_gtc_buy(
        str(uuid.uuid4()), "BTC-USD", "0.001", str(int(bid * 0.9)), post_only=True
    )
    done["post_only"] = post_only.success
    resting = post_only.success_response["order_id"]
    bought = client.market_order_buy(str(uuid.uuid4()), "BTC-USD", quote_size="50")
    done["market_ioc"] = bought.success
    taken = bought.success_response["order_id"]
    until(lambda: client.get_order(taken).order.status == "FILLED")
    until(lambda: client.get_fills(order_ids=[taken]).fills)
    fills = client.get_fills(order_ids=[taken]).fills
    order = client.get_order(taken).order
    done["fees_add_up"] = abs(sum(float(f.commission) for f in fills) - float(order.total_fees)) < 1e-12
    # The venue's lists lag its book, as the real one's do.
    until(lambda: [o.order_id for o in client.list_orders(order_status=["OPEN"]).orders] == [resting])
    done["cancel"] = [r.success for r in client.cancel_orders([resting]).results]
    until(lambda: client.get_order(resting).order.status == "CANCELLED")
    refused = client.limit_order_gtc_buy(str(uuid.uuid4()), "BTC-USD", "999", str(int(bid)), post_only=False)
    done["refused"] = [refused.success, refused.error_response["error"]]

    def states(order_id):
        events = [event for m in told["user"] if m.get("channel") == "user" for event in m["events"]]
        return [o["status"] for event in events for o in event["orders"] if o["order_id"] == order_id]

    until(lambda: "CANCELLED" in states(resting) and "FILLED" in states(taken))
    until(lambda: {"l2_data", "ticker", "market_trades", "heartbeats"} <= {m.get("channel") for m in told["market"]})
    done["resting"] = states(resting)
    done["channels"] = sorted({m.get("channel") for m in told["market"]})
    market.close()
    user.close()
    print(json.dumps(done))
    """
)


@pytest.fixture(scope="module")
def python():
    """The SDK's own interpreter."""
    try:
        return environment("sdk", SDK.encode(), ("coinbase.rest", "coinbase.websocket"), SDK)
    except NotInstalled as error:
        pytest.skip(f"{SDK} cannot be installed here: {error}")


def test_the_official_sdk_trades_unmodified(python, tmp_path):
    command = [sys.executable, "-m", "actors.venue", "--tls", "--key-file", str(tmp_path / "key.json")]
    venue = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        ready = json.loads(venue.stdout.readline())
        trusted = {"REQUESTS_CA_BUNDLE": ready["ca"], "SSL_CERT_FILE": ready["ca"]}
        ran = subprocess.run(
            [python, "-c", SCRIPT, json.dumps(ready)],
            env=os.environ | trusted,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        venue.terminate()
        assert venue.wait(10) == 0
        venue.stdout.close()
    assert ran.returncode == 0, ran.stderr
    done = json.loads(ran.stdout.splitlines()[-1])
    assert done.pop("products") > 30
    assert done.pop("candles") > 90
    assert done.pop("public_candles") >= 9
    assert done == {
        "time": True,
        "product": "BTC-USD",
        "accounts": ["USD", "USDC"],
        "fees": "0.012",
        "portfolio": True,
        "preview_errs": [],
        "post_only": True,
        "market_ioc": True,
        "fees_add_up": True,
        "cancel": [True],
        "refused": [False, "INSUFFICIENT_FUND"],
        "resting": ["PENDING", "OPEN", "CANCEL_QUEUED", "CANCELLED"],
        "channels": ["heartbeats", "l2_data", "market_trades", "subscriptions", "ticker"],
    }
