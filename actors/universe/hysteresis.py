"""Membership by volume, with the patience that keeps products from coming and going (pipeline.md §3)."""

from decimal import Decimal

from msgspec.structs import replace

from protocol.base import Value
from protocol.policy_universe import VolumeSteps


class Standing(Value, frozen=True, kw_only=True):
    """Whether a product belongs, and for how many builds in a row its volume has spoken for a change."""

    member: bool
    builds: int = 0


def first(volume_usd: Decimal, floor_usd: Decimal, steps: VolumeSteps) -> Standing:
    """At its first build ever a single pass suffices."""
    return Standing(member=volume_usd >= floor_usd * steps.enter_mult)


def advance(standing: Standing, volume_usd: Decimal, floor_usd: Decimal, steps: VolumeSteps) -> Standing:
    """Count one build: enough of them in a row beyond the bound, and the product enters or leaves."""
    if standing.member:
        speaks, needed = volume_usd < floor_usd * steps.exit_mult, steps.exit_builds
    else:
        speaks, needed = volume_usd >= floor_usd * steps.enter_mult, steps.enter_builds
    if not speaks:
        return replace(standing, builds=0)
    if standing.builds + 1 >= needed:
        return Standing(member=not standing.member)
    return replace(standing, builds=standing.builds + 1)
