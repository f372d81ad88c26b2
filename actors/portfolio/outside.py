"""Prices of coins that no feed of ours follows: asked of the venue's books over REST, never made up (risk.md §10)."""

from decimal import Decimal

from msgspec.structs import replace

from actors.portfolio import telling, valuation
from actors.portfolio.state import Outside, Portfolio
from protocol.base import NO_EFFECTS, Effect, Effects
from protocol.effects import Tell
from protocol.ids import ProductId
from protocol.money import ZERO
from protocol.venue import BookListed, GetBook, QueryFailed

QUESTION = "price/"
_AT_ONCE = 2
"""Questions at one look: an account of a hundred coins must not take the market data's budget from the feeds."""
_REFUSED = "client"


def ask(state: Portfolio, now_ns: int) -> tuple[Portfolio, Effects]:
    """Ask for what has no feed, each coin in time before its price grows old."""
    if not state.reconciled:
        return state, NO_EFFECTS
    known = {currency: state.outside.get(currency, Outside()) for currency in _unfollowed(state)}
    due = [c for c, one in known.items() if now_ns - one.asked_ns >= state.settings.price_age_ns // 3]
    asks: list[Effect] = []
    for currency in sorted(due, key=lambda c: (known[c].asked_ns, c))[:_AT_ONCE]:
        product = ProductId(f"{currency}-{valuation.QUOTES[known[currency].pair]}")
        known[currency] = replace(known[currency], asked_ns=now_ns)
        question = GetBook(request_id=QUESTION + product, reply_to="portfolio", product_id=product)
        asks.append(Tell(to="gateway", message=question))
    return replace(state, outside=known), tuple(asks)


def _unfollowed(state: Portfolio) -> tuple[str, ...]:
    none = (*valuation.CASH, *state.settings.ignored)
    held = (t.currency for t in state.ledger.totals if t.total != ZERO and t.currency not in none)
    return tuple(currency for currency in held if valuation.quoted(currency, state.quotes) is None)


def listed(state: Portfolio, book: BookListed, now_ns: int) -> tuple[Portfolio, Effects]:
    """The mid, as of the moment of the question; a book without two sides is no price."""
    currency = book.product_id.partition("-")[0]
    one = state.outside.get(currency)
    if one is None:
        return state, NO_EFFECTS
    if book.bid is None or book.ask is None:
        return _elsewhere(state, currency, one, now_ns)
    mid = (book.bid[0] + book.ask[0]) / Decimal(2)
    seen = valuation.Seen(mid=mid, fresh_ns=one.asked_ns + state.clock_offset_ns)
    one = replace(one, product_id=book.product_id, seen=seen, lost=False)
    return replace(state, outside={**state.outside, currency: one}), NO_EFFECTS


def failed(state: Portfolio, message: QueryFailed, now_ns: int) -> tuple[Portfolio, Effects]:
    """A product that the venue does not have is not asked for again at once; anything else may do better next time."""
    currency = message.request_id.removeprefix(QUESTION).partition("-")[0]
    one = state.outside.get(currency)
    if one is None or message.kind != _REFUSED:
        return state, NO_EFFECTS
    return _elsewhere(state, currency, one, now_ns)


def _elsewhere(state: Portfolio, currency: str, one: Outside, now_ns: int) -> tuple[Portfolio, Effects]:
    """The next quote currency; after the last one people hear, once, that nobody can say what the coin is worth."""
    if one.pair + 1 < len(valuation.QUOTES):
        one = replace(one, pair=one.pair + 1, asked_ns=0)
        return replace(state, outside={**state.outside, currency: one}), NO_EFFECTS
    text = "no book in USD, USDC or USDT: unless it is dust by its last price the net value is unknown and nothing is "
    text += "bought; move it away, or name it in portfolio.ignore_assets"
    told = NO_EFFECTS if one.lost else (telling.alert("asset_unpriced", currency, text, now_ns),)
    return replace(state, outside={**state.outside, currency: replace(one, pair=0, lost=True)}), told
