"""Faults that are states of the venue: begun and undone as their time comes."""

from typing import Any

import msgspec

from actors.venue.core import Exchange
from actors.venue.faults import STATES, Fault, FaultPlan
from actors.venue.instants import SECOND_NS
from actors.venue.lag import Unpleasantness
from actors.venue.market import Market

_DELAYS = {
    "late_listing": "list_ms",
    "late_fills": "fill_ms",
    "cancel_delay": "cancel_ms",
    "pending_delay": "pending_ms",
}


class FaultStates:
    """Keeps the exchange's state in step with the plan."""

    def __init__(self, exchange: Exchange, market: Market, usual: Unpleasantness) -> None:
        self._exchange = exchange
        self._market = market
        self.usual = usual
        self._running: dict[tuple[int, int], Fault] = {}
        self._before: dict[tuple[int, int], dict[str, Any]] = {}
        self.clock_offset_ns = 0

    def follow(self, plan: FaultPlan, now_ns: int) -> list[str]:
        """Begin and end what is due; returns the products whose flags changed."""
        if not self._running and not plan.entries():
            return []
        wanted = {one.key: one.fault for one in plan.active(STATES, now_ns)}
        ended = [key for key in self._running if key not in wanted]
        begun = [key for key in wanted if key not in self._running]
        changed = [self._end(key, now_ns) for key in ended] + [self._begin(key, wanted[key], now_ns) for key in begun]
        if ended or begun:
            self.set_delays()
            offsets = [fault.parameters.get("s", 0) for fault in wanted.values() if fault.kind == "clock_offset"]
            self.clock_offset_ns = int(sum(offsets) * SECOND_NS)
        return [product for product in changed if product]

    def set_delays(self) -> None:
        """Give the exchange its usual delays with those of the running faults in their place."""
        delays = {
            _DELAYS[fault.kind]: tuple(fault.parameters["ms"])
            for fault in self._running.values()
            if fault.kind in _DELAYS
        }
        self._exchange.set_unpleasantness(msgspec.structs.replace(self.usual, **delays))

    def _begin(self, key: tuple[int, int], fault: Fault, now_ns: int) -> str:
        self._running[key] = fault
        if fault.kind == "halt":
            self._market.halt(fault.target, halted=True)
        if fault.kind == "end_orders":
            self._exchange.end_orders(fault.target, str(fault.parameters["status"]), now_ns)
        if fault.kind != "product_state":
            return ""
        spec = self._exchange.spec(fault.target)
        self._before[key] = {name: getattr(spec, name) for name in fault.parameters}
        self._exchange.set_product(fault.target, now_ns, lasting=False, **fault.parameters)
        return fault.target

    def _end(self, key: tuple[int, int], now_ns: int) -> str:
        fault = self._running.pop(key)
        if fault.kind == "halt":
            self._market.halt(fault.target, halted=False)
        if fault.kind != "product_state":
            return ""
        self._exchange.set_product(fault.target, now_ns, lasting=False, **self._before.pop(key))
        return fault.target
