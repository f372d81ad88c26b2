"""Wallets, fees, key permissions, portfolios, payment methods."""

from decimal import Decimal

from actors.venue.exact import exact
from actors.venue.http_calls import Call, forbidden, not_found
from actors.venue.requests import QueryError

_DEFAULT_ACCOUNTS = 49
_CASH = frozenset({"USD", "USDC", "USDT", "EUR", "GBP"})


def list_accounts(call: Call) -> object:
    """GET /accounts."""
    limit = call.query.number("limit", 0) or _DEFAULT_ACCOUNTS
    return call.venue.exchange.accounts(call.user, limit=limit, cursor=call.query.one("cursor"))


def get_account(call: Call) -> object:
    """GET /accounts/{account_id}."""
    return {"account": call.venue.exchange.account(call.user, call.path["account_id"])}


def transaction_summary(call: Call) -> object:
    """GET /transaction_summary."""
    return call.venue.exchange.transaction_summary(call.user, call.now_ns)


def key_permissions(call: Call) -> object:
    """GET /key_permissions."""
    scopes = call.credential.scopes if call.credential else frozenset()
    return {
        "can_view": "view" in scopes,
        "can_trade": "trade" in scopes,
        "can_transfer": "transfer" in scopes,
        "portfolio_uuid": call.venue.exchange.portfolio_id(call.user),
        "portfolio_type": "DEFAULT",
    }


def list_portfolios(call: Call) -> object:
    """GET /portfolios: the one that the key is bound to."""
    wanted = call.query.one("portfolio_type")
    return {"portfolios": [_portfolio(call)] if wanted in ("", "UNDEFINED", "DEFAULT") else []}


@exact
def portfolio_breakdown(call: Call) -> object:
    """GET /portfolios/{portfolio_id}."""
    if call.path["portfolio_id"] != call.venue.exchange.portfolio_id(call.user):
        raise forbidden("User does not have access to portfolio")
    positions = [_position(call, *row) for row in _wallets(call)]
    cash = sum((Decimal(str(one["total_balance_fiat"])) for one in positions if one["is_cash"]), Decimal(0))
    total = sum((Decimal(str(one["total_balance_fiat"])) for one in positions), Decimal(0))
    balances = {
        "total_balance": _usd(total),
        "total_futures_balance": _usd(Decimal(0)),
        "total_cash_equivalent_balance": _usd(cash),
        "total_crypto_balance": _usd(total - cash),
    }
    return {
        "breakdown": {
            "portfolio": _portfolio(call),
            "portfolio_balances": balances,
            "spot_positions": positions,
            "perp_positions": [],
            "futures_positions": [],
        }
    }


def change_portfolio(_: Call) -> object:
    """Creating, renaming, deleting and funding portfolios is not for a key that is bound to one."""
    raise forbidden("User does not have access to portfolio")


def list_payment_methods(_: Call) -> object:
    """GET /payment_methods: none."""
    return {"payment_methods": []}


def get_payment_method(_: Call) -> object:
    """GET /payment_methods/{id}."""
    raise not_found("payment method not found")


def _portfolio(call: Call) -> dict[str, object]:
    uuid = call.venue.exchange.portfolio_id(call.user)
    return {"name": "Default", "uuid": uuid, "type": "DEFAULT", "deleted": False}


def _wallets(call: Call) -> list[tuple[str, str, Decimal, Decimal]]:
    """Currency, wallet id, total and available of every wallet."""
    rows, cursor = [], ""
    while True:
        page = call.venue.exchange.accounts(call.user, limit=250, cursor=cursor)
        for one in page.accounts:
            available = Decimal(one.available_balance.value)
            rows.append((one.currency, one.uuid, available + Decimal(one.hold.value), available))
        if not page.has_next:
            return rows
        cursor = page.cursor


def _position(call: Call, currency: str, uuid: str, total: Decimal, available: Decimal) -> dict[str, object]:
    price = _price(call, currency)
    # Shares and balances of the breakdown are JSON numbers in production.
    return {
        "asset": currency,
        "account_uuid": uuid,
        "total_balance_fiat": float(total * price),
        "total_balance_crypto": float(total),
        "available_to_trade_fiat": float(available * price),
        "available_to_trade_crypto": float(available),
        "allocation": 0.0,
        "is_cash": currency in _CASH,
        "account_type": "ACCOUNT_TYPE_FIAT" if currency == "USD" else "ACCOUNT_TYPE_CRYPTO",
    }


def _price(call: Call, currency: str) -> Decimal:
    if currency in _CASH:
        return Decimal(1)
    try:
        return Decimal(call.venue.data.product(f"{currency}-USD", call.now_ns).price or 0)
    except QueryError:
        return Decimal(0)


def _usd(amount: Decimal) -> dict[str, str]:
    return {"value": str(amount.quantize(Decimal("0.01"))), "currency": "USD"}
