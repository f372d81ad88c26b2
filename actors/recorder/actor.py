"""The recorder as the runtime takes it: the sequencer, a pinned actor on the store its process opened at the start."""

from actors.recorder.core import State, step
from actors.recorder.edge import Observe, RecorderEdge
from actors.recorder.effects import Flush, LoadInTurn, Unwritten, Written
from actors.recorder.store import Store
from actors.runtime.role import Role
from protocol.journal import Append, CommitRequest
from protocol.lifecycle import Load


def role(store: Store, observe: Observe | None = None, *, background: bool = True) -> Role[State]:
    """The recorder of `store`.

    Args:
        store: serves the process for its life, across incarnations (`installation.open_installation`).
        observe: told `(took_ns, entries)` of each commit.
        background: snapshots in a thread of their own; False in the kernel, where nothing runs beside it.
    """
    return Role(
        step=step,
        initial=State,
        accepts=(CommitRequest, Append, Load, Flush, LoadInTurn, Written, Unwritten),
        journaled=False,
        edge=lambda: RecorderEdge(store, observe, background=background),
    )
