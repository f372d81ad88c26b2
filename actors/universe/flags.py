"""Red flags: products banned for a time by an operator, durable, ending by themselves (pipeline.md §3)."""

from collections.abc import Iterable

from actors.universe.state import Universe
from protocol import codec
from protocol.ids import ProductId
from protocol.instants import iso
from protocol.lifecycle import StoreRecord
from protocol.risk import VerbAnswered, VerbOutcome
from protocol.strategy import FlagProduct, RedFlag, UnflagProduct

PREFIX = "universe/flag/"


def stored(flag: RedFlag) -> StoreRecord:
    """A ban as the store keeps it, one key a product."""
    return StoreRecord(key=PREFIX + flag.product_id, value=codec.encode_value(flag))


def gone(product: ProductId) -> StoreRecord:
    """The same, taken away."""
    return StoreRecord(key=PREFIX + product, value=None)


def read(records: Iterable[StoreRecord]) -> tuple[dict[ProductId, RedFlag], tuple[str, ...]]:
    """The bans among the stored records, and the keys of entries that are none: those are dropped."""
    flags: dict[ProductId, RedFlag] = {}
    malformed: list[str] = []
    for record in records:
        if record.value is None or not record.key.startswith(PREFIX):
            continue
        try:
            flag = codec.decode_value(record.value, RedFlag)
        except codec.NewerSchemaError:
            raise
        except codec.CodecError:
            malformed.append(record.key)
            continue
        flags[flag.product_id] = flag
    return flags, tuple(malformed)


def over(flags: dict[ProductId, RedFlag], now_ns: int) -> tuple[ProductId, ...]:
    """Bans whose time has come."""
    return tuple(product for product, flag in flags.items() if flag.expires_ns <= now_ns)


def asked(state: Universe, message: FlagProduct, now_ns: int) -> RedFlag | VerbAnswered:
    """The new ban, or why there is none. One that stands already is replaced."""
    settings = state.settings
    if message.product_id not in settings.products():
        return answer(message, VerbOutcome.NOT_FOUND, f"{message.product_id} is not a product of the universe")
    if message.reason not in settings.red_flags:
        known = ", ".join(settings.red_flags)
        return answer(message, VerbOutcome.REFUSED, f"{message.reason!r} is no red flag; there are {known}")
    return RedFlag(
        product_id=message.product_id,
        reason=message.reason,
        by=message.by,
        banned_ns=now_ns,
        expires_ns=now_ns + settings.ban_ns,
    )


def banned(message: FlagProduct, flag: RedFlag) -> VerbAnswered:
    """What to say of a ban that stands."""
    text = f"{flag.product_id} is banned for {flag.reason} until {iso(flag.expires_ns)}: no entries, exits go on"
    return answer(message, VerbOutcome.DONE, text)


def answer(message: FlagProduct | UnflagProduct, outcome: VerbOutcome, text: str) -> VerbAnswered:
    """The answer to a request."""
    return VerbAnswered(request_id=message.request_id, outcome=outcome, text=text)
