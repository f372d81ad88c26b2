"""The library's small strategies: what each buys, and the first condition that ends everything else."""

from decimal import Decimal

import pytest

from actors.strategy.base import Bounds, MarketWindow, StrategyContext
from actors.strategy.library.breakout import Breakout
from actors.strategy.library.mean_reversion import MeanReversion
from actors.strategy.library.momentum import Momentum
from actors.strategy.screen import screened
from protocol.market import Bar
from protocol.strategy import Asset, Regime
from tests.support.desk_scenes import BTC, NOON_NS, policy

D = Decimal
BOUNDS = Bounds(
    tier_base_pct=(D("1.5"), D(1), D("0.5")),
    tier_cap_pct=(D(3), D(2), D(1)),
    max_stop_loss_pct=D(10),
    min_conviction=0.4,
    size_mult=D(1),
    least_pct=D("0.1"),
)


def context(closes, *, regime=Regime.CHOP, volume=10.0):
    """Hours with these closes; `volume` is the newest hour's, all the others have 10."""
    bars = [Bar(start_s=i * 3600, open=c, high=c, low=c, close=c, volume=10.0) for i, c in enumerate(closes)]
    last = len(bars) - 1
    close = closes[-1]
    bars[last] = Bar(start_s=last * 3600, open=close, high=close, low=close, close=close, volume=volume)
    window = MarketWindow(product_id=BTC, hours=tuple(bars), quarters=(), fives=())
    asset = Asset(
        product_id=BTC, tier=1, theme="LAYER1", bid=D(99), ask=D(101), spread_bps=2.0, depth_usd=1e6, volume_24h_usd=1e8
    )
    return StrategyContext(
        cycle=1,
        now_ns=NOON_NS,
        regime=regime,
        assets=(asset,),
        triggers=(),
        windows=(window,),
        held=(),
        bounds=BOUNDS,
    )


def rising(percent, hours=24):
    """An even rise over the newest day."""
    return [100.0] * 10 + [100.0 + percent * i / hours for i in range(1, hours + 1)]


FLAT, WAVES = [100.0] * 60, [100.0, 101.0] * 30
CASES = {
    "momentum buys a rise": (Momentum(), rising(6), {"regime": Regime.BULL}, None),
    "just 4 % is enough": (Momentum(), rising(4), {}, None),
    "a smaller rise is not": (Momentum(), rising(3.9), {}, "day_rise"),
    "a rise that is over is not": (Momentum(), [*rising(9, 18)[4:], *[109.0] * 7], {}, "still_rising"),
    "far under its high": (Momentum(), [*rising(20)[:-3], 110.0, 122.0, 120.0], {}, "off_high"),
    "a bear is no time for it": (Momentum(), rising(6), {"regime": Regime.BEAR}, "regime_falling"),
    "a day is not known": (Momentum(), rising(6)[-24:], {}, "insufficient_candles"),
    "mean reversion buys what fell far": (MeanReversion(), [*WAVES, 97.0], {}, None),
    "not what fell little": (MeanReversion(), [*WAVES, 100.0], {}, "z_score"),
    "not what rose": (MeanReversion(), [*WAVES, 105.0], {}, "z_score"),
    "nothing moves": (MeanReversion(), FLAT, {}, "z_score"),
    "a bull is no time for it": (MeanReversion(), [*WAVES, 97.0], {"regime": Regime.BULL}, "regime_not_chop"),
    "two days are not known": (MeanReversion(), WAVES[:47], {}, "insufficient_candles"),
    "breakout buys above the channel": (Breakout(), [*FLAT, 100.1], {"volume": 30.0}, None),
    "not at the channel's high": (Breakout(), [*FLAT, 100.0], {"volume": 30.0}, "channel_high"),
    "not without volume": (Breakout(), [*FLAT, 100.1], {"volume": 14.9}, "volume_ratio"),
    "just the volume is enough": (Breakout(), [*FLAT, 100.1], {"volume": 15.0}, None),
    "a crash is no time for it": (Breakout(), [*FLAT, 100.1], {"regime": Regime.CRASH}, "regime_crash"),
    "the channel is not known": (Breakout(), FLAT[:55], {}, "insufficient_candles"),
}


@pytest.mark.req("STR1", "STR4")
@pytest.mark.parametrize(("strategy", "closes", "changes", "code"), CASES.values(), ids=CASES)
def test_the_first_condition_that_is_missed_is_named(strategy, closes, changes, code):
    given = context(closes, **changes)
    bought, passed = strategy.generate_proposals(given), strategy.passed_over(given)
    assert [row.code for row in passed] == ([code] if code else [])
    assert len(bought) == (0 if code else 1)


BOUGHT = [(strategy, closes, changes) for strategy, closes, changes, code in CASES.values() if code is None]


@pytest.mark.req("R1", "R2")
@pytest.mark.parametrize(("strategy", "closes", "changes"), BOUGHT)
def test_what_they_propose_is_well_formed(strategy, closes, changes):
    given = context(closes, **changes)
    found = screened(strategy.stage, strategy.generate_proposals(given), given, policy().strategy.canary)
    assert [log.event for log in found.logs] == []
    assert all(row.code == "min_conviction" for row in found.passed)
    assert len(found.proposals) + len(found.passed) == 1


def test_parameters_move_the_bounds():
    assert Momentum(rise_pct=D(3)).passed_over(context(rising(3.9))) == []
    assert MeanReversion(deviations=D(100)).generate_proposals(context([*WAVES, 97.0])) == []
    assert Breakout(volume_mult=D(4)).generate_proposals(context([*FLAT, 100.1], volume=30.0)) == []
