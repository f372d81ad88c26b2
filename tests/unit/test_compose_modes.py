"""Which mode may take over a store that is older than the modes' namespaces."""

import pytest

from actors.compose.modes import against
from actors.portfolio.core import LEDGER_KEY
from actors.portfolio.ledger import Ledger
from actors.recorder.disk import LmdbStore
from protocol import codec
from protocol.lifecycle import StoreRecord
from protocol.policy import Mode
from tests.support.desk_scenes import periods, position

DRY, PAPER, LIVE = Mode
EMPTY = None
HELD = Ledger(positions=(position(quantity=2),))
OF_PAPER = Ledger(mode="PAPER", periods=periods())
OF_DRY_RUN = Ledger(mode="DRY_RUN", periods=periods())
OF_LIVE = Ledger(mode="LIVE", positions=(position(quantity=2),))
RUN_DRY_SINCE = Ledger(mode="DRY_RUN", aside=(("PAPER", periods()),))
OF_TWO = Ledger(mode="PAPER", aside=(("LIVE", periods()),))

STORES = {
    "nothing was ever booked": (EMPTY, (), {DRY, PAPER, LIVE}),
    "the books name no mode and hold nothing": (Ledger(), (), {DRY, PAPER}),
    "positions of nobody's": (HELD, (), {PAPER}),
    "an open order": (EMPTY, ("order/a",), {PAPER}),
    "paper's peak": (OF_PAPER, (), {PAPER}),
    "the peak of a dry run": (OF_DRY_RUN, (), {DRY, PAPER}),
    "paper's, run dry since": (RUN_DRY_SINCE, (), {PAPER}),
    "live's": (OF_LIVE, (), {LIVE}),
    "of two that traded": (OF_TWO, (), set()),
}


@pytest.mark.req("M1")
@pytest.mark.parametrize("row", STORES.values(), ids=STORES)
def test_who_may_take_it_over(row, tmp_path):
    ledger, orders, welcome = row
    store = LmdbStore(tmp_path / "store")
    with store.transaction() as txn:
        if ledger is not None:
            txn.put(StoreRecord(key=LEDGER_KEY, value=codec.encode_value(ledger)))
        for name in orders:
            txn.put(StoreRecord(key=name, value=b""))
    said = {mode: against(store, mode) for mode in Mode}
    store.close()
    assert {mode for mode, text in said.items() if not text} == welcome
