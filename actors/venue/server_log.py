"""What arrived at order entry: kept for tests that count requests at the venue's door."""

from collections import deque
from itertools import islice
from typing import Any

import msgspec

_KEPT = 100_000


class Entry(msgspec.Struct, kw_only=True):
    """One order-entry request. `status` is the HTTP status answered, 0 while or where nothing was answered."""

    number: int
    arrived_ns: int
    method: str
    path: str
    route: str
    key_name: str = ""
    client_order_ids: list[str] = []
    order_ids: list[str] = []
    product_id: str = ""
    side: str = ""
    status: int = 0
    success: bool | None = None
    answered_ns: int | None = None
    faults: list[str] = []


class RequestLog:
    """The newest requests, oldest first; `total` counts all."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=_KEPT)
        self.total = 0

    def arrive(self, method: str, path: str, route: str, body: Any, now_ns: int) -> Entry:
        """Note a request before anything is judged. `body` is its decoded JSON, None where it is none."""
        self.total += 1
        members = body if isinstance(body, dict) else {}
        ids = members.get("order_ids")
        entry = Entry(
            number=self.total,
            arrived_ns=now_ns,
            method=method,
            path=path,
            route=route,
            client_order_ids=_texts([members.get("client_order_id")]),
            order_ids=_texts([*(ids if isinstance(ids, list) else []), members.get("order_id")]),
            product_id=str(members.get("product_id", "")),
            side=str(members.get("side", "")),
        )
        self._entries.append(entry)
        return entry

    def entries(self, since_ns: int = 0) -> list[Entry]:
        """Those that arrived at or after `since_ns`."""
        return [entry for entry in self._entries if entry.arrived_ns >= since_ns]

    def newest(self, count: int) -> list[Entry]:
        """The last `count`, oldest first; fewer where fewer are kept."""
        return list(islice(reversed(self._entries), count))[::-1]


def _texts(values: list[Any]) -> list[str]:
    return [str(value) for value in values if value]
