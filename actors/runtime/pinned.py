"""Pinned actors: pykka's own thread per actor, for what blocks. The same shell, the same turns.

A pinned incarnation that hangs cannot be ended, only fenced: the next one leases its mailbox, and the old one finds,
when it wakes, that it can neither read mail nor act.
"""

import itertools
import threading
from collections.abc import Callable
from typing import Any

import pykka

from actors.runtime.mailbox import Mailbox
from actors.runtime.pumps import ThreadLoop
from actors.runtime.role import Role
from actors.runtime.shell import Services, Shell
from actors.runtime.stepped import Inbox

_number = itertools.count(1)


class PinnedShell(Shell, pykka.ThreadingActor):
    """A shell with a thread of its own."""

    use_daemon_thread = True
    actor_inbox: Inbox

    def __init__(self, services: Services, box: Mailbox, role: Role[Any], made: Callable[[Shell], None]) -> None:
        super().__init__()
        self.loop = box.dispatcher = ThreadLoop(services.directory.clock)
        self.lease(services, box, role)
        made(self)

    @staticmethod
    def _create_actor_inbox() -> Inbox:
        return Inbox()

    def _start_actor_loop(self) -> None:
        self.actor_inbox.owner = self
        self.box.schedule()
        thread = threading.Thread(target=self._actor_loop, name=f"pinned-{self.name}-{next(_number)}", daemon=True)
        thread.start()

    def schedule(self) -> None:
        """A call by reference arrived."""
        self.loop.ready.append(self)
        if self.loop.idle:
            self.loop.wake()

    def supersede(self) -> None:
        """Takes the mailbox away, and lets its thread end as soon as it can."""
        super().supersede()
        self.loop.wake()

    def _actor_loop_running(self) -> None:
        self.loop.run(lambda: self.ended or not self.valid())
        if not self.ended:
            self.actor_stopped.set()
            self._left()
        self.actor_inbox.owner = None
