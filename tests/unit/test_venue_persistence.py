"""What the embedded venue still knows after it died: money, orders, fills, client ids, an operator's settings."""

import json
import subprocess
import sys
from decimal import Decimal
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.venue.core import Exchange
from actors.venue.fees import FeeSchedule, FeeTier
from actors.venue.instants import DAY_NS, rfc3339
from actors.venue.keeper import Keeper
from actors.venue.lag import Unpleasantness, calm
from actors.venue.persistence import changes, restore, save
from actors.venue.state_file import CorruptStateError, StateFile
from tests.support.trading_floor import BTC, MS_NS, SECOND_NS, START_NS, USER, Floor, d, product
from tests.support.venue_server import ROOT, Client

LAGGING = Unpleasantness(pending_ms=(50, 50), cancel_ms=(100, 100), list_ms=(0, 0), fill_ms=(0, 0), repeat_filled=False)


def successor(now_ns, bids="100x5 99x5", asks="101x5 102x5", unpleasantness=None):
    """The exchange of the next run: other identities, a market of its own, the user's opening balance."""
    floor = Floor(seed=99, ladder=False, unpleasantness=unpleasantness)
    floor.now_ns = now_ns
    floor.quote(bids, asks)
    floor.market("BUY", "0.001")
    floor.market("SELL", "0.001")
    floor.quote(bids, asks)
    floor.exchange.drain()
    return floor


def reborn(floor, away_ms=1000, **market):
    """The same customer's view of the venue after a restart from one whole state."""
    after = successor(floor.now_ns + int(away_ms * MS_NS), **market)
    restore(after.exchange, save(floor.exchange), after.now_ns)
    return after


def accounts(floor):
    return [(one.uuid, one.currency, one.available_balance.value, one.hold.value) for one in wallets(floor)]


def wallets(floor):
    return floor.exchange.accounts(USER, limit=250).accounts


def whole_money(exchange):
    return all(sum(balance) == 0 for balance in exchange.trial_balance().values())


def busy_floor(**options):
    """Fills on both sides, a resting order with a partial fill, one cancelled, one refused."""
    floor = Floor(**options)
    floor.limit("BUY", "1.5", "101")
    floor.limit("SELL", "0.7", "100", post_only=False)
    part = floor.limit("BUY", "2", "100.5")
    floor.market("SELL", "0.5")
    gone = floor.limit("BUY", "1", "97")
    floor.cancel(gone)
    floor.place("BUY", "limit_limit_gtc", base_size="1000", limit_price="100")
    return floor, part


def test_balances_orders_fills_and_fee_volume_are_the_same_after_a_restart():
    floor, part = busy_floor()
    after = reborn(floor)
    assert accounts(after) == accounts(floor)
    assert [order.order_id for order in after.listed()] == [order.order_id for order in floor.listed()]
    assert after.order(part) == floor.order(part)
    assert after.fills() == floor.fills()
    assert len(after.fills()) >= 3
    before, now = (one.exchange.transaction_summary(USER, one.now_ns) for one in (floor, after))
    assert before.total_volume == now.total_volume > 0
    assert after.exchange.portfolio_id(USER) == floor.exchange.portfolio_id(USER)
    assert whole_money(after.exchange)


def test_a_client_id_used_before_the_restart_is_answered_with_the_original_order():
    floor = Floor()
    for cid, price in (("rests", "99"), ("filled", "101")):
        floor.place("BUY", "limit_limit_gtc", cid=cid, base_size="1", limit_price=price)
    originals = {order.client_order_id: order.order_id for order in floor.listed()}
    after = reborn(floor)
    for cid, order_id in originals.items():
        answer = after.place("BUY", "limit_limit_gtc", cid=cid, base_size="1", limit_price="98")
        assert answer.success_response.order_id == order_id
    assert len(after.listed()) == 2


def test_numbers_go_on_where_they_stopped_and_no_identity_returns():
    floor, _ = busy_floor()
    after = reborn(floor)
    after.limit("BUY", "1", "101", cid="new")
    ids = [order.order_id for order in after.listed()]
    entries = [fill.entry_id for fill in after.fills()]
    assert len(set(ids)) == len(ids) == len(floor.listed()) + 1
    assert len(set(entries)) == len(entries) > len(floor.fills())
    assert after.fills()[0].order_id == ids[0], "the newest fill is listed first"


def test_a_resting_order_goes_to_the_back_of_the_queue_at_its_price():
    floor = Floor()
    mine = floor.limit("BUY", "1", "100")
    after = reborn(floor)
    after.market("SELL", "5")
    assert after.order(mine).filled_size == "0"
    after.market("SELL", "0.4")
    assert after.order(mine).filled_size == "0.4"


def test_a_resting_order_that_the_new_market_crosses_trades_at_its_own_price_as_maker():
    floor = Floor()
    mine = floor.limit("BUY", "3", "100", post_only=True)
    after = reborn(floor, bids="90x5", asks="91x1 92x1 101x5")
    order = after.order(mine)
    assert (order.status, order.filled_size, order.average_filled_price) == ("OPEN", "2", "100")
    assert {fill.liquidity_indicator for fill in after.fills()} == {"MAKER"}
    assert after.asks() == [(d(101), d(5))]
    assert whole_money(after.exchange)


def test_a_resting_order_that_the_new_market_crosses_in_full_is_filled_and_holds_nothing():
    floor = Floor()
    mine = floor.limit("SELL", "1", "101")
    after = reborn(floor, bids="120x5", asks="121x5")
    assert after.order(mine).status == "FILLED"
    assert after.balance("BTC")[1] == 0


@pytest.mark.parametrize(
    ("what", "kind", "members", "status"),
    [
        pytest.param("", "limit_limit_gtc", {"limit_price": "99"}, "OPEN", id="an order not yet in the book enters it"),
        pytest.param("", "sor_limit_ioc", {"limit_price": "101"}, "CANCELLED", id="an immediate order is cancelled"),
        pytest.param("cancel", "limit_limit_gtc", {"limit_price": "99"}, "CANCELLED", id="a queued cancel happens"),
        pytest.param(
            "",
            "limit_limit_gtd",
            {"limit_price": "99", "end_time": rfc3339(START_NS + 10 * SECOND_NS)},
            "EXPIRED",
            id="a date that passed meanwhile expires its order",
        ),
        pytest.param(
            "",
            "limit_limit_gtd",
            {"limit_price": "99", "end_time": rfc3339(START_NS + DAY_NS)},
            "OPEN",
            id="a date to come keeps its order open",
        ),
    ],
)
def test_what_was_under_way(what, kind, members, status):
    floor = Floor(unpleasantness=LAGGING)
    mine = floor.placed("BUY", kind, base_size="1", **members)
    if what == "cancel":
        floor.wait(60)
        floor.cancel(mine)
    after = reborn(floor, away_ms=60_000, unpleasantness=LAGGING)
    assert after.order(mine).status == status
    held = after.balance("USD")[1]
    assert (held > 0) == (status == "OPEN")


def test_an_order_with_a_date_to_come_still_expires_then():
    floor = Floor()
    end = rfc3339(START_NS + 30 * SECOND_NS)
    mine = floor.placed("BUY", "limit_limit_gtd", base_size="1", limit_price="99", end_time=end)
    after = reborn(floor)
    after.wait(31_000)
    assert after.order(mine).status == "EXPIRED"


def test_a_stop_waits_for_its_trigger_again_and_fires():
    floor = Floor()
    members = {"limit_price": "95", "stop_price": "98", "stop_direction": "STOP_DIRECTION_STOP_DOWN"}
    mine = floor.placed("SELL", "stop_limit_stop_limit_gtc", base_size="1", **members)
    after = reborn(floor)
    assert after.order(mine).trigger_status == "STOP_PENDING"
    after.quote("97x5", "98x5")
    after.market("SELL", "1")
    assert (after.order(mine).trigger_status, after.order(mine).filled_size) == ("STOP_TRIGGERED", "1")


def test_an_operators_settings_outlive_the_run_and_a_faults_do_not():
    floor = Floor()
    rates = FeeTier(name="Set", usd_from=d(0), maker_rate=d("0.001"), taker_rate=d("0.002"))
    floor.exchange.set_product(BTC, floor.now_ns, limit_only=True)
    floor.exchange.set_product("ETH-USD", floor.now_ns, lasting=False, cancel_only=True)
    floor.exchange.set_fees(FeeSchedule(tiers=(rates,)))
    after = reborn(floor)
    assert after.exchange.spec(BTC).limit_only
    assert not after.exchange.spec("ETH-USD").cancel_only
    assert after.exchange.transaction_summary(USER, after.now_ns).fee_tier.taker_fee_rate == "0.002"


def test_a_setting_of_the_wrong_type_is_refused_before_it_could_spoil_the_file():
    floor = Floor()
    with pytest.raises(ValueError, match="bool"):
        floor.exchange.set_product(BTC, floor.now_ns, limit_only="yes")
    assert not floor.exchange.spec(BTC).limit_only


def test_an_order_on_a_product_that_the_new_market_lacks_can_still_be_cancelled():
    floor = Floor()
    mine = floor.limit("BUY", "1", "99")
    after = Exchange((product("ETH-USD"),), Random(3), floor.now_ns, unpleasantness=calm())
    restore(after, save(floor.exchange), floor.now_ns)
    assert after.cancel(USER, [mine], floor.now_ns)[0].success
    assert after.order(USER, mine, floor.now_ns).status == "CANCELLED"
    assert whole_money(after)


def test_a_state_whose_money_does_not_add_up_is_refused():
    floor, _ = busy_floor()
    data = save(floor.exchange)
    some = next(one for one in wallets(floor) if one.currency == "USD").available_balance.value.encode()
    assert data.count(some) == 1
    with pytest.raises(CorruptStateError, match="add up"):
        restore(successor(floor.now_ns).exchange, data.replace(some, b"9" * len(some)), floor.now_ns)


def test_a_state_is_never_poured_over_orders():
    floor, _ = busy_floor()
    with pytest.raises(ValueError, match="without orders"):
        restore(floor.exchange, save(floor.exchange), floor.now_ns)


# --- any course of events, kept change by change --------------------------------------------------------------------

actions = st.lists(
    st.tuples(
        st.sampled_from(["limit", "ioc", "market", "cancel", "sell", "buy", "quote", "wait", "deposit", "edit"]),
        st.integers(1, 40),
        st.integers(1900, 2100),
    ),
    max_size=25,
)


def perform(floor, action, size, ticks):
    amount, price = str(size * d("0.1")), str(ticks * d("0.05"))
    side = "BUY" if ticks % 2 else "SELL"
    live = [order.order_id for order in floor.exchange.open_orders(USER)]
    match action:
        case "limit":
            floor.place(side, "limit_limit_gtc", base_size=amount, limit_price=price)
        case "ioc":
            floor.place(side, "sor_limit_ioc", base_size=amount, limit_price=price)
        case "market":
            floor.place("BUY", "market_market_ioc", quote_size=str(size * 10))
        case "cancel" if live:
            floor.cancel(live[size % len(live)])
        case "sell" | "buy":
            floor.market(action.upper(), amount)
        case "quote":
            floor.quote(f"{price}x5", f"{d(price) + 1}x5")
        case "wait":
            floor.wait(size * 5)
        case "deposit":
            floor.exchange.deposit(USER, "USD", d(size), floor.now_ns)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions)
def test_a_whole_state_and_its_changes_give_what_a_new_whole_state_gives(course):
    floor = Floor(unpleasantness=LAGGING)
    base, later, first = save(floor.exchange), [], 1
    for action, size, ticks in course:
        perform(floor, action, size, ticks)
        change = changes(floor.exchange, floor.exchange.drain(), first)
        first = floor.exchange.state.orders.counters()[1]
        later += [change] if change else []
    piecemeal, at_once = successor(floor.now_ns), successor(floor.now_ns)
    restore(piecemeal.exchange, base, floor.now_ns, later)
    restore(at_once.exchange, save(floor.exchange), floor.now_ns)
    assert piecemeal.listed(limit=1000) == at_once.listed(limit=1000)
    assert piecemeal.fills(limit=1000) == at_once.fills(limit=1000)
    assert {order.order_id for order in piecemeal.listed(limit=1000)} == {
        one.order_id for one in floor.listed(limit=1000)
    }
    assert {fill.entry_id for fill in floor.fills(limit=1000)} <= {one.entry_id for one in piecemeal.fills(limit=1000)}
    assert accounts(piecemeal) == accounts(at_once)
    assert whole_money(piecemeal.exchange)
    assert piecemeal.exchange.trial_balance() == at_once.exchange.trial_balance()
    open_holds = sum(d(order.outstanding_hold_amount) for order in piecemeal.exchange.open_orders(USER))
    assert open_holds == sum((d(one.hold.value) for one in wallets(piecemeal)), Decimal(0))


# --- the file -------------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    return tmp_path / "venue.state"


def written(path, *frames):
    file = StateFile(path)
    file.replace(frames[0])
    for frame in frames[1:]:
        file.append(frame)
    file.close()


def read(path):
    file = StateFile(path)
    try:
        return file.load()
    finally:
        file.close()


def test_frames_come_back_in_order(path):
    written(path, b"whole", b"", b"change")
    assert read(path) == [b"whole", b"", b"change"]


def test_a_missing_file_is_a_first_run(path):
    assert read(path) == []


def test_a_last_frame_cut_off_anywhere_is_left_out_for_nobody_heard_of_it(path):
    written(path, b"whole", b"change", b"cut")
    data = path.read_bytes()
    for size in range(len(data) - 18, len(data)):
        path.write_bytes(data[:size])
        assert read(path) == [b"whole", b"change"]


def test_a_flipped_bit_anywhere_is_refused(path):
    written(path, b"whole", b"change", b"last")
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(CorruptStateError):
            read(path)


def test_frames_out_of_their_order_are_refused(path):
    written(path, b"whole", b"change-1", b"change-2")
    data = path.read_bytes()
    first, second = data[-48:-24], data[-24:]
    path.write_bytes(data[:-48] + second + first)
    with pytest.raises(CorruptStateError):
        read(path)


def test_a_whole_state_cut_off_is_refused(path):
    written(path, b"whole")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptStateError, match="cut off"):
        read(path)


def test_a_second_venue_is_refused_the_file(path):
    first = StateFile(path)
    with pytest.raises(BlockingIOError, match="in use"):
        StateFile(path)
    first.close()
    StateFile(path).close()


def test_what_a_keeper_was_told_of_is_there_after_a_death_without_goodbye(path):
    floor = Floor()
    keeper = Keeper.open(path, floor.exchange, floor.now_ns)
    mine = floor.limit("BUY", "2", "100.5")
    floor.market("SELL", "0.5")
    keeper.keep(floor.exchange.drain())
    floor.exchange.set_product(BTC, floor.now_ns, post_only=True)
    keeper.keep(floor.exchange.drain())
    dead = path.read_bytes()
    keeper.close()
    path.write_bytes(dead)

    after = successor(floor.now_ns)
    Keeper.open(path, after.exchange, after.now_ns).close()
    assert after.order(mine).filled_size == "0.5"
    assert after.exchange.spec(BTC).post_only
    assert whole_money(after.exchange)


def test_a_write_that_failed_is_made_good_by_the_next(path, monkeypatch):
    floor = Floor()
    keeper = Keeper.open(path, floor.exchange, floor.now_ns)
    mine = floor.limit("BUY", "2", "99")
    with monkeypatch.context() as trouble:
        trouble.setattr("os.write", full_disk)
        with pytest.raises(OSError, match="full"):
            keeper.keep(floor.exchange.drain())
    keeper.keep(floor.exchange.drain())
    dead = path.read_bytes()
    keeper.close()
    path.write_bytes(dead)
    after = successor(floor.now_ns)
    Keeper.open(path, after.exchange, after.now_ns).close()
    assert after.order(mine).status == "OPEN"


def full_disk(*_):
    raise OSError("the disk is full")


def test_changes_are_folded_into_a_whole_state_when_they_outgrow_it(path, monkeypatch):
    monkeypatch.setattr("actors.venue.keeper.LOG_BYTES", 5_000)
    floor = Floor()
    keeper = Keeper.open(path, floor.exchange, floor.now_ns)
    for _ in range(60):
        floor.cancel(floor.limit("BUY", "1", "99"))
        keeper.keep(floor.exchange.drain())
    keeper.keep(())
    frames = len(StateFile.load(keeper._file))
    keeper.close()
    assert frames < 40
    after = successor(floor.now_ns)
    Keeper.open(path, after.exchange, after.now_ns).close()
    assert len(after.listed(limit=100)) == 60


# --- the process ----------------------------------------------------------------------------------------------------


def start(folder):
    options = ["--key-file", str(folder / "key.json"), "--keep", str(folder / "state")]
    command = [sys.executable, "-m", "actors.venue", *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    return process, Client(json.loads(line), process) if line else None


def end(process):
    process.stdout.close()
    process.stderr.close()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_the_venue_process_knows_every_answer_it_gave(tmp_path, how):
    process, client = start(tmp_path)
    asked = client.order(market_market_ioc={"quote_size": "500"})
    client.post("/orders", asked)
    resting = [client.place() for _ in range(5)]
    told = client.until(lambda: client.get("/orders/historical/fills")["fills"])
    money = client.admin("GET", "/balances")["balances"]
    getattr(process, how)()
    process.wait(10)
    end(process)

    process, client = start(tmp_path)
    try:
        again = client.post("/orders", asked)
        fills = client.get("/orders/historical/fills")["fills"]
        assert {fill["entry_id"] for fill in told} <= {fill["entry_id"] for fill in fills}
        assert again["success_response"]["order_id"] == told[0]["order_id"]
        assert {client.status(order_id)["status"] for order_id in resting} == {"OPEN"}
        assert client.admin("GET", "/balances")["balances"] == money
    finally:
        process.terminate()
        assert process.wait(10) == 0
        end(process)


@pytest.mark.slow
def test_the_venue_refuses_a_damaged_state_and_says_so(tmp_path):
    (tmp_path / "state").write_bytes(b"venue-state 1\n" + bytes(60))
    process, client = start(tmp_path)
    assert client is None
    assert process.wait(10) == 4
    assert "damaged" in process.stderr.read()
    end(process)
