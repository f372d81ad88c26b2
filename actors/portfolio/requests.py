"""What operators ask of the books: a new peak, and the ledger derived anew."""

from decimal import Decimal

from msgspec.structs import replace

from actors.portfolio import valuation
from actors.portfolio.rebuilding import rebuild
from actors.portfolio.state import Portfolio, Rebuilding
from protocol import codec
from protocol.base import NO_EFFECTS, Effect, Effects
from protocol.effects import Commit, Tell
from protocol.lifecycle import StoreRecord
from protocol.money import ZERO
from protocol.portfolio import Correction, PeakReset, PositionsRebuilt, RebuildPositions, ResetPeak
from protocol.risk import VerbAnswered, VerbOutcome
from protocol.venue import AccountsListed, FillsListed, ListAccounts, ListFills, QueryFailed

ACCOUNTS, FILLS = "rebuild/accounts", "rebuild/fills"


def reset_peak(
    state: Portfolio, asked: ResetPeak, nav_usd: Decimal | None, now_ns: int
) -> tuple[Portfolio, PeakReset | None, Effect]:
    """Measure the drawdown from `nav_usd` on; refused while it is unknown."""
    periods = state.ledger.periods
    if nav_usd is None or periods is None:
        text = "no net value is measured now: nothing was reset"
        return state, None, _answer(asked.request_id, asked.reply_to, text)
    reset = PeakReset(before_usd=periods.peak_usd, peak_usd=nav_usd, by=asked.by, at_ns=now_ns)
    state = replace(state, ledger=replace(state.ledger, periods=replace(periods, peak_usd=nav_usd)))
    text = f"the peak is {nav_usd:.2f} USD, it was {periods.peak_usd:.2f}"
    return state, reset, _answer(asked.request_id, asked.reply_to, text, VerbOutcome.DONE)


def begin_rebuild(state: Portfolio, asked: RebuildPositions) -> tuple[Portfolio, Effects]:
    """Ask the venue for everything; one rebuild at a time, and none while something is on its way."""
    if state.rebuilding is not None:
        return state, (_answer(asked.request_id, asked.reply_to, "a rebuild is under way"),)
    since_ns = max(0, state.ledger.opened_ns - state.settings.overlap_ns)
    return replace(state, rebuilding=Rebuilding(asked=asked)), (
        Tell(to="gateway", message=ListFills(request_id=FILLS, reply_to="portfolio", since_ns=since_ns)),
    )


def fills_told(state: Portfolio, message: FillsListed) -> tuple[Portfolio, Effects]:
    """The fills are in; the balances are asked for after them, so that they hold all that these tell."""
    if state.rebuilding is None:
        return state, NO_EFFECTS
    ask = ListAccounts(request_id=ACCOUNTS, reply_to="portfolio")
    rebuilding = replace(state.rebuilding, fills=message.fills)
    return replace(state, rebuilding=rebuilding), (Tell(to="gateway", message=ask),)


def failed(state: Portfolio, message: QueryFailed) -> tuple[Portfolio, Effects]:
    """The venue could not be asked: nothing is changed."""
    if state.rebuilding is None:
        return state, NO_EFFECTS
    asked = state.rebuilding.asked
    text = f"nothing was rebuilt: {message.kind}, {message.detail}"
    return replace(state, rebuilding=None), (_answer(asked.request_id, asked.reply_to, text),)


def rebuilt(state: Portfolio, message: AccountsListed, key: str, now_ns: int) -> tuple[Portfolio, Effects]:
    """Put the derived ledger in place, durable with its corrections, and tell risk that it may be believed again."""
    if state.rebuilding is None:
        return state, NO_EFFECTS
    asked, fills = state.rebuilding.asked, state.rebuilding.fills
    ended = replace(state, rebuilding=None)
    if state.queue or any(state.moving(order) for order in state.orders.values()):
        return ended, (_answer(asked.request_id, asked.reply_to, "orders or fills are on their way: ask again"),)
    ledger, corrections = rebuild(state.ledger, fills, {**state.past, **state.orders}, message.balances)
    ledger = replace(ledger, periods=valuation.transferred(ledger.periods, _worth(state, corrections)))
    done = PositionsRebuilt(corrections=corrections, by=asked.by, at_ns=now_ns)
    named = "; ".join(f"{c.kind} {c.subject}: {c.ledger} -> {c.venue}" for c in corrections) or "no difference"
    commit = Commit(records=(StoreRecord(key=key, value=codec.encode_value(ledger)),), journal=(done,))
    told = _answer(asked.request_id, asked.reply_to, f"rebuilt: {named}", VerbOutcome.DONE)
    state = replace(ended, ledger=ledger, balances=message.balances, suspects=())
    return state, (commit, Tell(to="risk", message=done), told)


def _worth(state: Portfolio, corrections: tuple[Correction, ...]) -> Decimal:
    """What the named balance differences are worth: they are no profit and no loss of the period."""
    total = ZERO
    for c in corrections:
        if c.kind == "balance":
            price = Decimal(1) if c.subject in valuation.CASH else valuation.price(c.subject, state.quotes)
            total += (Decimal(c.venue) - Decimal(c.ledger)) * (price or ZERO)
    return total


def _answer(request_id: str, reply_to: str, text: str, outcome: VerbOutcome = VerbOutcome.REFUSED) -> Tell:
    return Tell(to=reply_to, message=VerbAnswered(request_id=request_id, outcome=outcome, text=text))
