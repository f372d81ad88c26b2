"""Builds: what volume says of each product in one regime, cached; a build counts for patience once (pipeline.md §3)."""

from decimal import Decimal

from msgspec.structs import replace

from actors.universe import hysteresis
from actors.universe.eligibility import Member
from actors.universe.hysteresis import Standing
from actors.universe.state import Record, Snapshot, Universe
from protocol.ids import ProductId
from protocol.strategy import Regime


def build(state: Universe, regime: Regime, now_ns: int) -> Universe:
    """The universe with a snapshot of this regime that is young enough and complete.

    A product whose volume comes to be known later joins the standing snapshot. A regime without volume floors has none.
    """
    scale = state.settings.scale(regime).volume_mult
    if scale is None:
        return state
    last = state.snapshots.get(regime)
    if last is None or now_ns - last.built_ns >= state.settings.refresh_ns:
        last = Snapshot(built_ns=now_ns, members={})
    wanted = {p: v for p, v in _volumes(state).items() if p not in last.members}
    if not wanted:
        return replace(state, snapshots={**state.snapshots, regime: last})
    record = _counted(state, wanted, (regime, scale), now_ns)
    fresh = {
        product: Member(volume_usd=volume, floor_usd=_floor(state, product, scale), standing=record.standings[product])
        for product, volume in wanted.items()
    }
    last = replace(last, members={**last.members, **fresh})
    return replace(state, record=record, snapshots={**state.snapshots, regime: last})


def _volumes(state: Universe) -> dict[ProductId, Decimal]:
    """The venue's USD volume of every product of a tier that has one."""
    known = ((p, state.rules.get(p)) for p in state.settings.traded())
    return {p: r.volume_24h_usd for p, r in known if r is not None and r.volume_24h_usd is not None}


def _floor(state: Universe, product: ProductId, scale: Decimal) -> Decimal:
    tier = next(tier for tier in state.settings.bounds.tiers if product in tier.products)
    return tier.min_volume_usd * scale


def _counted(state: Universe, volumes: dict[ProductId, Decimal], at: tuple[Regime, Decimal], now_ns: int) -> Record:
    """Every product's standing after this build. A restart within the refresh time is no further build."""
    (regime, scale), record = at, state.record
    counts = now_ns - record.counted_ns.get(regime.value, -state.settings.refresh_ns) >= state.settings.refresh_ns
    standings = dict(record.standings)
    for product, volume in volumes.items():
        floor = _floor(state, product, scale)
        standings[product] = _standing(standings.get(product), (volume, floor), state, counts=counts)
    if standings == record.standings:
        return record
    return replace(record, standings=standings, counted_ns={**record.counted_ns, regime.value: now_ns})


def _standing(before: Standing | None, found: tuple[Decimal, Decimal], state: Universe, *, counts: bool) -> Standing:
    steps = state.settings.bounds.steps
    if before is None:
        return hysteresis.first(*found, steps)
    return hysteresis.advance(before, *found, steps) if counts else before
