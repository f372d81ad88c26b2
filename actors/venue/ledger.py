"""Who owns what: wallets of available and held money, the market's own account, and the venue's fees.

Every transfer has two legs, so that per currency the wallets, the market's account, the fees and what was paid in
from outside add up to zero at all times.
"""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from actors.venue.exact import ZERO
from actors.venue.lag import Rng, draw_id


class Wallet:
    """One currency of one user. `available` + `hold` is the total; neither is ever negative."""

    __slots__ = ("available", "created_ns", "currency", "hold", "updated_ns", "uuid")

    def __init__(self, uuid: str, currency: str, now_ns: int) -> None:
        self.uuid = uuid
        self.currency = currency
        self.available = ZERO
        self.hold = ZERO
        self.created_ns = now_ns
        self.updated_ns = now_ns


class Balance(NamedTuple):
    """One currency's trial balance; the parts add up to zero. `outside` is what was paid in, negated."""

    wallets: Decimal
    market: Decimal
    fees: Decimal
    outside: Decimal


Totals = dict[str, tuple[Decimal, Decimal, Decimal]]
"""Per currency the market's account, the fees and the outside."""


class Ledger:
    """All money of the venue. Amounts are never negative but where said."""

    def __init__(self, rng: Rng) -> None:
        self._rng = rng
        self._wallets: dict[str, dict[str, Wallet]] = {}
        self._changed: dict[tuple[str, str], Wallet] = {}
        self._market: dict[str, Decimal] = defaultdict(lambda: ZERO)
        self._fees: dict[str, Decimal] = defaultdict(lambda: ZERO)
        self._outside: dict[str, Decimal] = defaultdict(lambda: ZERO)

    def totals(self) -> Totals:
        """Per currency what the market's account, the fees and the outside have."""
        currencies = {*self._market, *self._fees, *self._outside}
        return {name: (self._market[name], self._fees[name], self._outside[name]) for name in sorted(currencies)}

    def restore(self, users: Iterable[str], wallets: Iterable[tuple[str, Wallet]], totals: Totals) -> None:
        """Begin with other books in the place of these. Every wallet counts as changed."""
        self._wallets = {user: {} for user in users}
        for user, wallet in wallets:
            self._wallets[user][wallet.currency] = wallet
        self._changed = {(user, wallet.currency): wallet for user in self._wallets for wallet in self.wallets(user)}
        for account, part in ((self._market, 0), (self._fees, 1), (self._outside, 2)):
            account.clear()
            account.update({currency: parts[part] for currency, parts in totals.items()})

    def open(self, user: str) -> None:
        """Begin a user's books. Raises ValueError: known user."""
        if user in self._wallets:
            raise ValueError(f"user {user!r} exists")
        self._wallets[user] = {}

    def wallets(self, user: str) -> list[Wallet]:
        """A user's wallets in the order in which they were opened."""
        return list(self._wallets[user].values())

    def wallet(self, user: str, currency: str, now_ns: int) -> Wallet:
        """The wallet, opened when it is first needed."""
        wallets = self._wallets[user]
        if currency not in wallets:
            wallets[currency] = Wallet(draw_id(self._rng), currency, now_ns)
        return wallets[currency]

    def available(self, user: str, currency: str) -> Decimal:
        """What the user can spend; zero without a wallet."""
        wallet = self._wallets[user].get(currency)
        return ZERO if wallet is None else wallet.available

    def deposit(self, user: str, currency: str, amount: Decimal, now_ns: int) -> Wallet:
        """Money from outside (negative: to outside). Raises ValueError: more than is available leaves."""
        if self.available(user, currency) + amount < 0:
            raise ValueError(f"{user} has less than {-amount} {currency} available")
        wallet = self._touch(user, currency, now_ns)
        wallet.available += amount
        self._outside[currency] -= amount
        return wallet

    def hold(self, user: str, currency: str, amount: Decimal, now_ns: int) -> None:
        """Set money aside for an order (negative: free it)."""
        wallet = self._touch(user, currency, now_ns)
        wallet.available -= amount
        wallet.hold += amount
        assert wallet.available >= 0
        assert wallet.hold >= 0

    def pay_market(self, user: str, currency: str, amount: Decimal, now_ns: int) -> None:
        """Held money goes to the market's account."""
        wallet = self._touch(user, currency, now_ns)
        wallet.hold -= amount
        assert wallet.hold >= 0
        self._market[currency] += amount

    def pay_user(self, user: str, currency: str, amount: Decimal, now_ns: int) -> None:
        """The market's account pays a user."""
        self._touch(user, currency, now_ns).available += amount
        self._market[currency] -= amount

    def collect_fee(self, currency: str, amount: Decimal) -> None:
        """A fee, already taken from its user into the market's account, goes to the venue."""
        self._market[currency] -= amount
        self._fees[currency] += amount

    def trial_balance(self) -> dict[str, Balance]:
        """Who has what of each currency that was ever moved."""
        totals: dict[str, Decimal] = defaultdict(lambda: ZERO)
        for wallets in self._wallets.values():
            for currency, wallet in wallets.items():
                totals[currency] += wallet.available + wallet.hold
        currencies = {*totals, *self._market, *self._fees, *self._outside}
        return {
            currency: Balance(totals[currency], self._market[currency], self._fees[currency], self._outside[currency])
            for currency in sorted(currencies)
        }

    def drain_changes(self) -> list[tuple[str, Wallet]]:
        """Wallets that changed since the last drain."""
        changed, self._changed = self._changed, {}
        return [(user, wallet) for (user, _), wallet in changed.items()]

    def _touch(self, user: str, currency: str, now_ns: int) -> Wallet:
        wallet = self.wallet(user, currency, now_ns)
        wallet.updated_ns = now_ns
        self._changed[(user, currency)] = wallet
        return wallet
