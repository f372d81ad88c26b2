"""How a shadow strategy's decisions differ from those of the live ones, cycle by cycle. Pure."""

from msgspec.structs import replace

from protocol.strategy import ShadowDecided, ShadowTally


def add(before: ShadowTally | None, decided: ShadowDecided) -> ShadowTally:
    """The tally with one more cycle in it."""
    before = before or ShadowTally(name=decided.strategy, since_ns=decided.at_ns)
    live = {(pick.product_id, pick.side): pick for pick in decided.live}
    own = {(p.product_id, p.side): p for p in decided.proposals}
    both = sorted(own.keys() & live.keys(), key=lambda key: key[0])
    gap = sum(own[key].conviction - live[key].conviction for key in both)
    size = sum((own[key].notional_pct - live[key].notional_pct for key in both), start=before.size_gap_pct_sum)
    return replace(
        before,
        cycles=before.cycles + 1,
        agreed=before.agreed + len(both),
        alone=before.alone + len(own) - len(both),
        missed=before.missed + len(live) - len(both),
        conviction_gap_sum=round(before.conviction_gap_sum + gap, 9),
        size_gap_pct_sum=size,
    )
