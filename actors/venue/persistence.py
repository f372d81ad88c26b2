"""What the exchange remembers over its own restart: users, money, orders, fills, client ids, fees, set flags.

A saved state is a batch with everything; each later batch holds what changed since, so that nothing that was ever
answered is lost by a kill. Restoring puts live orders back on the market's new book:

* resting orders rest behind everything shown at their price; market liquidity that crosses them trades with them at
  their own price, as it would have when it came;
* orders not yet in the book enter it; immediate ones are cancelled, for their moment is over;
* queued cancels happen, dates that passed expire their orders, stops wait for their trigger again.

Of ended orders and of fills the newest 20 000 are saved. Not saved: books, public trades, delays and faults.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec

from actors.venue.core import Exchange
from actors.venue.events import AccountChanged, OrderChanged, VenueEvent
from actors.venue.exact import ZERO, exact
from actors.venue.fees import FeeSchedule, VolumeWindow
from actors.venue.ledger import Totals, Wallet
from actors.venue.matching import USD_LIKE
from actors.venue.orders import Fill, Order, Orders
from actors.venue.products import ProductSpec
from actors.venue.state import State, User
from actors.venue.state_file import CorruptStateError

KEPT = 20_000

Traded = tuple[int, Decimal, Decimal]


class _Customer(msgspec.Struct, frozen=True, kw_only=True):
    """A user; `traded` are time, value and fee of fills that count towards the fee tier."""

    name: str
    user_id: str
    portfolio_id: str
    created_ns: int
    traded: list[Traded]


class _Purse(msgspec.Struct, frozen=True, kw_only=True):
    user: str
    uuid: str
    currency: str
    available: Decimal
    hold: Decimal
    created_ns: int
    updated_ns: int


class _Execution(msgspec.Struct, frozen=True, kw_only=True):
    """A fill, with its order's id in place of the order."""

    seq: int
    entry_id: str
    trade_id: str
    order_id: str
    at_ns: int
    visible_ns: int
    price: Decimal
    size: Decimal
    commission: Decimal
    liquidity: str


class _Batch(msgspec.Struct, kw_only=True):
    """Everything, or what changed. `fees` None: the venue's own schedule."""

    now_ns: int
    next_seq: int
    next_fill: int
    users: list[_Customer]
    wallets: list[_Purse]
    totals: Totals
    orders: list[Order]
    fills: list[_Execution]
    products: list[ProductSpec]
    fees: FeeSchedule | None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Batch).decode


def save(exchange: Exchange) -> bytes:
    """Everything that a restart must not lose."""
    state = exchange.state
    orders = _newest(state.orders.everything())
    fills = _newest_fills(state.orders.fills_of(order.order_id for order in orders))
    users = [_customer(user, user.volume.trades()) for user in state.users.values()]
    wallets = [_purse(name, wallet) for name in state.users for wallet in state.ledger.wallets(name)]
    return _encode(_batch(state, users, wallets, orders, fills))


def changes(exchange: Exchange, events: Iterable[VenueEvent], first_fill: int) -> bytes | None:
    """What the `events` just drained changed, with the fills from number `first_fill` on; None: nothing to keep."""
    state = exchange.state
    touched = {event.order.order_id: None for event in events if isinstance(event, OrderChanged)}
    orders = [order for order_id in touched if (order := state.orders.get(order_id)) is not None]
    paid = {(event.user, event.account.currency): None for event in events if isinstance(event, AccountChanged)}
    if not orders and not paid:
        return None
    fills = [fill for fill in state.orders.fills_of(touched) if fill.seq >= first_fill]
    users = [_customer(user, _traded(user, fills)) for user in state.users.values()]
    wallets = [_purse(user, state.ledger.wallet(user, currency, state.now_ns)) for user, currency in paid]
    return _encode(_batch(state, users, wallets, orders, fills))


@exact
def restore(exchange: Exchange, data: bytes, now_ns: int, later: Sequence[bytes] = ()) -> None:
    """Put users, money and orders of `save` and of the `changes` since in the place of the exchange's own.

    Raises:
        CorruptStateError: it cannot be read, or its money does not add up; the exchange is as it was.
        ValueError: the exchange has orders of its own.
    """
    exchange.advance(now_ns)
    state, whole = exchange.state, _merged([_read(frame) for frame in (data, *later)])
    if state.orders.counters() != (1, 1):
        raise ValueError("a state is restored into an exchange without orders")
    _check(whole)
    for spec in whole.products:
        state.alter(spec)
        if spec.product_id in state.products:
            state.list_product(spec)
    state.fee_schedule = whole.fees or state.fee_schedule
    state.fees_set = whole.fees
    state.users = {one.name: _user(one) for one in whole.users}
    wallets = [(one.user, _wallet(one)) for one in whole.wallets]
    state.ledger.restore(state.users, wallets, whole.totals)
    _put_back(state, whole)
    exchange.resume(max(whole.now_ns, now_ns))


# --- out ------------------------------------------------------------------------------------------------------------


def _batch(
    state: State, users: list[_Customer], wallets: list[_Purse], orders: list[Order], fills: list[Fill]
) -> _Batch:
    next_seq, next_fill = state.orders.counters()
    return _Batch(
        now_ns=state.now_ns,
        next_seq=next_seq,
        next_fill=next_fill,
        users=users,
        wallets=wallets,
        totals=state.ledger.totals(),
        orders=orders,
        fills=[_execution(fill) for fill in fills],
        products=list(state.altered.values()),
        fees=state.fees_set,
    )


def _newest(orders: Iterable[Order]) -> list[Order]:
    """Live orders, and the newest of the ended ones, in the order of their numbers."""
    everything = sorted(orders, key=lambda order: order.seq)
    ended = sorted((order for order in everything if order.terminal), key=lambda order: order.updated_ns)
    left_out = {order.order_id for order in ended[:-KEPT]}
    return [order for order in everything if order.order_id not in left_out]


def _newest_fills(fills: list[Fill]) -> list[Fill]:
    """The newest fills, and all of live orders."""
    return [fill for fill in fills[:-KEPT] if not fill.order.terminal] + fills[-KEPT:]


def _customer(user: User, traded: list[Traded]) -> _Customer:
    return _Customer(
        name=user.name,
        user_id=user.user_id,
        portfolio_id=user.portfolio_id,
        created_ns=user.created_ns,
        traded=traded,
    )


@exact
def _traded(user: User, fills: list[Fill]) -> list[Traded]:
    return [
        (fill.at_ns, fill.price * fill.size, fill.commission)
        for fill in fills
        if fill.order.user == user.name and fill.order.product.quote in USD_LIKE
    ]


def _purse(user: str, wallet: Wallet) -> _Purse:
    return _Purse(user=user, **{name: getattr(wallet, name) for name in Wallet.__slots__})


def _execution(fill: Fill) -> _Execution:
    members = {name: getattr(fill, name) for name in Fill.__struct_fields__ if name != "order"}
    return _Execution(order_id=fill.order.order_id, **members)


# --- in -------------------------------------------------------------------------------------------------------------


def _read(frame: bytes) -> _Batch:
    try:
        return _decode(frame)
    except (msgspec.MsgspecError, ArithmeticError, UnicodeError) as error:
        raise CorruptStateError(f"the saved state cannot be read: {error}") from error


def _merged(batches: Sequence[_Batch]) -> _Batch:
    """All batches as one: the last word on each thing, and every fill once."""
    users: dict[str, _Customer] = {}
    for one in (one for batch in batches for one in batch.users):
        before = users[one.name].traded if one.name in users else []
        users[one.name] = msgspec.structs.replace(one, traded=before + one.traded)
    last = batches[-1]
    return msgspec.structs.replace(
        last,
        now_ns=max(batch.now_ns for batch in batches),
        users=list(users.values()),
        wallets=list({(one.user, one.currency): one for batch in batches for one in batch.wallets}.values()),
        orders=list({one.order_id: one for batch in batches for one in batch.orders}.values()),
        fills=list({one.seq: one for batch in batches for one in batch.fills}.values()),
    )


def _check(whole: _Batch) -> None:
    """Nobody's money may be made or lost by what was read."""
    sums: dict[str, Decimal] = {}
    for currency, amount in ((one.currency, one.available + one.hold) for one in whole.wallets):
        sums[currency] = sums.get(currency, ZERO) + amount
    for currency, parts in whole.totals.items():
        sums[currency] = sums.get(currency, ZERO) + sum(parts, ZERO)
    held: dict[tuple[str, str], Decimal] = {}
    for order in (order for order in whole.orders if not order.terminal):
        key = (order.user, order.hold_currency)
        held[key] = held.get(key, ZERO) + order.hold
    kept = {(one.user, one.currency): one.hold for one in whole.wallets if one.hold}
    if any(sums.values()) or {key: amount for key, amount in held.items() if amount} != kept:
        raise CorruptStateError("the money of the saved state does not add up")


def _user(one: _Customer) -> User:
    volume = VolumeWindow()
    for at_ns, value, fee in one.traded:
        volume.add(at_ns, value, fee)
    return User(
        name=one.name,
        user_id=one.user_id,
        portfolio_id=one.portfolio_id,
        created_ns=one.created_ns,
        volume=volume,
    )


def _wallet(one: _Purse) -> Wallet:
    wallet = Wallet(one.uuid, one.currency, one.created_ns)
    wallet.available, wallet.hold, wallet.updated_ns = one.available, one.hold, one.updated_ns
    return wallet


def _put_back(state: State, whole: _Batch) -> None:
    orders = {order.order_id: order for order in sorted(whole.orders, key=lambda order: order.seq)}
    for order in orders.values():
        if order.product.product_id not in state.products:
            # The market changed: what it no longer trades keeps a book of its own, where the order can be cancelled.
            state.list_product(msgspec.structs.replace(order.product, alias=""))
    fills = [_fill(one, orders[one.order_id]) for one in sorted(whole.fills, key=lambda one: one.seq)]
    ended = sorted((order for order in orders.values() if order.terminal), key=lambda order: order.updated_ns)
    state.orders = Orders.restored(orders.values(), fills, (whole.next_seq, whole.next_fill))
    for order in ended:
        state.orders.retire(order, state.rules.kept_orders)


def _fill(one: _Execution, order: Order) -> Fill:
    members = {name: getattr(one, name) for name in _Execution.__struct_fields__ if name != "order_id"}
    return Fill(order=order, **members)
