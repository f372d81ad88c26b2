"""What people must hear of the account as a whole: held against the limits at each look. Pure."""

from decimal import Decimal

from msgspec.structs import replace

from actors.risk.exposure import Exposure
from actors.risk.sizing import minimum_usd
from actors.risk.state import Risk, Weighed
from protocol.base import NO_EFFECTS, Effects
from protocol.effects import Note
from protocol.money import PCT, ZERO
from protocol.risk import Alert

_MOVED = Decimal("0.1")


def weighed(risk: Risk, nav_usd: Decimal | None, now_ns: int) -> tuple[Risk, Effects]:
    """Weigh the account when its value is first known, and when it has moved by more than a tenth (rule 25)."""
    before = risk.weighed
    if nav_usd is None or nav_usd <= ZERO:
        return risk, NO_EFFECTS
    if before is not None and abs(nav_usd - before.nav_usd) <= before.nav_usd * _MOVED:
        return risk, NO_EFFECTS
    limits, least = risk.limits, minimum_usd(risk.limits)
    floor = max(limits.min_position_size_pct, least / nav_usd * PCT)
    starved = sum(pct < floor for pct in limits.least_entries_pct)
    now = Weighed(nav_usd=nav_usd, needed_usd=least / limits.tier1_ceiling_pct * PCT, starved=starved)
    risk = replace(risk, weighed=now)
    if not now.too_small or (before is not None and before.too_small):
        return risk, NO_EFFECTS
    alert = Alert(
        kind="account_too_small",
        severity="CRITICAL",
        subject="desk",
        message="no position worth its fees fits under the caps: nothing is bought",
        context=(("nav_usd", f"{nav_usd:.2f}"), ("needed_usd", f"{now.needed_usd:.2f}")),
        at_ns=now_ns,
    )
    return risk, (Note(message=alert),)


def breached(risk: Risk, book: Exposure, now_ns: int) -> tuple[Risk, Effects]:
    """Say once, until it is below again, that what we hold and are buying exceeds the cap (operations.md §2).

    Prices alone can do that. Holdings of others are nothing that we could reduce, so they are no alarm.
    """
    if not book.nav_usd or book.nav_usd < ZERO:
        return risk, NO_EFFECTS
    pct, cap = sum((s.total_usd for s in book.stakes), ZERO) / book.nav_usd * PCT, risk.limits.max_total_at_risk_pct
    over = pct > cap
    if over is risk.breached:
        return risk, NO_EFFECTS
    risk = replace(risk, breached=over)
    if not over:
        return risk, NO_EFFECTS
    alert = Alert(
        kind="exposure_breach",
        severity="WARNING",
        subject="desk",
        message="positions and pending purchases exceed the cap of the whole",
        context=(("pct", f"{pct:.2f}"), ("cap", str(cap))),
        at_ns=now_ns,
    )
    return risk, (Note(message=alert),)
