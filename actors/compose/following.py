"""What a desk follows besides its tiers: whatever its own store says is held, or being traded.

A product may leave the tiers between two runs, by an operator's hand or because it was not found again. What is held
of it needs its quotes until it is sold: for its stop, for its longest time, for the account's value.
"""

from collections.abc import Callable

from msgspec.structs import replace

from actors.order.core import OPEN_KEY
from actors.portfolio.core import LEDGER_KEY
from actors.portfolio.ledger import Ledger
from protocol import codec
from protocol.ids import ProductId
from protocol.launch import Launch
from protocol.lifecycle import StoreRecord
from protocol.orders import OrderState

Records = Callable[[str], tuple[StoreRecord, ...]]
"""What a store holds below a prefix."""


def following(launch: Launch, records: Records) -> Launch:
    """The launch as a desk on this store takes it. Raises codec.CodecError: it holds what cannot be read."""
    universe = launch.policy.universe.following(_held(records))
    return replace(launch, policy=replace(launch.policy, universe=universe))


def _held(records: Records) -> set[ProductId]:
    ledgers = (codec.decode_value(value, Ledger) for value in _values(records, LEDGER_KEY))
    orders = (codec.decode_value(value, OrderState) for value in _values(records, OPEN_KEY))
    held = {position.product_id for ledger in ledgers for position in ledger.positions}
    return held | {order.spec.product_id for order in orders}


def _values(records: Records, prefix: str) -> list[bytes]:
    return [record.value for record in records(prefix) if record.value is not None]
