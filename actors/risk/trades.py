"""What fills teach: which purchases were adds (risk.md §6), and how a strategy's closed trades ended (§9)."""

from decimal import Decimal

from msgspec.structs import replace

from actors.risk.exposure import Exposure
from actors.risk.state import Bought, Closed, Record
from protocol.ids import ProductId
from protocol.money import ZERO
from protocol.portfolio import FillApplied

REMEMBERED = 200
"""Fills that are known again when they are told twice: they come again at a restart at most, and soon."""


def is_add(product: ProductId, exposure: Exposure) -> bool:
    """Whether a purchase would add to something: a position of any size, or a purchase that works (risk.md §4)."""
    return exposure.of_product(product) > ZERO


def is_position(usd: Decimal, dust_usd: Decimal) -> bool:
    """Whether so much counts as a position: what is less than dust does not (risk.md §1)."""
    return usd > ZERO and usd >= dust_usd


def opens(product: ProductId, exposure: Exposure, dust_usd: Decimal) -> bool:
    """Whether a purchase would open a position."""
    return not is_position(exposure.of_product(product), dust_usd)


def known(record: Record, fill: FillApplied) -> bool:
    """Whether this fill was counted before."""
    return _name(fill) in record.entry_ids


def _name(fill: FillApplied) -> str:
    return f"{fill.entry_id}/{fill.client_order_id}"


def with_fill(record: Record, fill: FillApplied, *, held_usd: Decimal, dust_usd: Decimal, now_ns: int) -> Record:
    """Count a fill of ours, once. `held_usd` is what its product held before it."""
    record = replace(record, entry_ids=(*record.entry_ids, _name(fill))[-REMEMBERED:])
    if fill.buy:
        return _with_purchase(record, fill, add=is_position(held_usd, dust_usd), now_ns=now_ns)
    return _with_sale(record, fill)


def _with_purchase(record: Record, fill: FillApplied, *, add: bool, now_ns: int) -> Record:
    """Fills of one order are one purchase; the last of them starts the wait."""
    name = str(fill.client_order_id)
    earlier = next((b for b in record.bought if b.client_order_id == name), None)
    bought = Bought(
        product_id=fill.product_id,
        client_order_id=name,
        at_ns=now_ns,
        add=add if earlier is None else earlier.add,
    )
    bought_to = (*(p for p in record.added if p != fill.product_id), *((fill.product_id,) if bought.add else ()))
    others = tuple(b for b in record.bought if b.client_order_id != name)
    return replace(record, bought=(*others, bought), added=bought_to if bought.add else record.added)


def _with_sale(record: Record, fill: FillApplied) -> Record:
    """A trade is what happens between opening and closing a position, in however many sales."""
    net = record.running_usd.get(fill.correlation, ZERO) + (fill.net_usd or ZERO)
    others = {name: usd for name, usd in record.running_usd.items() if name != fill.correlation}
    if not fill.closed_position:
        return replace(record, running_usd={**others, fill.correlation: net})
    record = replace(record, added=tuple(p for p in record.added if p != fill.product_id))
    before = record.closed.get(fill.strategy, Closed())
    return replace(record, running_usd=others, closed={**record.closed, fill.strategy: _ended(before, net)})


def _ended(closed: Closed, net_usd: Decimal) -> Closed:
    if net_usd > ZERO:
        return replace(closed, wins=closed.wins + 1, won_usd=closed.won_usd + net_usd)
    return replace(closed, losses=closed.losses + 1, lost_usd=closed.lost_usd - net_usd)
