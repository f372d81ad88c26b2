"""One order's life: the intent, the order, its states, and everything that may be said about it."""

from decimal import Decimal
from enum import Enum
from typing import ClassVar

from protocol.base import Lane, Message, Value
from protocol.ids import ClientOrderId, IntentId, ProductId, VenueOrderId


class Side(Enum):
    """BUY increases a long position, SELL decreases it; there are no shorts."""

    BUY = "BUY"
    SELL = "SELL"


class TimeInForce(Enum):
    """Good till date rests; immediate or cancel never does."""

    GTD = "GTD"
    IOC = "IOC"


class Purpose(Enum):
    """Why an order exists; rules differ by it."""

    ENTRY = "entry"
    EXIT = "exit"
    OPERATOR = "operator"
    DRILL = "drill"
    FLATTEN = "flatten"


class Status(Enum):
    """States of an order (architecture §6)."""

    INITIALIZED = "initialized"
    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"
    UNRESOLVED = "unresolved"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    ABORTED = "aborted"
    FAILED = "failed"


TERMINAL = frozenset({Status.FILLED, Status.CANCELED, Status.EXPIRED, Status.REJECTED, Status.ABORTED, Status.FAILED})
IN_DOUBT = frozenset({Status.SUBMITTED, Status.UNRESOLVED})
MIGHT_REST = frozenset(Status) - TERMINAL - {Status.INITIALIZED}


class StepKind(Enum):
    """One try of a route plan (execution.md §4)."""

    MAKER = "maker"
    LIMIT = "limit"
    IOC = "ioc"
    MARKET = "market"


class Step(Value, frozen=True, kw_only=True):
    """One try. `ttl_s`: how long a resting order waits; `through_bps`: how far past the touch an IOC may go."""

    kind: StepKind
    ttl_s: float = 0.0
    through_bps: Decimal = Decimal(0)
    post_only: bool = False
    limit_price: Decimal | None = None


class Targets(Value, frozen=True, kw_only=True):
    """How a position is to be left; stored with its entry fill. Percentages of the average entry price."""

    stop_loss_pct: Decimal
    take_profit_pct: Decimal
    max_hold_s: int


class Intent(Value, frozen=True, kw_only=True):
    """What was approved: one purchase or sale, to be tried by `steps` in order until done.

    Exactly one of `base_size` and `quote_size` is given (`quote_size`: spend or raise that much quote currency).
    `bid`/`ask` are the decision's quote, vouched for last at `quote_ns` (0: not told); no request may leave after
    `not_after_ns`. `correlation` runs from the proposal through orders and fills to PnL. `maker_only`: no order of it
    may take, whatever its steps are.
    """

    correlation: str
    product_id: ProductId
    side: Side
    purpose: Purpose
    steps: tuple[Step, ...]
    bid: Decimal
    ask: Decimal
    not_after_ns: int
    base_size: Decimal | None = None
    quote_size: Decimal | None = None
    strategy: str = ""
    tier: int = 0
    confidence: float = 0.0
    targets: Targets | None = None
    exit_code: str = ""
    by: str = ""
    quote_ns: int = 0
    maker_only: bool = False
    conviction: float = 0.0


class OrderSpec(Value, frozen=True, kw_only=True):
    """One order as it goes to the venue; prices and sizes already on their grids. `limit_price` None: market."""

    client_order_id: ClientOrderId
    product_id: ProductId
    side: Side
    time_in_force: TimeInForce
    base_size: Decimal | None
    quote_size: Decimal | None
    limit_price: Decimal | None
    post_only: bool
    expires_at_ns: int
    not_after_ns: int
    drill: bool = False


class OrderState(Value, frozen=True, kw_only=True):
    """Everything durable about one order. Cumulative figures never fall; `error` keeps the venue's own words.

    Filled figures are the venue's cumulative word (base, quote, quote fees); `booked_size` is what the ledger has.
    `requested_ns` is when the signed request left or might have: until token life + 10 s after it an unknown
    outcome stays open. `step` is the index into the intent's plan; after `ttl_ns` (0: never) a resting order is
    cancelled by its own actor.
    """

    intent_id: IntentId
    attempt: int
    step: int
    ttl_ns: int
    intent: Intent
    spec: OrderSpec
    status: Status = Status.INITIALIZED
    venue_order_id: VenueOrderId | None = None
    created_ns: int = 0
    requested_ns: int = 0
    acknowledged: bool = False
    filled_size: Decimal = Decimal(0)
    filled_value: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    booked_size: Decimal = Decimal(0)
    cancel_wanted: str = ""
    cancel_tries: int = 0
    closed_ns: int = 0
    error: str = ""

    @property
    def client_order_id(self) -> ClientOrderId:
        """Our id, minted once."""
        return self.spec.client_order_id

    @property
    def terminal(self) -> bool:
        """Nothing more can rest or change but late fills."""
        return self.status in TERMINAL

    @property
    def settled(self) -> bool:
        """Terminal, and everything it filled is in the ledger: nobody needs to remember it any more."""
        return self.terminal and self.booked_size >= self.filled_size


class PlaceIntent(Message, frozen=True, kw_only=True, tag="orders.intent"):
    """Risk to the order desk: this may be tried."""

    intent: Intent


class IntentTaken(Message, frozen=True, kw_only=True, tag="orders.intent_taken"):
    """The desk to the cycle: what became at once of an entry that risk approved.

    `outcome` empty: its first order is on its way; else why none was made of it.
    """

    correlation: str
    outcome: str


class Place(Message, frozen=True, kw_only=True, tag="orders.place"):
    """The desk to a new order actor: be this order."""

    state: OrderState


class PlaceAccepted(Message, frozen=True, kw_only=True, tag="orders.accepted"):
    """The venue acknowledged the order and gave it an id."""

    client_order_id: ClientOrderId
    venue_order_id: VenueOrderId


class PlaceRefused(Message, frozen=True, kw_only=True, tag="orders.refused"):
    """The venue definitely refused the order, or it definitely never left; nothing rests."""

    client_order_id: ClientOrderId
    reason: str
    sent: bool = True


class PlaceUnknown(Message, frozen=True, kw_only=True, tag="orders.unknown"):
    """The request ended without a verdict: the order may or may not rest. Never a reason to send it again."""

    client_order_id: ClientOrderId
    detail: str


class VenueOrder(Value, frozen=True, kw_only=True):
    """The venue's word about one order: cumulative, from stream, list or look-up.

    `status` is the venue's own text, upper case; sizes in base, value and fees in quote currency.
    """

    client_order_id: str
    venue_order_id: VenueOrderId
    product_id: ProductId
    side: Side
    status: str
    filled_size: Decimal
    filled_value: Decimal
    fees: Decimal
    limit_price: Decimal | None = None
    base_size: Decimal | None = None
    created_ns: int = 0
    reason: str = ""
    quote_size: Decimal | None = None


class OrderReported(Message, frozen=True, kw_only=True, tag="orders.reported"):
    """Evidence about one order. `source`: stream, list or lookup."""

    order: VenueOrder
    source: str


class OrderNotFound(Message, frozen=True, kw_only=True, tag="orders.not_found"):
    """A complete look-up, begun at `asked_ns`, did not know the order. Closes nothing by itself (X1)."""

    client_order_id: ClientOrderId
    asked_ns: int


class CancelOrder(Message, frozen=True, kw_only=True, tag="orders.cancel"):
    """Stop resting. Idempotent. To an order actor, or to the desk with a client order id or "*" for every one."""

    lane: ClassVar[Lane] = Lane.CONTROL
    client_order_id: ClientOrderId
    reason: str


class CancelAnswered(Message, frozen=True, kw_only=True, tag="orders.cancel_answered"):
    """The venue took (or refused) a cancel request; only a report says that the order stopped resting."""

    client_order_id: ClientOrderId
    success: bool
    reason: str


class OrderUpdate(Message, frozen=True, kw_only=True, tag="orders.update"):
    """An order's new committed state, told to desk, risk and portfolio."""

    state: OrderState


class OrderBooked(Message, frozen=True, kw_only=True, tag="orders.booked"):
    """Portfolio to an order actor: so much of it (base units, cumulative) is in the ledger for life."""

    client_order_id: ClientOrderId
    booked_size: Decimal


class IntentDone(Message, frozen=True, kw_only=True, tag="orders.intent_done"):
    """The desk's last word on an intent: how much of it was filled, and why it ended."""

    correlation: str
    intent_id: IntentId
    product_id: ProductId
    side: Side
    purpose: Purpose
    filled_size: Decimal
    filled_value: Decimal
    outcome: str


class CancelStrategy(Message, frozen=True, kw_only=True, tag="orders.cancel_strategy"):
    """To the desk: this strategy is off; every entry of its that is under way ends, its orders are cancelled."""

    lane: ClassVar[Lane] = Lane.CONTROL
    strategy: str
    reason: str


class Drain(Message, frozen=True, kw_only=True, tag="orders.drain"):
    """To the desk: no new order from here on, cancel every live one; answered by `Drained` when none might rest."""

    lane: ClassVar[Lane] = Lane.CONTROL
    reason: str
    reply_to: str


class Drained(Message, frozen=True, kw_only=True, tag="orders.drained"):
    """No order of ours might rest any more, as far as evidence goes."""

    lane: ClassVar[Lane] = Lane.CONTROL
    reason: str


OrderMessage = (
    PlaceIntent
    | IntentTaken
    | Place
    | PlaceAccepted
    | PlaceRefused
    | PlaceUnknown
    | OrderReported
    | OrderNotFound
    | CancelOrder
    | CancelAnswered
    | OrderUpdate
    | OrderBooked
    | IntentDone
    | CancelStrategy
    | Drain
    | Drained
)
