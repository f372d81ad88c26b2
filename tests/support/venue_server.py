"""A running venue and a plain client of it: standard HTTP, `websockets` and `jwt`, none of our own client code."""

import http.client
import json
import secrets
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import jwt
from websockets.sync.client import connect

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT.parent / "shared" / "coinbase" / "samples"
PREFIX = "/api/v3/brokerage"
GENEROUS = {name: {"per_s": 100_000, "burst": 100_000} for name in ("private", "public", "connections", "messages")}


class Reply(NamedTuple):
    status: int
    headers: dict
    raw: bytes

    @property
    def json(self):
        return json.loads(self.raw)


@contextmanager
def running(folder, *options):
    """A venue in a process of its own, ended by SIGTERM, which it must obey cleanly."""
    command = [sys.executable, "-m", "actors.venue", "--key-file", str(folder / "key.json"), *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield Client(json.loads(process.stdout.readline()), process)
    finally:
        process.terminate()
        code = process.wait(10)
        process.stdout.close()
    assert code == 0


class Client:
    """Calls the venue at `ready`; each call is a connection of its own."""

    def __init__(self, ready, process=None):
        self.ready = ready
        self.process = process
        self.host = ready["rest"].partition("//")[2]
        self.key = json.loads(Path(ready["key_file"]).read_text())

    def token(self, method=None, path=None, now_s=None, header=None, **claims):
        """A JWT, for a request or (without one) for the WebSocket; `claims` and `header` override its parts."""
        now_s = int(time.time()) if now_s is None else now_s
        uri = {"uri": f"{method} {self.host}{path}"} if method else {}
        body = {"sub": self.key["name"], "iss": "cdp", "nbf": now_s - 5, "exp": now_s + 115, **uri, **claims}
        body = {name: value for name, value in body.items() if value is not None}
        head = {"kid": self.key["name"], "nonce": secrets.token_hex(16), **(header or {})}
        return jwt.encode(body, self.key["privateKey"], algorithm="ES256", headers=head)

    def raw(self, method, target, body=None, headers=None, timeout=5):
        """One HTTP request as it stands."""
        connection = http.client.HTTPConnection(self.host, timeout=timeout)
        try:
            connection.request(method, target, body=body, headers=headers or {})
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def call(self, method, path, body=None, token=None, timeout=5):
        """A signed request below the prefix; `path` may have a query string."""
        target = PREFIX + path
        token = token or self.token(method, target.partition("?")[0])
        sent = None if body is None else json.dumps(body)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return self.raw(method, target, sent, headers, timeout)

    def get(self, path):
        """The JSON of a signed GET that must succeed."""
        reply = self.call("GET", path)
        assert reply.status == 200, reply
        return reply.json

    def post(self, path, body):
        """The JSON of a signed POST that must succeed."""
        reply = self.call("POST", path, body)
        assert reply.status == 200, reply
        return reply.json

    def public(self, path):
        """An unsigned GET below the prefix."""
        return self.raw("GET", PREFIX + path)

    def admin(self, method, path="", body=None):
        """The venue's own side."""
        reply = self.raw(method, "/_venue" + path, None if body is None else json.dumps(body))
        assert reply.status == 200, reply
        return reply.json

    def change(self, **changes):
        """POST /_venue/market."""
        return self.admin("POST", "/market", changes)

    def fault(self, kind, **members):
        """Adds one entry to the fault plan."""
        return self.admin("POST", "/faults", {"kind": kind, **members})

    def order(self, product="BTC-USD", side="BUY", **configuration):
        """A create-order body; without a configuration a post-only bid far below the market."""
        far = {"limit_limit_gtc": {"base_size": "0.001", "limit_price": "90000", "post_only": True}}
        return {
            "client_order_id": str(uuid.uuid4()),
            "product_id": product,
            "side": side,
            "order_configuration": configuration or far,
        }

    def place(self, *args, **configuration):
        """Places an order that must be accepted; returns its id."""
        answer = self.post("/orders", self.order(*args, **configuration))
        assert answer["success"], answer
        return answer["success_response"]["order_id"]

    def status(self, order_id):
        """An order as it stands."""
        return self.get(f"/orders/historical/{order_id}")["order"]

    def until(self, condition, timeout_s=5.0):
        """Polls until `condition()` is truthy and returns what it gave; slower than the venue limits calls."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if found := condition():
                return found
            time.sleep(0.05)
        raise AssertionError("it did not come true in time")

    @contextmanager
    def stream(self, path="/ws"):
        """A WebSocket."""
        address = self.ready["ws"].removesuffix("/ws") + path
        with connect(address, max_size=None, compression=None) as socket:
            yield Stream(self, socket)


class Stream:
    """A WebSocket that checks the numbers of all frames that it reads."""

    def __init__(self, client, socket):
        self.client = client
        self.socket = socket
        self.numbers = []

    def send(self, **message):
        self.socket.send(json.dumps(message))

    def subscribe(self, channel, *products, signed=False, type="subscribe"):  # noqa: A002 - the wire's word
        message = {"type": type, "channel": channel}
        message |= {"product_ids": list(products)} if products else {}
        message |= {"jwt": self.client.token()} if signed else {}
        self.send(**message)

    def frame(self, timeout=5.0):
        """The next frame."""
        frame = json.loads(self.socket.recv(timeout=timeout))
        if "sequence_num" in frame:
            self.numbers.append(frame["sequence_num"])
        return frame

    def next(self, channel, condition=lambda frame: True, timeout=5.0):
        """The next frame of a channel for which the condition holds; others are read over."""
        deadline = time.monotonic() + timeout
        while True:
            frame = self.frame(max(deadline - time.monotonic(), 0.001))
            if frame.get("channel", frame.get("type")) == channel and condition(frame):
                return frame

    def user_orders(self, order_id, until):
        """The states of one order on the user channel, up to and including status `until`."""
        found = []
        while not found or found[-1]["status"] != until:
            event = self.next("user")["events"][0]
            found += [order for order in event["orders"] if order["order_id"] == order_id]
        return found
