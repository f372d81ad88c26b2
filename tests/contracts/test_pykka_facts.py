"""What pykka does, side by side for its threads and our stepped actors: an upgrade that changes it fails here."""

import threading
import time

import pykka
import pytest

from actors.runtime.clock import SystemClock
from actors.runtime.pumps import ThreadPump
from actors.runtime.stepped import CrashedError, SteppedActor

LIMIT_S = 5


class Behaviour:
    """What both kinds are asked to do; `seen` is the story."""

    def tell_story(self, seen, start_fails=False, stop_fails=False):
        self.seen, self.start_fails, self.stop_fails = seen, start_fails, stop_fails
        self.over = threading.Event()

    def on_start(self):
        self.seen.append("start")
        if self.start_fails:
            raise ValueError("start")

    def on_stop(self):
        self.seen.append("stop")
        if self.stop_fails:
            raise ValueError("stop")

    def on_failure(self, kind, _error, _at):
        self.seen.append(f"failure {kind.__name__}")

    def on_receive(self, message):
        self.seen.append(message)
        match message:
            case "raise":
                raise ValueError("asked for")
            case "exit":
                raise SystemExit
            case threading.Event():
                assert message.wait(LIMIT_S)
            case pykka.ActorRef():
                message.tell("from inside")
        return f"did {message}"

    def answer(self, number):
        return number + 1


class Threaded(Behaviour, pykka.ThreadingActor):
    use_daemon_thread = True

    def __init__(self, *story, **kw):
        super().__init__()
        self.tell_story(*story, **kw)


class Stepped(Behaviour, SteppedActor):
    def __init__(self, pump, *story, **kw):
        super().__init__(pump)
        self.tell_story(*story, **kw)


@pytest.fixture(params=["threading", "stepped"])
def start(request):
    """Starts an actor of either kind."""
    if request.param == "threading":
        yield Threaded.start
        pykka.ActorRegistry.stop_all(timeout=LIMIT_S)
    else:
        pump = ThreadPump("test", SystemClock())
        pump.start()
        yield lambda *a, **kw: Stepped.start(pump, *a, **kw)
        pykka.ActorRegistry.stop_all(timeout=LIMIT_S)
        assert pump.stop()
    assert pykka.ActorRegistry.get_all() == []


def until(condition):
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.001)


def test_tells_are_handled_in_order_after_on_start(start):
    seen = []
    ref = start(seen)
    for number in range(200):
        ref.tell(number)
    assert ref.ask("last", timeout=LIMIT_S) == "did last"
    assert seen == ["start", *range(200), "last"]


def test_ask_through_a_proxy_answers(start):
    assert start([]).proxy().answer(41).get(timeout=LIMIT_S) == 42


def test_stop_comes_in_line_and_calls_on_stop(start):
    seen = []
    ref = start(seen)
    ref.tell("before")
    assert ref.stop(timeout=LIMIT_S) is True
    assert seen == ["start", "before", "stop"]
    assert not ref.is_alive()
    assert pykka.ActorRegistry.get_by_urn(ref.actor_urn) is None
    assert ref.stop(timeout=LIMIT_S) is False


def test_a_failing_on_stop_changes_nothing(start):
    ref = start([], stop_fails=True)
    assert ref.stop(timeout=LIMIT_S) is True
    assert not ref.is_alive()


def test_telling_the_dead_raises_in_the_sender(start):
    ref = start([])
    ref.stop(timeout=LIMIT_S)
    with pytest.raises(pykka.ActorDeadError):
        ref.tell("late")
    with pytest.raises(pykka.ActorDeadError):
        ref.ask("late", timeout=LIMIT_S)


def test_an_exception_on_a_told_message_ends_the_actor(start):
    seen = []
    ref = start(seen)
    ref.tell("raise")
    until(lambda: not ref.is_alive() and "failure ValueError" in seen)
    assert seen == ["start", "raise", "failure ValueError"]


def test_an_exception_on_an_asked_message_leaves_it_alive(start):
    seen = []
    ref = start(seen)
    with pytest.raises(ValueError, match="asked for"):
        ref.ask("raise", timeout=LIMIT_S)
    assert ref.ask("still here", timeout=LIMIT_S) == "did still here"
    assert "failure ValueError" not in seen


def test_a_failing_on_start_ends_it_without_on_failure(start):
    seen = []
    ref = start(seen, start_fails=True)
    until(lambda: not ref.is_alive())
    assert seen == ["start"]


def test_mail_queued_behind_a_crash_is_lost_and_asks_behind_it_are_told(start):
    seen, gate = [], threading.Event()
    ref = start(seen)
    ref.tell(gate)
    ref.tell("raise")
    ref.tell("lost")
    asked = ref.ask("lost too", block=False)
    gate.set()
    with pytest.raises(pykka.ActorDeadError):
        asked.get(timeout=LIMIT_S)
    assert "lost" not in seen


def test_a_stop_behind_a_stop_still_answers(start):
    seen, gate = [], threading.Event()
    ref = start(seen)
    ref.tell(gate)
    first, second = ref.stop(block=False), ref.stop(block=False)
    gate.set()
    assert first.get(timeout=LIMIT_S) is True
    assert second.get(timeout=LIMIT_S) is True
    assert seen.count("stop") == 1


def test_an_actor_may_tell_another(start):
    heard = []
    other, ref = start(heard), start([])
    ref.tell(other)
    until(lambda: "from inside" in heard)


def test_system_exit_stops_every_threading_actor_but_only_the_stepped_one():
    """The one difference, on purpose: what one actor does must not end its neighbours."""
    pump = ThreadPump("test", SystemClock())
    pump.start()
    one, other = Stepped.start(pump, []), Stepped.start(pump, [])
    with pytest.raises(CrashedError, match="SystemExit"):
        one.ask("exit", timeout=LIMIT_S)
    assert not one.is_alive()
    assert other.ask("here", timeout=LIMIT_S) == "did here"
    other.stop(timeout=LIMIT_S)
    one, other = Threaded.start([]), Threaded.start([])
    one.tell("exit")
    until(lambda: not one.is_alive() and not other.is_alive())
    assert pump.stop()


def test_stepped_actors_share_one_thread():
    pump = ThreadPump("test", SystemClock())
    pump.start()
    before = threading.active_count()
    refs = [Stepped.start(pump, []) for _ in range(50)]
    assert [ref.ask("hello", timeout=LIMIT_S) for ref in refs] == ["did hello"] * 50
    assert threading.active_count() == before
    pykka.ActorRegistry.stop_all(timeout=LIMIT_S)
    assert pump.stop()
