"""Messages and durable values as bytes: the vocabulary pinned, older values upgraded, newer ones refused (F11, F12)."""

import contextlib
import typing
from decimal import Decimal
from enum import Enum

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import codec
from protocol.base import Message, Value
from protocol.control import Asked, PauseEntries
from protocol.effects import Submit
from protocol.journal import Released
from protocol.lifecycle import Recover, StoreRecord, Wake
from protocol.orders import OrderState, OrderUpdate, PlaceRefused, Status
from protocol.strategy import ProposalsMade
from tests.support.desk_scenes import fill_applied, order, periods, position, proposal, quote, view

# The whole vocabulary in one number. If it moved on purpose, yesterday's journals and stores must still be readable:
# add an upgrade (`codec.UPGRADES`) and raise `SCHEMA_VERSION` if a durable value changed, then pin the new number.
FINGERPRINT = "eaac109402d8577facadeffac07f28dba27dbcdb6879afadae736cf7149f67f9"

KINDS = typing.get_args(codec.AnyMessage)
SAMPLES = [
    quote(),
    view(positions=(position(),), periods=periods()),
    OrderUpdate(state=order(status=Status.UNRESOLVED)),
    ProposalsMade(cycle=1, proposals=(proposal(),), triggers=(proposal().trigger,), passed=(), elapsed_us=1),
    fill_applied(net="1.10"),
    Released(submit=Submit(client_order_id=order().client_order_id, spec=order().spec), index=5),
    Recover(records=(StoreRecord(key="k", value=b"\x00\xff"), StoreRecord(key="l", value=None))),
]


def test_the_vocabulary_is_the_pinned_one():
    assert codec.fingerprint() == FINGERPRINT


def test_every_message_has_a_tag_of_its_own():
    tags = [kind.__struct_config__.tag for kind in KINDS]
    assert len(set(tags)) == len(tags) > 60
    assert all(isinstance(tag, str) and "." in tag for tag in tags)
    assert all(kind.__struct_config__.frozen for kind in KINDS)


@pytest.mark.parametrize("message", SAMPLES, ids=lambda m: type(m).__name__)
def test_what_is_written_is_what_is_read(message):
    assert codec.decode(codec.encode(message)) == message


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**12), max_value=10**12))
def test_money_comes_back_digit_for_digit(amount):
    message = fill_applied(net=amount)
    assert codec.decode(codec.encode(message)).net_usd.as_tuple() == message.net_usd.as_tuple()


GARBAGE = {
    "nothing": b"",
    "no msgpack": b"\xc1",
    "half a message": codec.encode(quote())[:-3],
    "more than a message": codec.encode(quote()) + b"\x00",
    "a tag nobody knows": msgspec.msgpack.encode({"type": "market.weather"}),
    "no tag": msgspec.msgpack.encode({"timer": "x"}),
    "a member nobody knows": msgspec.msgpack.encode({"type": "lifecycle.wake", "timer": "x", "due_ns": 1, "late": 2}),
    "a member that is missing": msgspec.msgpack.encode({"type": "lifecycle.wake", "timer": "x"}),
    "a member of another type": msgspec.msgpack.encode({"type": "lifecycle.wake", "timer": 1, "due_ns": 1}),
    "a list": msgspec.msgpack.encode([1]),
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_what_is_no_message_is_refused(data):
    with pytest.raises(codec.CodecError):
        codec.decode(data)


@given(st.binary(max_size=60))
def test_no_bytes_do_worse_than_be_refused(data):
    for read in (codec.decode, lambda raw: codec.decode_value(raw, OrderState)):
        with contextlib.suppress(codec.CodecError):
            read(data)


def test_a_request_of_the_socket_is_read_by_its_tag():
    asked = Asked(connection=1, request=PauseEntries(by="ann", reason="lunch"))
    assert codec.decode(codec.encode(asked)) == asked


# --- durable values -----------------------------------------------------------------------------------------------


class Old(Value, frozen=True, kw_only=True):
    size: Decimal
    note: str = ""


def written(version, value):
    return msgspec.msgpack.encode((version, value))


def test_a_durable_value_comes_back():
    state = order(status=Status.PENDING_CANCEL)
    assert codec.decode_value(codec.encode_value(state), OrderState) == state


def test_a_value_of_a_newer_schema_is_refused_by_name():
    with pytest.raises(codec.NewerSchemaError, match=r"schema 999 is newer"):
        codec.decode_value(written(999, {"anything": 1}), Old)


def test_an_older_value_is_upgraded_step_by_step_in_memory(monkeypatch):
    monkeypatch.setattr(codec, "SCHEMA_VERSION", 3)
    monkeypatch.setitem(codec.UPGRADES, (1, "Old"), lambda plain: {"size": plain["qty"]})
    monkeypatch.setitem(codec.UPGRADES, (2, "Old"), lambda plain: {**plain, "note": "upgraded"})
    assert codec.decode_value(written(1, {"qty": "1.50"}), Old) == Old(size=Decimal("1.50"), note="upgraded")
    assert codec.decode_value(written(2, {"size": "2"}), Old) == Old(size=Decimal(2), note="upgraded")
    assert codec.decode_value(written(3, {"size": "2"}), Old) == Old(size=Decimal(2))


def test_a_kind_without_an_upgrade_passes_through(monkeypatch):
    monkeypatch.setattr(codec, "SCHEMA_VERSION", 2)
    assert codec.decode_value(written(1, {"size": "2"}), Old) == Old(size=Decimal(2))


@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", written(1, {"size": "x"}), written(1, {"size": "1", "more": 1}), msgspec.msgpack.encode({"a": 1})],
    ids=["nothing", "no msgpack", "no number", "a member nobody knows", "not wrapped"],
)
def test_a_value_that_is_not_whole_is_refused(data):
    with pytest.raises(codec.CodecError):
        codec.decode_value(data, Old)


# --- the fingerprint sees every change ----------------------------------------------------------------------------


class Colour(Enum):
    RED = "red"


class Blue(Enum):
    RED = "blue"


Blue.__name__ = "Colour"


class Base(Message, frozen=True, kw_only=True, tag="t.x"):
    size: int
    colour: Colour


class Renamed(Message, frozen=True, kw_only=True, tag="t.x"):
    amount: int
    colour: Colour


class Retyped(Message, frozen=True, kw_only=True, tag="t.x"):
    size: int | None
    colour: Colour


class Defaulted(Message, frozen=True, kw_only=True, tag="t.x"):
    size: int = 1
    colour: Colour


class Revalued(Message, frozen=True, kw_only=True, tag="t.x"):
    size: int
    colour: Blue


class Retagged(Message, frozen=True, kw_only=True, tag="t.y"):
    size: int
    colour: Colour


class Nested(Value, frozen=True, kw_only=True):
    inner: int


class Nested2(Value, frozen=True, kw_only=True):
    inner: str


Nested2.__name__ = "Nested"


class Holds(Message, frozen=True, kw_only=True, tag="t.z"):
    parts: tuple[Nested, ...]


class Holds2(Message, frozen=True, kw_only=True, tag="t.z"):
    parts: tuple[Nested2, ...]


@pytest.mark.parametrize(
    ("one", "other"),
    [(Base, Renamed), (Base, Retyped), (Base, Defaulted), (Base, Revalued), (Base, Retagged), (Holds, Holds2)],
    ids=["a name", "a type", "a default", "an enumeration's value", "a tag", "a part's part"],
)
def test_the_fingerprint_moves_with(monkeypatch, one, other):
    found = []
    for kind in (one, other):
        monkeypatch.setattr(codec, "AnyMessage", typing.Union[kind, Wake])  # noqa: UP007 - built at run time
        found.append(codec.fingerprint())
    assert found[0] != found[1]


def test_the_fingerprint_does_not_depend_on_the_order_of_kinds(monkeypatch):
    found = set()
    for union in (Base | Wake | PlaceRefused, PlaceRefused | Base | Wake):
        monkeypatch.setattr(codec, "AnyMessage", union)
        found.add(codec.fingerprint())
    assert len(found) == 1
