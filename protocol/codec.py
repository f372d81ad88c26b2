"""Messages and durable values as bytes; the fingerprint of the whole vocabulary; upgrades of older values.

msgpack for store, journal and bridges; every message carries its tag under `type`. Durable values are wrapped
with the schema version they were written under, so that a newer program reads an older store and an older one refuses a
newer store (faults F11, F12).
"""

import hashlib
import types
import typing
from collections.abc import Callable
from enum import Enum
from typing import TypeVar

import msgspec

from protocol import control, discovery, journal, lifecycle, market, orders, portfolio, risk, shadow, strategy, venue
from protocol.base import Message

SCHEMA_VERSION = 1

AnyMessage = (
    lifecycle.LifecycleMessage
    | market.MarketMessage
    | orders.OrderMessage
    | shadow.ShadowOrder
    | venue.VenueMessage
    | portfolio.PortfolioMessage
    | risk.RiskMessage
    | strategy.StrategyMessage
    | discovery.UniverseDiscovered
    | journal.JournalMessage
    | control.ControlMessage
)

T = TypeVar("T")


class CodecError(ValueError):
    """Bytes that are not what they should be. Says what was wrong, never what was in them."""


class NewerSchemaError(CodecError):
    """Written by a newer program than this one."""


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    version: int
    value: msgspec.Raw


_encoder = msgspec.msgpack.Encoder()
_message = msgspec.msgpack.Decoder(AnyMessage)
_stored = msgspec.msgpack.Decoder(_Stored)

# (from version, type name) -> rewrites the plain value one version up. Empty while there is one version.
UPGRADES: dict[tuple[int, str], Callable[[object], object]] = {}


def encode(message: Message) -> bytes:
    """A message as msgpack."""
    return _encoder.encode(message)


def decode(data: bytes) -> Message:
    """The message in `data`. Raises CodecError: not one of ours, or not whole."""
    try:
        return typing.cast("Message", _message.decode(data))
    except (msgspec.MsgspecError, ValueError) as exc:
        raise CodecError(f"not a message: {exc}") from exc


def encode_value(value: msgspec.Struct) -> bytes:
    """A durable value, wrapped with the schema version."""
    return _encoder.encode((SCHEMA_VERSION, value))


def decode_value(data: bytes, kind: type[T]) -> T:
    """The durable value in `data`, upgraded in memory if it is older.

    Raises:
        NewerSchemaError: written under a newer schema.
        CodecError: not a `kind`, or not whole.
    """
    try:
        stored = _stored.decode(data)
        if stored.version > SCHEMA_VERSION:
            raise NewerSchemaError(f"schema {stored.version} is newer than {SCHEMA_VERSION}")
        if stored.version == SCHEMA_VERSION:
            return msgspec.msgpack.decode(stored.value, type=kind)
        return msgspec.convert(_upgraded(stored, kind.__name__), kind)
    except (msgspec.MsgspecError, ValueError) as exc:
        if isinstance(exc, CodecError):
            raise
        raise CodecError(f"not a {kind.__name__}: {exc}") from exc


def _upgraded(stored: _Stored, name: str) -> object:
    plain: object = msgspec.msgpack.decode(stored.value)
    for version in range(stored.version, SCHEMA_VERSION):
        rewrite = UPGRADES.get((version, name))
        plain = rewrite(plain) if rewrite else plain
    return plain


def fingerprint() -> str:
    """SHA-256 over every message's tag, fields, types and defaults: changes whenever the vocabulary does."""
    lines = [_describe(kind) for kind in typing.get_args(AnyMessage)]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _describe(kind: type, seen: frozenset[type] = frozenset()) -> str:
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)) or kind in seen:
        return _name(kind)
    hints = typing.get_type_hints(kind)
    parts = [f"{f.name}:{_inner(hints[f.name], seen | {kind})}{_default(f)}" for f in msgspec.structs.fields(kind)]
    return f"{kind.__struct_config__.tag}({','.join(parts)})"


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default_factory is not msgspec.NODEFAULT:
        return f"={_name(field.default_factory)}()"
    return "" if field.default is msgspec.NODEFAULT else f"={field.default!r}"


def _inner(hint: object, seen: frozenset[type]) -> str:
    args = typing.get_args(hint)
    if args and isinstance(hint, types.GenericAlias | types.UnionType):
        return f"{_name(typing.get_origin(hint))}[{'|'.join(_inner(a, seen) for a in args)}]"
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _describe(hint, seen)
    return _name(hint)


def _name(hint: object) -> str:
    """A type's name; of an enumeration the values too, for they are what is written."""
    if isinstance(hint, type) and issubclass(hint, Enum):
        return f"{hint.__name__}<{'|'.join(str(member.value) for member in hint)}>"
    return getattr(hint, "__name__", str(hint))
