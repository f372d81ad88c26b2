"""What the convention tests look at: the files of the repository and their imports."""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("actors", "config", "ops", "protocol")


def dotted(path: str) -> str:
    """The module name of a source path: `actors/order/core.py` -> `actors.order.core`."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@dataclass
class Tree:
    """Source texts by path, and who imports whom; small made-up trees prove that the rules can fail."""

    sources: dict[str, str]
    modules: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.modules = {dotted(path): path for path in self.sources}

    def parsed(self, path: str) -> ast.Module:
        return ast.parse(self.sources[path], filename=path)

    def imports(self, path: str) -> set[str]:
        """Every module that a file imports, dotted; of project packages the submodule where one is named."""
        found: set[str] = set()
        for node in ast.walk(self.parsed(path)):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found |= self._from(path, node)
        return found

    def project_imports(self, path: str) -> set[str]:
        return {name for name in self.imports(path) if name.split(".")[0] in (*PACKAGES, "supervisor", "tests")}

    def closure(self, path: str) -> set[str]:
        """Paths of every project file that importing this one brings in, itself included."""
        seen: set[str] = set()
        waiting = [path]
        while waiting:
            current = waiting.pop()
            if current not in seen:
                seen.add(current)
                waiting += [self.modules[name] for name in self._loaded_by(current) if name in self.modules]
        return seen

    def _loaded_by(self, path: str) -> Iterator[str]:
        for name in self.project_imports(path):
            parts = name.split(".")
            yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))

    def _from(self, path: str, node: ast.ImportFrom) -> set[str]:
        base = node.module or ""
        if node.level:
            package = dotted(path).split(".") if path.endswith("__init__.py") else dotted(path).split(".")[:-1]
            base = ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])
        children = {f"{base}.{alias.name}" for alias in node.names}
        return {child if child in self.modules else base for child in children}


@pytest.fixture(scope="session")
def tracked() -> list[str]:
    """Paths of all files under version control that exist, relative to the root."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: nothing says which files are the project's")
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="session")
def texts(tracked: list[str]) -> dict[str, str]:
    """The text of every tracked file that is text."""
    found = {}
    for name in tracked:
        data = (ROOT / name).read_bytes()
        if b"\0" not in data:
            found[name] = data.decode("utf-8")
    return found


@pytest.fixture(scope="session")
def tree(texts: dict[str, str]) -> Tree:
    """The project's own Python, tests aside."""
    return Tree({name: text for name, text in texts.items() if name.endswith(".py") and not name.startswith("tests/")})


@pytest.fixture(scope="session")
def made_up() -> type[Tree]:
    """Builds a tree from texts, to prove that a rule can fail."""
    return Tree
