"""Whose a store is that is older than the modes' own namespaces: its books and orders tell who traded on it."""

from actors.portfolio.core import LEDGER_KEY
from actors.portfolio.ledger import Ledger
from actors.runtime.store_reader import StoreReader
from protocol import codec
from protocol.policy import Mode


def against(store: StoreReader, mode: Mode) -> str:
    """What speaks against such a store being `mode`'s; empty: nothing.

    DRY_RUN holds nothing, so its own traces are nobody's claim; LIVE takes nothing over that it did not make itself.
    """
    value = store.get(LEDGER_KEY)
    ledger = Ledger() if value is None else codec.decode_value(value, Ledger)
    traded = {ledger.mode, *(name for name, _ in ledger.aside)} - {"", Mode.DRY_RUN.value}
    others = sorted(traded - {mode.value})
    if others:
        return f"its books are those of {' and '.join(others)}"
    if mode is Mode.LIVE and not traded and store.count():
        return "LIVE never traded on it"
    if mode is Mode.DRY_RUN and (ledger.positions or store.open_order_ids()):
        return "there are positions or open orders in it"
    return ""
