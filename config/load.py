"""Loads the configuration: every file, every layer, every mistake at once; or nothing at all."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from config import coherence, layers
from config import profile as environment_profile
from config.check import Checked, check
from config.documents import Document, read
from config.files import FILES, Config
from config.layers import Change, Overlay, Tree, laid_over
from config.origins import Origin, origins
from config.problems import ConfigError, Problem, shown
from config.resolve import resolve
from config.secrets import literal
from config.versions import interrupted
from protocol.base import Value
from protocol.policy import Policy


class Loaded(Value, frozen=True, kw_only=True):
    """A configuration that may be started with.

    `changes` lists what environment profile, environment variables and operator changed over the files;
    `applied` names the environment variables that were read; `warnings` are for people, one line each; `origins` say
    of every effective value where it comes from.
    """

    config: Config
    policy: Policy
    profile: str | None
    changes: tuple[Change, ...]
    applied: tuple[str, ...]
    warnings: tuple[Problem, ...]
    origins: tuple[Origin, ...]


def load(
    config_dir: Path,
    *,
    profile: str | None = None,
    overrides: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    profiles_from: Path | None = None,
    under_way: bool = False,
) -> Loaded:
    """Read, check and resolve everything.

    Args:
        config_dir: where `app.yaml` and its four neighbours and `profiles/` stand.
        profile: the environment profile, a file of `profiles/` without its ending; None for none.
        overrides: what an operator sets for this run, by dotted key, e.g. `{"app.mode": "PAPER"}`.
        environ: environment variables; those that begin with `TRADER__` are applied.
        profiles_from: the folder whose `profiles/` holds the environment profiles; `config_dir` unless given.
        under_way: for a run that trades already (`coherence.problems`).

    Raises:
        ConfigError: with every mistake found. Nothing else is raised for what stands in files or variables.
    """
    files = {which: _file(config_dir, which) for which in FILES}
    base = {which: found.data for which, found in files.items()}
    overlays = (
        environment_profile.overlay(profiles_from or config_dir, profile),
        layers.environment(environ or {}, base),
        layers.operator(overrides or {}, base),
    )
    chosen = _risk_profile(base, overlays)
    below = {**base, "policy": laid_over(base["policy"], chosen[1])}
    config = _typed(layers.stacked(below, overlays))
    found = [*interrupted(config_dir), *(p for file in files.values() for p in file.problems)]
    found += [p for over in overlays for p in over.problems]
    problems = found + _broken_rules(config, found, under_way=under_way)
    if config is None or problems:
        raise ConfigError(problems)
    policy = resolve(config)
    viability = coherence.viability(policy, None)
    if viability.problems:
        raise ConfigError(viability.problems)
    overruled = _overruled(base["policy"], below["policy"])
    return Loaded(
        config=config,
        policy=policy,
        profile=profile,
        changes=layers.changes(below, overlays),
        applied=overlays[1].names,
        warnings=(*overruled, *coherence.warnings(config), *viability.warnings),
        origins=origins(config, base, chosen, overlays),
    )


def _file(config_dir: Path, which: str) -> Checked:
    document = read(config_dir / f"{which}.yaml", f"{which}.yaml")
    secrets = literal(document.file, document.data, document.text)
    if document.problems and not document.data:
        return Checked({}, (*document.problems, *secrets))
    checked = check(which, document.data, file=document.file, places=document.places, whole=True)
    return Checked(checked.data, (*secrets, *_beside(document, checked.problems)))


def _beside(document: Document, found: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """What could not be read, and what the schema says about the rest."""
    unread = {problem.key for problem in document.problems}
    return (*document.problems, *(problem for problem in found if problem.key not in unread))


def _risk_profile(base: Mapping[str, Tree], overlays: tuple[Overlay, ...]) -> tuple[str, Tree]:
    """The risk profile that counts in the end, whichever layer chose it, and what it sets."""
    policy = layers.stacked({"policy": base["policy"]}, overlays)["policy"]
    name = str(policy.get("risk_profile", "conservative"))
    return name, layers.risk_profile(policy, name)


def _overruled(file: Mapping[str, object], effective: Mapping[str, object]) -> list[Problem]:
    rule = "overruled by the risk profile; change it in `profiles` or choose another `risk_profile`"
    written = dict(layers.leaves(file))
    return [
        Problem(file="policy.yaml", key=key, value=shown(value), rule=rule)
        for key, value in layers.leaves(effective)
        if key in written and written[key] != value
    ]


def _typed(trees: Mapping[str, Tree]) -> Config | None:
    try:
        return msgspec.convert(trees, Config)
    except msgspec.ValidationError:
        return None  # something required is missing; the checks have said which


def _broken_rules(config: Config | None, found: list[Problem], *, under_way: bool) -> list[Problem]:
    """Rules between keys that are broken, but for those that only follow from a key already found bad."""
    if config is None:
        return []
    bad = {key for problem in found for key in problem.key.split(", ")}
    return [p for p in coherence.problems(config, under_way=under_way) if not _follows(p, bad)]


def _follows(problem: Problem, bad: set[str]) -> bool:
    """Whether a broken rule only follows from a key that is already called bad."""
    keys = problem.key.split(", ")
    return any(key == b or key.startswith(f"{b}.") or b.startswith(f"{key}.") for key in keys for b in bad)


__all__ = ["Change", "ConfigError", "Loaded", "Problem", "load"]
