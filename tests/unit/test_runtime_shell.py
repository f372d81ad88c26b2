"""The shell around a core, from outside: recovery, commits before effects, timers, stops, endings."""

import msgspec
import pytest

from actors.runtime.kernel import Kernel
from actors.runtime.node import in_kernel
from actors.runtime.restarts import Child, Group
from actors.runtime.role import Role
from actors.runtime.tree import Member
from protocol.base import Effect, Envelope
from protocol.effects import ClearTimer, Commit, Note, Retire, SetTimer, Tell
from protocol.journal import EntryKind
from protocol.lifecycle import Beat, Committed, Recover, Stop, StoreRecord, Wake
from protocol.orders import CancelOrder
from protocol.venue import RequestCancel
from tests.support.small_tree import Add, Price, Store, Total, Urgent, commit, recorder

MS = 1_000_000
CANCEL = RequestCancel(client_order_id="c", venue_order_id="v", reply_to="a")


class Fetch(Effect, frozen=True, kw_only=True):
    """A room's own effect."""

    url: str


class World:
    """One actor `a` with a scripted step, a recorder that may be slow, and `b`, which remembers."""

    def __init__(self, step, *, prefixes=(), edge=None, journaled=True, accepts=(Add, Urgent, Price, CancelOrder)):
        self.store, self.heard, self.kernel = Store(), [], Kernel(seed=1)
        self.edge = edge

        def listen(state, message, now_ns):
            self.heard.append(message)
            return state, ()

        role = Role(step, lambda: 0, accepts, store_prefixes=prefixes, journaled=journaled, edge=edge)
        members = (
            Member(child=Child(name="recorder", group="g"), role=lambda _: recorder(self.store)),
            Member(
                child=Child(name="b", group="g"),
                role=lambda _: Role(listen, lambda: 0, (Add, Urgent, Total, RequestCancel, Price), journaled=False),
            ),
            Member(child=Child(name="a", group="g"), role=lambda _: role),
        )
        self.node = in_kernel(self.kernel, (Group(name="g"),), members)
        self.node.start()
        self.kernel.drain()
        self.heard.clear()

    def tell(self, *messages):
        for message in messages:
            self.node.directory.tell("a", message)
        self.kernel.drain()

    def answer(self):
        """The slow recorder does what it was asked, oldest first."""
        request = self.store.slow.pop(0)
        told = commit(self.store, request)
        self.node.directory.tell(told.to, told.message, "recorder")
        self.kernel.drain()

    def row(self):
        return next(row for row in self.node.snapshot() if row["name"] == "a")

    def journal(self, actor="a"):
        entries = [e for e in self.store.entries if e.actor == actor]
        return [(e.kind, msgspec.msgpack.decode(e.body)["type"]) for e in entries]


def record(state):
    return Commit(records=(StoreRecord(key="a/n", value=str(state).encode()),))


def committing(state, message, now_ns):
    match message:
        case Recover():
            return (int(message.records[0].value) if message.records else 0), ()
        case Add():
            after = state + message.number
            effects = (
                Tell(to="b", message=Total(value=after)),
                record(message.number if message.number == 13 else after),
            )
            return after, (*effects, Tell(to="b", message=CANCEL))
        case Urgent():
            return state, (Tell(to="b", message=Urgent(text=f"{message.text} at {state}")),)
    return state, (Tell(to="b", message=Urgent(text=f"{type(message).__name__} at {state}")),)


@pytest.fixture
def slow():
    world = World(committing, prefixes=("a/",))
    world.store.slow = []
    return world


def test_effects_wait_for_the_commit_but_cancels_never(slow):
    slow.tell(Add(number=1))
    assert slow.heard == [CANCEL]
    slow.answer()
    assert slow.heard == [CANCEL, Total(value=1)]


def test_no_further_event_or_state_is_taken_until_the_commit_is_answered(slow):
    slow.tell(Add(number=1), Add(number=2), Price(product="A", value=1))
    assert len(slow.store.slow) == 1
    assert slow.row()["state"] == "committing"
    slow.answer()
    assert [r.value for r in slow.store.slow[0].records] == [b"3"]


def test_control_mail_waits_in_its_order_and_comes_right_after(slow):
    slow.tell(Add(number=1), Add(number=2))
    slow.tell(Urgent(text="x"), Urgent(text="y"))
    slow.answer()
    assert [m.text for m in slow.heard if isinstance(m, Urgent)] == ["x at 1", "y at 1"]


def test_a_pulse_is_answered_while_it_waits(slow):
    slow.tell(Add(number=1), Beat(number=7))
    assert slow.node.tree.records["a"].shell.beat == 7


def test_a_refused_commit_leaves_the_old_state_and_tells_the_core(slow):
    slow.tell(Add(number=5))
    slow.answer()
    slow.tell(Add(number=13))
    slow.answer()
    assert slow.heard[-1] == Urgent(text="CommitFailed at 5")
    assert Total(value=18) not in slow.heard
    assert slow.journal()[-1] == (EntryKind.HANDLED, "test.add")  # handled all the same


def test_an_answer_to_an_earlier_commit_is_not_taken(slow):
    slow.tell(Add(number=1))
    slow.tell(Committed(number=99))
    assert slow.row()["state"] == "committing"


def test_everything_waits_for_the_records():
    world = World(committing, prefixes=("a/",))
    world.store.records["a/n"] = b"40"
    for ref in [world.node.tree.records["a"].shell.actor_ref]:
        ref.stop(block=False)
    world.tell(Urgent(text="now"), Add(number=2))
    assert world.row()["incarnation"] == 2
    assert world.heard[0] == Urgent(text="now at 40")
    assert world.store.records["a/n"] == b"42"


def test_commit_journal_entries_stand_in_one_transaction_and_the_rest_follows():
    def step(state, message, now_ns):
        if isinstance(message, Add):
            return state, (record(1), Note(message=Total(value=9)))
        return state, (Note(message=Total(value=8)),) if isinstance(message, Urgent) else ()

    world = World(step)
    world.tell(Urgent(text="x"), Add(number=1), Price(product="A", value=1), Beat(number=1))
    assert world.journal() == [
        (EntryKind.HANDLED, "lifecycle.recover"),
        (EntryKind.HANDLED, "test.urgent"),
        (EntryKind.SAID, "test.total"),
        (EntryKind.HANDLED, "test.add"),
        (EntryKind.SAID, "test.total"),
    ]


def test_state_messages_go_to_the_tape_and_not_into_the_journal():
    world, taped = World(lambda s, m, now: (s, ())), []
    world.node.tape = lambda *record: taped.append(record)
    world.tell(Price(product="A", value=1), Add(number=1))
    ((actor, seq, cause, _, message),) = taped
    assert (actor, cause, message) == ("a", 0, Price(product="A", value=1))
    assert seq > 0
    assert (EntryKind.HANDLED, "test.price") not in world.journal()


def test_a_room_that_is_not_journalled_leaves_no_handled_entry():
    world = World(lambda s, m, now: (s, ()), journaled=False)
    world.tell(Add(number=1))
    assert world.journal() == []


def timers(state, message, now_ns):
    match message:
        case Add(number=0):
            return state, (ClearTimer(timer="t"), ClearTimer(timer="never set"))
        case Add():
            return state, (SetTimer(timer="t", due_ns=now_ns + message.number * MS),)
        case Wake():
            return state, (Tell(to="b", message=Total(value=now_ns - message.due_ns)),)
    return state, ()


def test_a_timer_comes_back_when_it_is_due_replaced_or_not_at_all():
    world = World(timers)
    world.tell(Add(number=5))
    world.tell(Add(number=8))
    world.kernel.run_for(7 * MS)
    assert world.heard == []
    world.kernel.run_for(1 * MS)
    assert world.heard == [Total(value=0)]
    world.tell(Add(number=5))
    world.tell(Add(number=0))
    world.kernel.run_for(60 * MS)
    assert len(world.heard) == 1
    assert len(world.kernel.timers) == 0


def test_a_wake_already_in_the_mailbox_is_not_delivered_after_its_timer_was_cleared():
    def step(state, message, now_ns):
        match message:
            case Add():
                return state, (SetTimer(timer="t", due_ns=now_ns + MS),)
            case Urgent():
                return state, (ClearTimer(timer="t"),)
            case Wake():
                return state, (Tell(to="b", message=Total(value=0)),)
        return state, ()

    world = World(step)
    world.tell(Add(number=1))
    world.kernel.clock.advance_to(world.kernel.clock.now_ns() + MS)
    world.kernel.timers.fire(world.kernel.clock.now_ns())
    world.tell(Urgent(text="control overtakes the wake"))
    assert world.heard == []
    assert not world.node.dead_letters


def test_timers_die_with_their_incarnation():
    def step(state, message, now_ns):
        if isinstance(message, Urgent):
            raise RuntimeError(message.text)  # noqa: TRY004 - any crash
        return timers(state, message, now_ns)

    world = World(step)
    world.tell(Add(number=5))
    world.tell(Urgent(text="end"))
    assert len(world.kernel.timers) == 0


def test_what_a_room_does_not_take_is_a_dead_letter_never_silence():
    world = World(committing, accepts=(Add,))
    world.tell(Total(value=1))
    world.node.directory.tell("nobody", Total(value=1))
    world.kernel.drain()
    assert [(x.to, x.body_type) for x in world.node.dead_letters] == [("a", "Total"), ("nobody", "Total")]
    assert world.journal("runtime") == [(EntryKind.SAID, "lifecycle.dead_letter")] * 2


def test_a_poison_message_ends_its_reader_twice_and_the_rest_is_handled():
    def step(state, message, now_ns):
        if isinstance(message, Add) and message.number == 666:
            raise SystemExit
        return state, (Tell(to="b", message=message),) if isinstance(message, Add) else ()

    world = World(step)
    world.tell(Add(number=1), Add(number=666), Add(number=2))
    assert world.heard == [Add(number=1), Add(number=2)]
    assert (world.row()["incarnation"], world.row()["errors"], world.row()["alive"]) == (3, 2, True)
    assert [x.body_type for x in world.node.dead_letters] == ["Add"]


def test_stop_lets_the_core_finish_its_commit_then_ends_normally():
    def step(state, message, now_ns):
        if isinstance(message, Stop):
            return 7, (record(7), Tell(to="b", message=Total(value=7)), Retire())
        return state, ()

    world = World(step)
    world.node.tree.stop("bye")
    world.kernel.drain()
    assert world.store.records["a/n"] == b"7"
    assert world.heard == [Total(value=7), Stop(reason="bye")]
    assert world.node.tree.stopped
    assert not world.row()["alive"]


def test_a_stop_comes_behind_the_events_that_wait():
    world = World(lambda s, m, now: (s, (Tell(to="b", message=m),) if isinstance(m, Add) else ()))
    for message in (Add(number=1), Stop(reason="bye"), Add(number=2)):
        world.node.directory.tell("a", message)
    world.kernel.drain()
    assert world.heard == [Add(number=1), Add(number=2)]


def test_a_stop_that_meets_a_commit_waits_for_it(slow):
    slow.tell(Add(number=1))
    slow.tell(Stop(reason="bye"))
    assert slow.row()["alive"]
    slow.answer()
    assert Urgent(text="Stop at 1") in slow.heard


class Recording:
    """An edge that keeps what it was asked."""

    made = ()

    def __init__(self):
        self.asked, self.closed = [], 0
        Recording.made = (*Recording.made, self)

    def bind(self, port):
        self.port = port

    def perform(self, effect):
        self.asked.append((effect, self.port.cause))
        self.port.tell(self.port.name, Total(value=len(self.asked)), self.port.cause)

    def close(self):
        self.closed += 1


def fetching(state, message, now_ns):
    match message:
        case Add():
            return state, (Fetch(url="x"),)
        case Urgent():
            raise ValueError(message.text)
        case Total():
            return state, (Tell(to="b", message=message),)
    return state, ()


@pytest.fixture
def edged():
    Recording.made = ()
    return World(fetching, edge=Recording, accepts=(Add, Urgent, Total))


def test_a_rooms_own_effects_are_its_edges_and_answers_carry_their_cause(edged):
    edged.tell(Add(number=1))
    (edge,) = Recording.made
    ((effect, cause),) = edge.asked
    assert (effect, edged.heard) == (Fetch(url="x"), [Total(value=1)])
    answer = next(e for e in edged.store.entries if b"test.total" in e.body)
    assert answer.cause == cause == next(e.seq for e in edged.store.entries if b"test.add" in e.body)


def test_each_incarnation_has_a_fresh_edge_and_the_old_one_is_closed_and_mute(edged):
    edged.tell(Urgent(text="crash"))
    old, _, new = Recording.made  # the crash was redelivered once
    assert (old.closed, new.closed) == (1, 0)
    old.port.tell("b", Total(value=99))
    edged.kernel.drain()
    assert edged.heard == []
    assert (old.port.valid(), new.port.valid(), new.port.incarnation) == (False, True, 3)


def test_a_failure_in_an_edges_own_task_ends_its_actor(edged):
    (edge,) = Recording.made
    edge.port.failed(ConnectionError("socket"))
    edged.kernel.drain()
    assert (edged.row()["incarnation"], edged.row()["errors"]) == (2, 1)
    edge.port.failed(ConnectionError("again"))  # of an incarnation that is gone: nothing
    edged.kernel.drain()
    assert edged.row()["incarnation"] == 2


def test_a_superseded_incarnation_has_no_effect_and_gives_its_message_back():
    world = World(lambda s, m, now: (s, (Tell(to="b", message=m),) if isinstance(m, Add) else ()))
    box, shell = world.node.directory.targets["a"], world.node.tree.records["a"].shell
    envelope = Envelope(5, "x", "a", 0, 0, 0, Add(number=1))

    def hang(state, message, now_ns):  # while it hangs, the next incarnation leases the mailbox
        shell.supersede()
        world.node.launch(world.node.tree.records["a"].member, "a", lambda new: None)
        return state, (Tell(to="b", message=Add(number=666)),)

    shell.step = hang
    box.put(envelope)
    world.kernel.drain()
    assert world.heard == [Add(number=1)]
    assert box.incarnation == 2
