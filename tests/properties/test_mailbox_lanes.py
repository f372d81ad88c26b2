"""Mailboxes under any sequence: control first, events kept in order, states newest per key, redelivery once."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from actors.runtime.kernel import Kernel
from actors.runtime.mailbox import Mailbox
from actors.runtime.node import in_kernel
from actors.runtime.restarts import Child, Group
from actors.runtime.role import Role
from actors.runtime.tree import Member
from protocol.base import Envelope
from protocol.lifecycle import Recover
from tests.support.small_tree import Add, Price, Urgent

MESSAGES = st.one_of(
    st.integers(0, 9).map(lambda n: Add(number=n)),
    st.integers(0, 9).map(lambda n: Urgent(text=str(n))),
    st.tuples(st.sampled_from("ABC"), st.integers(0, 99)).map(lambda p: Price(product=p[0], value=p[1])),
)


def run(messages):
    """What an actor hears that gets its first turn when all messages wait."""
    heard, kernel = [], Kernel(seed=0)

    def step(state, message, now_ns):
        heard.append(message)
        return state, ()

    member = Member(child=Child(name="a", group="g"), role=lambda _: Role(step, lambda: 0, (Add, Urgent, Price)))
    node = in_kernel(kernel, (Group(name="g"),), (member,), journal=None)
    node.start()
    for message in messages:
        node.directory.tell("a", message)
    kernel.drain()
    assert type(heard[0]) is Recover
    return heard[1:], node.directory.targets["a"]


def newest(messages):
    kept = {}
    for message in messages:
        kept[message.product] = message
    return list(kept.values())


@given(st.lists(MESSAGES, max_size=60))
def test_lanes_are_served_in_order_and_only_states_conflate(messages):
    heard, box = run(messages)
    states = [m for m in messages if isinstance(m, Price)]
    assert heard == [
        *(m for m in messages if isinstance(m, Urgent)),
        *(m for m in messages if isinstance(m, Add)),
        *newest(states),
    ]
    assert box.conflated == len(states) - len(newest(states))


@given(st.lists(MESSAGES, min_size=1, max_size=20), st.data())
def test_what_crashed_its_reader_comes_back_first_and_only_once(messages, data):
    box = Mailbox("a", Kernel(seed=0))
    for seq, message in enumerate(messages):
        box.put(Envelope(seq, "", "a", 0, 0, 0, message))
    victim = data.draw(st.sampled_from([m for m in messages if not isinstance(m, Price)] or messages))
    envelope = Envelope(1000, "", "a", 0, 0, 0, victim)
    before = box.depth()
    assert box.put_back(envelope)
    if isinstance(victim, Price):  # something newer for its product waits: that one is enough
        assert box.depth() == before
    else:
        assert (box.control if isinstance(victim, Urgent) else box.event)[0] is envelope
    assert not box.put_back(envelope)


def test_no_message_is_lost_between_threads():
    """Four senders against one reader: every event arrives once, each sender's in its order."""
    box, total = Mailbox("a", Kernel(seed=0)), 4000
    heard, done = [], threading.Event()

    def read():
        while len(heard) < 4 * total:
            if box.event:
                heard.append(box.event.popleft())
            elif done.wait(0.0005) and not box.event:
                return

    def send(sender):
        for number in range(total):
            box.put(Envelope(number, str(sender), "a", 0, 0, 0, Add(number=number)))

    reader, senders = threading.Thread(target=read), [threading.Thread(target=send, args=(n,)) for n in range(4)]
    for thread in (reader, *senders):
        thread.start()
    for thread in senders:
        thread.join()
    done.set()
    reader.join()
    assert [[e.seq for e in heard if e.sender == str(n)] for n in range(4)] == [list(range(total))] * 4
