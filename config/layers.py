"""Which value counts when several places name one: each layer lies over the one before.

Schema defaults, then the file, then the risk profile, then the environment profile, then environment variables
`TRADER__SECTION__KEY`, then what an operator says.
"""

from collections.abc import Iterator, Mapping
from typing import cast

from msgspec import inspect
from msgspec.structs import replace

from config.check import SAFETY_KEYS, check, described, plain_type
from config.documents import scalar
from config.files import FILES
from config.left_out import word
from config.problems import Problem, shown
from config.secrets import RULE, looks_secret
from protocol.base import Value

Tree = dict[str, object]
PREFIX = "TRADER__"
_NO_KEY = "no key of that name; TRADER__SECTION__KEY names section and key as the files do"

BY_RISK_PROFILE: tuple[tuple[str, str], ...] = (
    ("min_conviction", "strategy.min_conviction_to_propose"),
    ("tier_size_pct", "strategy.base_position_pct"),
    ("tier_max_pct", "risk.max_tier_position_pct"),
    ("min_notional_usd", "risk.min_trade_notional_usd"),
    ("min_notional_usd", "execution.min_notional_usd"),
)
"""What a risk profile sets: its own key, and the key of `policy.yaml` it decides."""


class Overlay(Value, frozen=True, kw_only=True):
    """Keys that one layer changes, file by file. `names`: what was applied, in the words of its source."""

    source: str
    trees: Mapping[str, Mapping[str, object]]
    problems: tuple[Problem, ...] = ()
    names: tuple[str, ...] = ()


class Change(Value, frozen=True, kw_only=True):
    """A key that a layer above the files and the risk profile set to something else."""

    file: str
    key: str
    before: str
    after: str
    source: str

    def __str__(self) -> str:
        return f"{self.file}.yaml {self.key}: {self.before} -> {self.after} ({self.source})"


def laid_over(below: Mapping[str, object], above: Mapping[str, object]) -> Tree:
    """`below` with the keys of `above` changed, mapping by mapping; lists and plain values are replaced whole."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = laid_over(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def leaves(tree: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every key that holds no mapping, dotted, with its value."""
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from leaves(value, f"{path}.")
        else:
            yield path, value


def at(tree: Mapping[str, object], path: str) -> object:
    """The value under a dotted key; None where there is none."""
    found: object = tree
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def planted(path: str, value: object) -> Tree:
    """A tree that holds one value under a dotted key."""
    first, _, rest = path.partition(".")
    return {first: planted(rest, value) if rest else value}


def risk_profile(policy: Mapping[str, object], name: str) -> Tree:
    """What the risk profile sets in `policy.yaml`; nothing when there is none of that name."""
    profiles = policy.get("profiles")
    chosen: object = profiles.get(name) if isinstance(profiles, Mapping) else None
    if not isinstance(chosen, Mapping):
        return {}
    tree: Tree = {}
    for own, target in BY_RISK_PROFILE:
        tree = laid_over(tree, planted(target, chosen[own])) if own in chosen else tree
    return tree


def environment(environ: Mapping[str, str], base: Mapping[str, Mapping[str, object]]) -> Overlay:
    """What variables `TRADER__SECTION__KEY` set. A file's name may stand before the section; case does not count."""
    asked = {name: value for name, value in sorted(environ.items()) if name.startswith(PREFIX)}
    said = _said("environment", {n: n.removeprefix(PREFIX).replace("__", ".") for n in asked}, asked, base)
    return replace(said, problems=(*said.problems, *unsafe("environment", "an environment variable", said.trees)))


def operator(overrides: Mapping[str, str], base: Mapping[str, Mapping[str, object]]) -> Overlay:
    """What an operator sets for this run: dotted keys, `risk.max_open_positions` or `policy.risk.…`."""
    return _said("operator", {name: name for name in overrides}, overrides, base)


def _said(
    source: str, paths: Mapping[str, str], values: Mapping[str, str], base: Mapping[str, Mapping[str, object]]
) -> Overlay:
    trees: dict[str, Tree] = {}
    problems: list[Problem] = []
    for name, path in paths.items():
        place = _find(path, base)
        if looks_secret(values[name]):
            problems.append(Problem(file=source, key=shown(name), value="(hidden)", rule=RULE))
        elif place is None:
            rule = word(path.lower()) or _NO_KEY
            problems.append(Problem(file=source, key=shown(name), value="(not read)", rule=rule))
        else:
            which, key = place
            one = check(which, planted(key, scalar(values[name])), file=source, whole=False)
            problems += one.problems
            trees[which] = laid_over(trees.get(which, {}), one.data)
    return Overlay(source=source, trees=trees, problems=tuple(problems), names=tuple(paths))


def _find(path: str, base: Mapping[str, Mapping[str, object]]) -> tuple[str, str] | None:
    """The file and exact key that a caseless name means; None when it means no key or several."""
    parts = path.split(".")
    found = [(which, key) for which in FILES if (key := _key_in(which, parts, base))]
    if parts[0].lower() in FILES:
        named = parts[0].lower()
        found += [(named, key) for key in [_key_in(named, parts[1:], base)] if key]
    return found[0] if len(found) == 1 else None


def _key_in(which: str, parts: list[str], base: Mapping[str, Mapping[str, object]]) -> str | None:
    declared: inspect.Type = described(FILES[which])
    exact: list[str] = []
    for part in parts:
        declared, _ = plain_type(declared)
        if isinstance(declared, inspect.StructType):
            hit = next((f for f in declared.fields if f.encode_name.lower() == part.lower()), None)
            if hit is None:
                return None
            exact.append(hit.encode_name)
            declared = hit.type
        elif isinstance(declared, inspect.DictType):
            entries = at(base.get(which, {}), ".".join(exact))
            names = cast("Mapping[str, object]", entries) if isinstance(entries, Mapping) else {}
            exact.append(next((n for n in names if n.lower() == part.lower()), part))
            declared = declared.value_type
        else:
            return None
    ends = not isinstance(plain_type(declared)[0], inspect.StructType | inspect.DictType)
    return ".".join(exact) if exact and ends else None


def unsafe(file: str, who: str, trees: Mapping[str, Mapping[str, object]]) -> tuple[Problem, ...]:
    """Safety keys that a layer opens: only the files, where a person writes them, may (requirements.md M1).

    Args:
        file: how problems call the place the layer comes from.
        who: the layer in words.
        trees: what the layer sets, checked.
    """
    rule = f"rule 17: {who} may never set mode LIVE, read_only false or live_trading_enabled true"
    return tuple(
        Problem(file=file, key=key, value=shown(value), rule=rule)
        for tree in trees.values()
        for key, value in leaves(tree)
        if key in SAFETY_KEYS and value == SAFETY_KEYS[key]
    )


def stacked(below: Mapping[str, Tree], overlays: tuple[Overlay, ...]) -> dict[str, Tree]:
    """Every file with all overlays applied."""
    trees = dict(below)
    for overlay in overlays:
        trees = {which: laid_over(tree, overlay.trees.get(which, {})) for which, tree in trees.items()}
    return trees


def changes(base: Mapping[str, Tree], overlays: tuple[Overlay, ...]) -> tuple[Change, ...]:
    """What the overlays change, one after the other; a key set to the value it has is no change."""
    found: list[Change] = []
    current = dict(base)
    for overlay in overlays:
        for which, tree in overlay.trees.items():
            for key, value in leaves(tree):
                before = at(current[which], key)
                if before != value:
                    found.append(
                        Change(file=which, key=key, before=shown(before), after=shown(value), source=overlay.source)
                    )
            current[which] = laid_over(current[which], tree)
    return tuple(found)
