"""Where each effective value comes from."""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from config.files import FILES, Config
from config.layers import Overlay, Tree, leaves
from protocol.base import Value

DEFAULT, FILE = "default", "file"


class Origin(Value, frozen=True, kw_only=True):
    """One effective value. `source`: default, file, the risk profile, or the layer that had the last word."""

    file: str
    key: str
    value: object
    source: str


def plain_trees(config: Config) -> dict[str, Tree]:
    """Every effective value under its key as the files write it; numbers stay exact."""
    return {which: msgspec.to_builtins(getattr(config, which), builtin_types=(Decimal,)) for which in FILES}


def origins(
    config: Config, base: Mapping[str, Tree], chosen: tuple[str, Tree], overlays: tuple[Overlay, ...]
) -> tuple[Origin, ...]:
    """Every effective value with its source.

    Args:
        config: the effective configuration.
        base: what stands in the files.
        chosen: name of the risk profile that counts, and what it sets in `policy.yaml`.
        overlays: the layers above, lowest first.
    """
    name, profile = chosen
    layers: list[tuple[str, Mapping[str, Mapping[str, object]]]] = [
        (FILE, base),
        (f"risk profile {name}", {"policy": profile}),
        *((overlay.source, overlay.trees) for overlay in overlays),
    ]
    said = {
        (which, key): source for source, trees in layers for which, tree in trees.items() for key, _ in leaves(tree)
    }
    return tuple(
        Origin(file=which, key=key, value=value, source=said.get((which, key), DEFAULT))
        for which, tree in plain_trees(config).items()
        for key, value in leaves(tree)
    )
