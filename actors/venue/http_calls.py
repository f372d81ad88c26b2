"""One REST request as its handler sees it, and the answers it can give."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec
from multidict import MultiMapping

from actors.venue.instants import parse_rfc3339
from actors.venue.requests import QueryError
from actors.venue.server_venue import Credential, Venue

T = TypeVar("T")
JSON = "application/json; charset=utf-8"


class Answer(msgspec.Struct, kw_only=True):
    """What goes back."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: dict[str, str] = {}


def bad_request(message: str) -> QueryError:
    """400 with the venue's code for wrong arguments."""
    return QueryError(400, "INVALID_ARGUMENT", message)


def not_found(message: str) -> QueryError:
    """404."""
    return QueryError(404, "NOT_FOUND", message)


def forbidden(message: str) -> QueryError:
    """403."""
    return QueryError(403, "PERMISSION_DENIED", message)


class Query:
    """A query string; every reader raises QueryError (400) for what cannot be read."""

    def __init__(self, members: MultiMapping[str]) -> None:
        self._members = members

    def one(self, name: str, default: str = "") -> str:
        """The member's text."""
        return self._members.get(name, default)

    def many(self, *names: str) -> tuple[str, ...]:
        """All values under any of the names (plural and older singular spelling)."""
        return tuple(value for name in names for value in self._members.getall(name, []) if value)

    def number(self, name: str, default: int) -> int:
        """A whole number."""
        text = self.one(name)
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise bad_request(f"{name} is not a number")
        return int(text)

    def flag(self, name: str) -> bool:
        """`true` or `True`."""
        return self.one(name).lower() == "true"

    def instant(self, name: str) -> int | None:
        """An RFC 3339 time in UTC nanoseconds; None where absent."""
        text = self.one(name)
        if not text:
            return None
        at_ns = parse_rfc3339(text)
        if at_ns is None:
            raise bad_request(f"{name} is not an RFC 3339 time")
        return at_ns


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request past authentication and limits. `user` is "" on public paths; `body` is decoded JSON or None."""

    venue: Venue
    now_ns: int
    user: str
    credential: Credential | None
    path: Mapping[str, str]
    query: Query
    body: Any

    def read(self, kind: type[T]) -> T:
        """The body as `kind`; unknown members are ignored. Raises QueryError (400)."""
        if not isinstance(self.body, dict):
            raise bad_request("the body is not a JSON object")
        try:
            return msgspec.convert(self.body, kind)
        except msgspec.ValidationError as exc:
            raise bad_request(str(exc)) from None


Handler = Callable[[Call], object]


class Route(NamedTuple):
    """Method, path template below the prefix, permission (`public`, `view`, `trade`, `transfer`), handler."""

    method: str
    template: str
    scope: str
    handler: Handler

    @property
    def name(self) -> str:
        """What fault plans and logs call it."""
        return self.handler.__name__
