"""The main job from outside: it sets itself up, trades, shows itself, and ends with nothing resting."""

import fcntl
import json
import urllib.request

import pytest

from tests.support.installation import ROOT, running, wait_for

STATUS = {
    "mode", "venue", "state", "halt", "epoch", "armed", "uptime_s", "equity_usd", "daily_pnl_usd", "drawdown_pct",
    "exposure_pct", "open_orders", "positions", "cycle", "watchdog", "config_hash", "versions",
}  # fmt: skip
ACTOR = {
    "name", "parent", "kind", "alive", "incarnation", "restarts", "mailbox_depth", "oldest_s", "last_message",
    "last_useful_age_s", "handled", "errors", "state",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.req("SI1", "X2")
@pytest.mark.timeout(240)
def test_it_trades_within_a_minute_and_leaves_nothing_resting(tmp_path):
    state = tmp_path / "state"
    with running(state, "--seed", "1") as trader:
        fills = wait_for("a first fill", lambda: trader.view("fills"), 60.0)
        assert fills[-1]["side"] == "BUY"
        status = trader.view("status")
        assert set(status) >= STATUS
        assert status["state"] == "active"
        assert all(set(actor) >= ACTOR for actor in trader.view("actors"))
        assert trader.view("positions")[0]["stop_price"]
        with urllib.request.urlopen(trader.facts()["metrics_url"], timeout=5) as exposition:
            assert b"trader_account_value_usd" in exposition.read()
        with urllib.request.urlopen(trader.facts()["health_url"], timeout=5) as health:
            assert json.load(health)["ok"]
        second, said = trader.verb("run", within_s=20.0)
        assert second == 4, said
        assert trader.stop() == 0
    with (state / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.skipif(not (ROOT.parent / "shared" / "data").is_dir(), reason="the recorded market data is not here")
def test_it_trades_a_real_tape_or_says_why_not(tmp_path):
    tape = ROOT.parent / "shared" / "data" / "trades" / "coinbase_2025-10-10"
    market = f"tape:{tape},from=2025-10-10T18:00,speed=20"
    with running(tmp_path / "state", "--market", market) as trader:
        wait_for("some cycles", lambda: trader.view("status")["cycle"]["n"] >= 6, 90.0)
        if not trader.view("fills"):
            assert trader.view("status")["eligible"] > 0
            for product in ("AVAX-USD", "LINK-USD", "DOGE-USD", "ADA-USD", "DOT-USD"):
                assert trader.view("why", product)["verdict"], f"no word about {product}"
        assert trader.stop() == 0
