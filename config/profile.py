"""Environment profiles: a few keys over the files, for one kind of run. None of them can unlock real money."""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path

from config.check import Checked, check
from config.documents import Document, read
from config.files import FILES
from config.layers import Overlay, unsafe
from config.problems import Problem, shown
from config.secrets import hide, literal

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


def overlay(config_dir: Path, name: str | None) -> Overlay:
    """Read `profiles/<name>.yaml`, whose top level names the files it changes; None changes nothing."""
    if name is None:
        return Overlay(source="no profile", trees={})
    source = f"profiles/{name}.yaml"
    if not _NAME.fullmatch(name) or not (config_dir / source).is_file():
        rule = f"there is no such environment profile{_near(config_dir, name)}"
        problem = Problem(file="profiles", key="profile", value=shown(name), rule=rule)
        return Overlay(source="profile", trees={}, problems=(problem,))
    document = read(config_dir / source, source)
    parts = {which: _part(document, which, tree) for which, tree in document.data.items()}
    trees = {which: part.data for which, part in parts.items()}
    problems = [
        *document.problems,
        *literal(source, document.data, document.text),
        *unsafe(source, "an environment profile", trees),
    ]
    problems += [problem for part in parts.values() for problem in part.problems]
    return Overlay(source=f"profile {name}", trees=trees, problems=tuple(problems))


def _part(document: Document, which: str, tree: object) -> Checked:
    if which not in FILES or not isinstance(tree, Mapping):
        rule = f"must be a mapping under one of {', '.join(FILES)}"
        problem = Problem(file=document.file, key=shown(which), value=shown(hide(which, tree)), rule=rule)
        return Checked({}, (problem,))
    places = {path[1:]: place for path, place in document.places.items() if path[0] == which and path[1:]}
    return check(which, tree, file=document.file, places=places, whole=False)


def _near(config_dir: Path, name: str) -> str:
    known = sorted(path.stem for path in (config_dir / "profiles").glob("*.yaml"))
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known) or 'none'}"
