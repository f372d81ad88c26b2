"""It trades, and it trades right: weeks of the whole tree at a bar's rhythm against a plain loop that decides alone.

Every kind of trigger, regime, exit and sizing occurs in some of these weeks; the trades of each are those of the loop,
to the cent. The weeks here are the fewest that show everything; the environment variable `TRADER_WEEKS=20` adds the
week of every seed, and a week of each recording that has BTC and a second product.
"""

import os
from collections.abc import Iterable
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from actors.venue.synthetic_plant import scenario_of
from ops.simulate.world import shipped
from protocol.strategy import Regime
from tests.support.plain_loop import PlainLoop
from tests.support.weeks import live, of_seed, of_tape, record_of

CANDLES = Path(__file__).resolve().parents[2] / "../shared/data/candles"
SEEDS = range(1, int(os.environ.get("TRADER_WEEKS", "0")) + 1)
RECORDINGS = (  # where a week begins that has ten days before it
    "binance_2021-05_1m,from=2021-05-08T00:00,as=USD",
    "binance_2021-09_1m,from=2021-10-05T00:00,as=USD",
    "binance_2022-05_5m,from=2022-05-06T00:00,as=USD",
    "binance_2025-01_1m,from=2025-01-28T00:00,as=USD",
    "binance_2025-03_1m,from=2025-03-12T00:00,as=USD",
    "binance_2025-06_1m,from=2025-07-09T00:00,as=USD",
    "binance_perp_2022-05_1m,from=2022-05-11T00:00,as=USD",
    "bitfinex_2018-01_1m,from=2018-01-12T00:00",
    "bitfinex_2019-06_1m,from=2019-06-20T00:00",
    "bybit_2025-04_5m,from=2025-04-14T00:00,as=USD",
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


# --- policies whose limits bind -----------------------------------------------------------------------------------


def small_caps(policy):
    """Caps of position, asset and theme below what entries ask for."""
    tighter = {"LAYER1": Decimal("1.6"), "MEME": Decimal("0.35")}
    caps = tuple(replace(cap, cap_pct=tighter.get(cap.theme, cap.cap_pct)) for cap in policy.risk.theme_caps)
    first, second, third = policy.universe.tiers
    tiers = (first, replace(second, max_allocation_pct=Decimal("0.6")), third)
    return replace(
        policy,
        risk=replace(policy.risk, max_position_size_pct=Decimal("1.0"), theme_caps=caps),
        universe=replace(policy.universe, tiers=tiers),
    )


def small_whole(policy):
    """Small orders, little at risk in the whole and by the strategy, and a trailing stop."""
    rows = tuple(replace(row, max_at_risk_pct=Decimal("2.0")) for row in policy.strategy.strategies)
    return replace(
        policy,
        risk=replace(policy.risk, max_total_at_risk_pct=Decimal("1.6")),
        sizing=replace(policy.sizing, max_order_usd=Decimal(70)),
        strategy=replace(policy.strategy, strategies=rows),
        exits=replace(policy.exits, trailing_stop_pct=Decimal(3)),
    )


def coins_apart(policy):
    """What the account holds besides is its owner's, and uses no cap."""
    return replace(policy, risk=replace(policy.risk, count_external_positions=False))


LITTLE_CASH = {"USD": Decimal(190), "USDC": Decimal(0), "BTC": Decimal("0.09")}

# --- the weeks ----------------------------------------------------------------------------------------------------


def kinds(group: str, *names: str) -> set[str]:
    return {f"{group}:{name}" for name in names}


WEEKS = {  # how days are made, and what is seen in them
    "all regimes": (
        partial(of_seed, 8, "AVAX ALGO ADA"),
        kinds("regime", "bull", "chop", "bear", "crash")
        | kinds("trigger", "price_move", "breakout", "reversal", "momentum", "mean_reversion")
        | kinds("exit", "stop_loss", "take_profit", "max_hold")
        | kinds("sizing", "ALLOW"),
    ),
    "caps of position, asset and theme": (
        partial(of_seed, 4, "AVAX DOGE XLM", days=3, change=small_caps),
        kinds("sizing", "SIZE by position", "SIZE by asset", "SIZE by theme", "DROP by theme"),
    ),
    "caps of order, whole and strategy": (
        partial(of_seed, 3, "XLM ATOM XRP", days=3, change=small_whole),
        kinds("sizing", "SIZE by order", "SIZE by total")
        | kinds("exit", "trailing_stop")
        | {"passed:aggregate:strategy_cap"},
    ),
    "little cash": (
        partial(of_seed, 4, "AVAX DOGE XLM", days=2, change=coins_apart, opening=LITTLE_CASH),
        kinds("sizing", "SIZE by funds") | {"refused:position_size_too_small"},
    ),
}
RECORDED = {
    "a fall becomes a crash": (
        partial(of_tape, "binance_2021-05_1m,from=2021-05-12T12:00,as=USD", coins="ETH DOGE XRP ADA", days=1),
        kinds("exit", "crash_stop") | kinds("trigger", "volume_spike"),
    ),
}


SIZED = ("position", "asset", "theme", "total", "order", "funds")


def everything() -> Iterable[str]:
    """What must be seen in some week; what passes a strategy's cap is dropped before risk could size it."""
    allowed = {signal for row in shipped().regime.rows for signal in row.allowed_signals}
    yield from kinds("trigger", *allowed)
    yield from kinds("regime", *(regime.value for regime in Regime))
    yield from kinds("exit", "stop_loss", "trailing_stop", "take_profit", "max_hold", "crash_stop")
    yield from kinds("sizing", "ALLOW", *(f"SIZE by {cap}" for cap in SIZED))
    yield "sizing:DROP by theme"
    yield from ("passed:aggregate:strategy_cap", "refused:position_size_too_small")


def test_the_weeks_together_show_everything():
    shown = set().union(*(seen for _, seen in (WEEKS | RECORDED).values()))
    assert sorted(set(everything()) - shown) == []


# --- the comparison -----------------------------------------------------------------------------------------------


def traded_alike(week):
    """Live the week twice: in the tree and in the loop; what happened in it."""
    record, alone = record_of(live(week)), sorted(PlainLoop(week).run())
    rates = {regime: round(record.entries_a_day(regime), 2) for regime in record.entered}
    print(week.name, *week.products, "trades", len(record.trades), "entries a day", rates, dict(record.happened))
    differing = sorted(set(record.trades) ^ set(alone))
    assert [("loop" if trade in alone else "tree", trade) for trade in differing[:10]] == []
    assert record.trades == alone
    return record


def enough(record):
    """Where a calm or a rising market lasted for days, something was bought each day on the average."""
    lasted = (regime for regime in ("chop", "bull") if record.happened[f"regime:{regime}"] >= 288)
    return {regime: record.entries_a_day(regime) for regime in lasted if record.entries_a_day(regime) < 1}


@pytest.mark.req("S1", "E1", "U3")
@pytest.mark.parametrize(("made", "seen"), WEEKS.values(), ids=WEEKS)
def test_what_the_plain_loop_trades_and_nothing_else(made, seen):
    record = traded_alike(made())
    assert sorted(seen - record.happened.keys()) == []
    assert enough(record) == {}


def recorded(made):
    if not CANDLES.is_dir():
        pytest.skip("the recorded market data is not here")
    return partial(made.func, f"tape:{CANDLES}/{made.args[0]}", **made.keywords)()


@pytest.mark.req("S1", "E1", "U3")
@pytest.mark.parametrize(("made", "seen"), RECORDED.values(), ids=RECORDED)
def test_on_recorded_days_too(made, seen):
    record = traded_alike(recorded(made))
    assert sorted(seen - record.happened.keys()) == []


@pytest.mark.skipif(not SEEDS, reason="TRADER_WEEKS is not set")
@pytest.mark.parametrize("seed", SEEDS)
def test_every_seed(seed):
    coins = " ".join(product.removesuffix("-USD") for product in scenario_of(seed).planted[:3])
    assert enough(traded_alike(of_seed(seed, coins))) == {}


@pytest.mark.skipif(not SEEDS, reason="TRADER_WEEKS is not set")
@pytest.mark.parametrize("text", RECORDINGS)
def test_every_recording(text):
    traded_alike(recorded(partial(of_tape, text, coins="ETH SOL XRP ADA DOGE")))
