"""A user's fees, volume and worth."""

from decimal import Decimal

from actors.venue.exact import ZERO, plain
from actors.venue.state import State, User
from actors.venue.wire import FeeTierView, TransactionSummary

_CENT = Decimal("0.01")
_CASH = {"USD", "USDC", "USDT"}


def transaction_summary(state: State, user: User) -> TransactionSummary:
    """GET /transaction_summary."""
    volume, fees = user.volume.totals(state.now_ns)
    tier, until = state.fee_schedule.tier(volume)
    return TransactionSummary(
        total_volume=float(volume),
        total_fees=float(fees),
        fee_tier=FeeTierView(
            pricing_tier=tier.name,
            usd_from=plain(tier.usd_from),
            usd_to="" if until is None else plain(until),
            taker_fee_rate=plain(tier.taker_rate),
            maker_fee_rate=plain(tier.maker_rate),
        ),
        margin_rate=None,
        goods_and_services_tax=None,
        advanced_trade_only_volume=float(volume),
        advanced_trade_only_fees=float(fees),
        coinbase_pro_volume=0,
        coinbase_pro_fees=0,
        total_balance=plain(_worth(state, user).quantize(_CENT)),
        has_promo_fee=False,
        volume_breakdown=[{"volume_type": "VOLUME_TYPE_SPOT", "volume": float(volume)}],
        has_cost_plus_commission=False,
    )


def _worth(state: State, user: User) -> Decimal:
    """Wallets in USD: cash one to one, coins at their USD book's price; what has no USD book counts nothing."""
    total = ZERO
    for wallet in state.ledger.wallets(user.name):
        floor = state.floors.get(f"{wallet.currency}-USD")
        price = Decimal(1) if wallet.currency in _CASH else (floor and floor.facts().reference) or ZERO
        total += (wallet.available + wallet.hold) * price
    return total
