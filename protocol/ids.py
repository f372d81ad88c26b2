"""Identities, as types of their own: a client order id is never mistaken for a venue's."""

import re
from typing import NewType

from protocol.base import Value

ProductId = NewType("ProductId", str)
ClientOrderId = NewType("ClientOrderId", str)
VenueOrderId = NewType("VenueOrderId", str)
IntentId = NewType("IntentId", str)

_BOT = re.compile(r"[a-z0-9]{1,12}")
_FORM = re.compile(
    r"(?P<bot>[a-z0-9]{1,12})-(?P<product>[a-z0-9]+-[a-z0-9]+)-(?P<at>\d{8}t\d{9}z)"
    r"-(?P<epoch>\d+)_(?P<counter>\d+)-a(?P<attempt>\d+)"
)


class OrderIdParts(Value, frozen=True, kw_only=True):
    """A client order id taken apart. `counter` and `epoch` together never repeat in an installation."""

    bot: str
    product: str
    at: str
    epoch: int
    counter: int
    attempt: int


def bot_prefix(bot: str) -> str:
    """The prefix by which every order of this installation is known at the venue.

    Raises:
        ValueError: `bot` is not 1 to 12 lower-case letters or digits.
    """
    if not _BOT.fullmatch(bot):
        raise ValueError(f"bot id must be 1 to 12 of [a-z0-9], got {bot!r}")
    return f"{bot}-"


def intent_id(bot: str, product: str, at: str, epoch: int, counter: int) -> IntentId:
    """Name an intent; its orders add their attempt number. `at` is `YYYYMMDDtHHMMSSmmmz` (execution.md §2)."""
    return IntentId(f"{bot_prefix(bot)}{product.lower()}-{at}-{epoch}_{counter}")


def client_order_id(intent: IntentId, attempt: int) -> ClientOrderId:
    """The id of an intent's nth order, from 1. A re-send keeps it; a reprice or next step takes the next."""
    return ClientOrderId(f"{intent}-a{attempt}")


def parse_client_order_id(text: str) -> OrderIdParts | None:
    """Take one of our ids apart; None for an id that somebody else minted."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    g = found.groupdict()
    return OrderIdParts(
        bot=g["bot"],
        product=g["product"],
        at=g["at"],
        epoch=int(g["epoch"]),
        counter=int(g["counter"]),
        attempt=int(g["attempt"]),
    )
