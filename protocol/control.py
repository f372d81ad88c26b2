"""What operators ask over the control sockets (desk and watchdog), one request, one reply."""

from decimal import Decimal
from typing import ClassVar

from protocol.base import Effect, Lane, Message, Value
from protocol.ids import ProductId
from protocol.orders import Side

TAKE_UP = 76
"""Exit code of a desk that made way for one with the configuration that it was asked to take up."""


class Request(Message, frozen=True, kw_only=True):
    """Base of the requests; `by` is who asks (user name at host)."""

    lane: ClassVar[Lane] = Lane.CONTROL
    by: str


class View(Request, frozen=True, kw_only=True, tag="control.view"):
    """Read something: status, actors, orders, positions, fills, universe, strategies."""

    what: str


class Why(Request, frozen=True, kw_only=True, tag="control.why"):
    """Why did it do that, or nothing, with `product_id`?"""

    product_id: str
    at_ns: int | None = None


class KillNow(Request, frozen=True, kw_only=True, tag="control.kill"):
    """Stop everything, latched. `scope` mine (our prefix) or all."""

    reason: str
    scope: str


class Rearm(Request, frozen=True, kw_only=True, tag="control.rearm"):
    """Lift the kill after a clean reconcile."""

    confirm: str


class PauseEntries(Request, frozen=True, kw_only=True, tag="control.pause"):
    """No entries until resumed."""

    reason: str


class ResumeEntries(Request, frozen=True, kw_only=True, tag="control.resume"):
    """Entries again."""


class BanProduct(Request, frozen=True, kw_only=True, tag="control.ban"):
    """A red flag: no entries in a product for the configured time."""

    product_id: str
    reason: str


class UnbanProduct(Request, frozen=True, kw_only=True, tag="control.unban"):
    """Lift a product's red flag."""

    product_id: str


class ResetPeakByHand(Request, frozen=True, kw_only=True, tag="control.reset_peak"):
    """Measure the drawdown from the present equity on, and clear its latch."""


class RebuildByHand(Request, frozen=True, kw_only=True, tag="control.rebuild"):
    """Derive the ledger anew from the venue's fills and balances, and clear the accounting latch."""


class ClearCooldownByHand(Request, frozen=True, kw_only=True, tag="control.clear_cooldown"):
    """End a product's cooldown before its time."""

    product_id: str


class SwitchByHand(Request, frozen=True, kw_only=True, tag="control.strategy"):
    """A strategy on or off, over restarts."""

    name: str
    on: bool


class PlaceByHand(Request, frozen=True, kw_only=True, tag="control.order"):
    """An operator's order. Exactly one of `size` (base) and `quote` (quote currency)."""

    product_id: str
    side: Side
    size: Decimal | None
    quote: Decimal | None
    limit: Decimal | None
    post_only: bool


class SupposeByHand(Request, frozen=True, kw_only=True, tag="control.what_if"):
    """What would become of an operator's order if it were placed now? Exactly one of `size` and `quote`."""

    product_id: str
    side: Side
    size: Decimal | None
    quote: Decimal | None


class CancelByHand(Request, frozen=True, kw_only=True, tag="control.cancel"):
    """Cancel one order by client or venue id, or "*" for all."""

    order: str


class DrillLoad(Request, frozen=True, kw_only=True, tag="control.drill_load"):
    """PAPER only: that many small post-only orders rest far from the market, through the real path."""

    orders: int


class Shutdown(Request, frozen=True, kw_only=True, tag="control.shutdown"):
    """No new work; cancel; two clean lists; end."""

    reason: str


class DriftFound(Request, frozen=True, kw_only=True, tag="control.drift_found"):
    """The configuration on disk, hash `found`, is not the one that runs. Said by the root at every look."""

    running: str
    found: str


class ProposeConfig(Request, frozen=True, kw_only=True, tag="control.propose_config"):
    """May this configuration come into force under what is held and under way now? Changes nothing.

    `before` is the hash of what it is to replace; `products` are those that it trades; `fixed` are its values
    of what belongs to the whole run (`launch.fixed`).
    """

    config_hash: str
    before: str
    products: tuple[ProductId, ...]
    fixed: tuple[tuple[str, str], ...]


class TakeUpConfig(ProposeConfig, frozen=True, kw_only=True, tag="control.take_up_config"):
    """The files are exchanged: make way for a desk that loads them, unless something speaks against it by now.

    The record of the exchange: the number kept, None where the files were in place already; `what` was asked, what was
    `said` for it, and which figures of risk it moves.
    """

    version: int | None
    what: str
    said: str = ""
    risk: tuple[str, ...] = ()


class Veto(Value, frozen=True, kw_only=True):
    """Who does not take up a configuration, and why."""

    actor: str
    reason: str


class SweepProgress(Value, frozen=True, kw_only=True):
    """How far a kill or sweep has come; times in seconds after its cause, None while not reached."""

    active: bool
    kind: str
    detected_s: float | None
    last_cancel_s: float | None
    empty_s: float | None
    cancelled: int
    remaining: int
    unresolved: int
    note: str


class Latch(Value, frozen=True, kw_only=True):
    """The kill latch as the watchdog's log has it."""

    killed: bool
    epoch: int
    reason: str
    by: str
    at_ns: int
    scope: str


NO_LATCH = Latch(killed=False, epoch=0, reason="", by="", at_ns=0, scope="mine")
"""Before the first kill of an installation."""


class Reply(Message, frozen=True, kw_only=True, tag="control.reply"):
    """The one answer. `code` is the exit code (architecture: command-line contract); `data` is JSON text."""

    lane: ClassVar[Lane] = Lane.CONTROL
    code: int
    text: str
    data: str = "null"


class WatchdogStatus(Value, frozen=True, kw_only=True):
    """What the watchdog says of itself."""

    latch: Latch
    sweep: SweepProgress
    beat_age_s: float
    desk_alive: bool


ControlRequest = (
    View
    | Why
    | KillNow
    | Rearm
    | PauseEntries
    | ResumeEntries
    | BanProduct
    | UnbanProduct
    | ResetPeakByHand
    | RebuildByHand
    | ClearCooldownByHand
    | SwitchByHand
    | PlaceByHand
    | SupposeByHand
    | CancelByHand
    | DrillLoad
    | Shutdown
    | DriftFound
    | ProposeConfig
    | TakeUpConfig
)


class Asked(Message, frozen=True, kw_only=True, tag="control.asked"):
    """The socket's edge to the control actor: somebody asked, on connection number `connection`."""

    lane: ClassVar[Lane] = Lane.CONTROL
    connection: int
    request: ControlRequest


class JudgeConfig(Message, frozen=True, kw_only=True, tag="control.judge_config"):
    """Control to whoever holds something: could you go on under it? Answered by `ConfigJudged` to `reply_to`.

    `products` are those that the next desk feeds, `dropped` those of today that it no longer has.
    """

    request_id: str
    reply_to: str
    products: tuple[ProductId, ...]
    dropped: tuple[ProductId, ...]


class ConfigJudged(Message, frozen=True, kw_only=True, tag="control.config_judged"):
    """The answer of `actor`: one reason for each thing that it could not go on with."""

    request_id: str
    actor: str
    reasons: tuple[str, ...]


class ConfigTakenUp(Message, frozen=True, kw_only=True, tag="control.config_taken_up"):
    """On record when a desk makes way: who exchanged the configuration, for what, and what it may lose now.

    Hashes are those of the run; `version` is None where the files were in place already.
    """

    by: str
    version: int | None
    before: str
    after: str
    risk: tuple[str, ...]
    what: str
    said: str


class ConfigFollowed(Message, frozen=True, kw_only=True, tag="control.config_followed"):
    """On record at each start of a desk: the configuration that it follows."""

    config_hash: str
    profile: str
    mode: str


class RunEvidence(Message, frozen=True, kw_only=True, tag="control.run_evidence"):
    """On record each hour and when a desk begins to leave: what its run tells the ladder (requirements §3).

    `market`: synthetic, tape or mirror; of PAPER only mirror hours count. `resident_bytes`: of the desk's process at
    its end; None: not measured. `ended`: it was asked to leave.
    """

    mode: str
    venue: str
    market: str
    config_hash: str
    from_ns: int
    until_ns: int
    cycles: int
    cycles_expected: int
    resident_bytes: int | None
    ended: bool


class KillEvidence(Message, frozen=True, kw_only=True, tag="control.kill_evidence"):
    """On record when a kill is rearmed: how it went, in seconds after its cause (requirements §3); None: not reached.

    `reason`, `by` and `at_ns` are the kill's; `unresolved` counts requests whose outcome nobody knew at its end.
    """

    reason: str
    by: str
    at_ns: int
    detected_s: float | None
    last_cancel_s: float | None
    empty_s: float | None
    cancelled: int
    unresolved: int
    rearmed_by: str
    said: str


class WatchdogAnswered(Message, frozen=True, kw_only=True, tag="control.watchdog_answered"):
    """The watchdog's reply to what the control actor passed on for `connection`."""

    lane: ClassVar[Lane] = Lane.CONTROL
    connection: int
    reply: Reply


class Pages(Message, frozen=True, kw_only=True, tag="control.pages"):
    """What the shared pages and the watchdog say: told at every change and each second.

    `epoch` is the page's; `latch` the watchdog's word about the kill latch, None while it has not been heard.
    `wall_ahead_ns`: how far the wall clock has moved away from the desk's own since the start. `resident_bytes`: this
    process's memory; None: not measured.
    """

    lane: ClassVar[Lane] = Lane.CONTROL
    epoch: int
    watchdog_age_s: float
    latch: Latch | None
    kill_file: bool
    wall_ahead_ns: int = 0
    resident_bytes: int | None = None


class Answer(Effect, frozen=True, kw_only=True, tag="control.answer"):
    """Send the one reply on a connection and close it. `with_actors`: the edge puts the actor list in."""

    connection: int
    reply: Reply
    with_actors: bool = False


class PassOn(Effect, frozen=True, kw_only=True, tag="control.pass_on"):
    """Ask the watchdog over its own socket; its reply comes back as `WatchdogAnswered`."""

    connection: int
    request: ControlRequest


class Arm(Effect, frozen=True, kw_only=True, tag="control.arm"):
    """Say on the pulse page whether this desk is armed."""

    armed: bool


class Leave(Effect, frozen=True, kw_only=True, tag="control.leave"):
    """End this process with `code` (0: stopped with nothing resting; 75: the epoch was revoked; 76: make way).

    `config_hash`, with 76: the configuration that was accepted.
    """

    code: int
    config_hash: str = ""


ControlMessage = (
    ControlRequest
    | Reply
    | Asked
    | WatchdogAnswered
    | Pages
    | JudgeConfig
    | ConfigJudged
    | ConfigTakenUp
    | ConfigFollowed
    | RunEvidence
    | KillEvidence
)
