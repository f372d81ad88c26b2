"""An edge's way out of its actor, and the one way in which an edge's own task may end it."""

import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pykka

from actors.runtime.role import Edge
from protocol.base import Message

if TYPE_CHECKING:
    from actors.runtime.shell import Shell

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """Sent by reference to a shell: raise this in the actor's own context."""

    error: BaseException


class EdgePort:
    """One incarnation's port (see `role.Port`)."""

    __slots__ = ("_shell", "cause", "edge", "incarnation", "name")

    def __init__(self, shell: "Shell", edge: Edge) -> None:
        self._shell = shell
        self.edge = edge
        self.name = shell.name
        self.incarnation = shell.incarnation
        self.cause = 0

    def now_ns(self) -> int:
        """UTC nanoseconds of the injected clock."""
        return self._shell.now_ns()

    def tell(self, to: str, message: Message, cause: int = 0) -> None:
        """Sends from any thread; silent once superseded."""
        if self.valid():
            self._shell.services.directory.tell(to, message, self.name, cause, self.incarnation)

    def valid(self) -> bool:
        """Whether this incarnation still holds its mailbox."""
        return self._shell.valid()

    def failed(self, error: BaseException) -> None:
        """Ends the incarnation in its own context, as if its step had raised `error`."""
        with contextlib.suppress(pykka.ActorDeadError):
            self._shell.actor_ref.tell(Failure(error))

    def close(self) -> None:
        """Closes the edge; what it raises is logged, for nothing is left that could handle it."""
        try:
            self.edge.close()
        except Exception:  # noqa: BLE001 - see above
            _log.exception("edge of %s failed to close", self.name)
