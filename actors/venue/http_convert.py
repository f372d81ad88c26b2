"""Conversions between dollars and dollar coins, one to one, in two steps: quote and commit."""

from decimal import Decimal

import msgspec

from actors.venue.exact import parse_amount, plain
from actors.venue.http_calls import Call, bad_request, not_found
from actors.venue.instants import SECOND_NS
from actors.venue.lag import draw_id
from actors.venue.requests import QueryError
from actors.venue.server_venue import Conversion

PAIRS = frozenset({("USD", "USDC"), ("USDC", "USD")})
QUOTE_NS = 10 * SECOND_NS


class _Quote(msgspec.Struct):
    from_account: str
    to_account: str
    amount: str


class _Commit(msgspec.Struct):
    from_account: str
    to_account: str


def convert_quote(call: Call) -> object:
    """POST /convert/quote."""
    asked = call.read(_Quote)
    amount = parse_amount(asked.amount)
    source, target = _currency(call, asked.from_account), _currency(call, asked.to_account)
    if amount is None or amount <= 0:
        raise bad_request("amount is invalid")
    if (source, target) not in PAIRS:
        raise bad_request(f"conversion from {source} to {target} is not supported")
    trade = Conversion(
        id=draw_id(call.venue.chance),
        user=call.user,
        source=source,
        target=target,
        amount=amount,
        expires_ns=call.now_ns + QUOTE_NS,
    )
    call.venue.conversions[trade.id] = trade
    return {"trade": _view(call, trade)}


def convert_commit(call: Call) -> object:
    """POST /convert/trade/{trade_id}."""
    asked, trade = call.read(_Commit), _trade(call)
    if (_currency(call, asked.from_account), _currency(call, asked.to_account)) != (trade.source, trade.target):
        raise bad_request("the accounts are not those of the quote")
    if trade.status != "TRADE_STATUS_CREATED" or call.now_ns > trade.expires_ns:
        raise bad_request("the quote has expired")
    try:
        call.venue.exchange.deposit(call.user, trade.source, -trade.amount, call.now_ns)
    except ValueError:
        raise bad_request("insufficient balance in source account") from None
    call.venue.exchange.deposit(call.user, trade.target, trade.amount, call.now_ns)
    trade.status = "TRADE_STATUS_COMPLETED"
    return {"trade": _view(call, trade)}


def convert_trade(call: Call) -> object:
    """GET /convert/trade/{trade_id}."""
    return {"trade": _view(call, _trade(call))}


def _trade(call: Call) -> Conversion:
    trade = call.venue.conversions.get(call.path["trade_id"])
    if trade is None or trade.user != call.user:
        raise not_found("trade not found")
    return trade


def _currency(call: Call, account: str) -> str:
    """The currency of an account, named by its code or its id."""
    if "-" not in account:
        return account
    try:
        return call.venue.exchange.account(call.user, account).currency
    except QueryError:
        raise bad_request("unknown account") from None


def _view(call: Call, trade: Conversion) -> dict[str, object]:
    taken = _money(trade.amount, trade.source)
    nothing = {"title": "Fee", "description": "", "amount": _money(Decimal(0), trade.source), "label": "fee"}
    return {
        "id": trade.id,
        "status": trade.status,
        "user_entered_amount": taken,
        "amount": taken,
        "subtotal": taken,
        "total": _money(trade.amount, trade.target),
        "fees": [],
        "total_fee": nothing,
        "exchange_rate": _money(Decimal(1), trade.target),
        "source_currency": trade.source,
        "target_currency": trade.target,
        "source_id": trade.source,
        "target_id": trade.target,
        "user_warnings": [],
        "user_reference": call.venue.exchange.user_id(trade.user),
    }


def _money(amount: Decimal, currency: str) -> dict[str, str]:
    return {"value": plain(amount), "currency": currency}
