"""What may stand in the repository: a fixed top level, finished and short files, and words that speak of it alone."""

import re

import pytest

TOP_LEVEL = {
    *("pyproject.toml", "actors", "protocol", "config", "supervisor.py", "tests", "ops"),
    *("README.md", "LICENSE", "CHANGELOG.md", "requirements.lock"),
}
TEST_FOLDERS = {
    "unit",
    "properties",
    "simulation",
    "contracts",
    "wire",
    "process",
    "conventions",
    "benchmarks",
    "support",
}
MAX_LINES = 500

# Written in pieces, so that this file does not hold what it forbids.
HOSTS = re.compile(r"py" r"pi\.org|python" r"hosted|registry\.n" r"pmjs|deb\.deb" r"ian\.org|proxy\.go" r"lang")
PATHS = re.compile(r"(?<![\w.<}])/" r"(?:work|farm|root|Users)/|/" r"tmp/[a-z]|(?<![\w.<}])/" r"home/[a-z]+/")
WORDS = re.compile(
    r"\bcla" r"ude|anth" r"ropic|open" r"ai\b|chat" r"gpt|co-auth" r"ored-by|generated " r"with|language " r"model"
    r"|\bsub" r"agents?\b|\bwork" r"place\b|\bthis " r"session\b|issue " r"#\d",
    re.IGNORECASE,
)  # fmt: skip
UNFINISHED = re.compile(
    r"^\s*(?:pass|\.\.\.)\s*(?:#.*)?$|NotImplemented" r"Error|\bTO" r"DO\b|\bFIX" r"ME\b|\bXX" r"X\b", re.MULTILINE
)


def hits(pattern, texts):
    """`path:line: text` for every match."""
    found = []
    for path, text in sorted(texts.items()):
        found += [
            f"{path}:{text.count(chr(10), 0, m.start()) + 1}: {m.group().strip()}" for m in pattern.finditer(text)
        ]
    return found


def test_top_level_is_fixed(tracked):
    top = {path.split("/")[0] for path in tracked}
    assert {name for name in top if not name.startswith(".")} - TOP_LEVEL == set()


@pytest.mark.parametrize(("what", "pattern"), [("hosts", HOSTS), ("paths", PATHS), ("words", WORDS)])
def test_texts_name_no_registry_no_machine_and_no_maker(texts, what, pattern):
    assert hits(pattern, texts) == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (HOSTS, ("https://py" "pi.org/simple")),
        (PATHS, ("open('/" "work/main')")),
        (PATHS, ("at /" "tmp/x")),
        (WORDS, ("Co-Auth" "ored-By: someone")),
        (UNFINISHED, "def f():\n    pass\n"),
        (UNFINISHED, "class P:\n    def f(self): \n        ...  # later"),
        (UNFINISHED, ("# TO" "DO: more")),
    ],
)  # fmt: skip
def test_offences_are_found(pattern, text):
    assert hits(pattern, {"a.py": text})


@pytest.mark.parametrize(
    "text", ["https://x.example/homepage/", "STATE/work/", "password", "bypass", "tuple[int, ...]"]
)
def test_innocent_texts_pass(text):
    assert not any(hits(pattern, {"a.py": text}) for pattern in (HOSTS, PATHS, WORDS, UNFINISHED))


def test_nothing_is_unfinished(tree):
    assert hits(UNFINISHED, tree.sources) == []


def test_files_are_short(texts):
    python = {path: text.count("\n") for path, text in texts.items() if path.endswith(".py")}
    assert {path: lines for path, lines in python.items() if lines > MAX_LINES} == {}


def test_tests_stand_in_known_folders(tracked):
    files = [path.split("/") for path in tracked if path.startswith("tests/") and path != "tests/conftest.py"]
    assert {parts[1] for parts in files} - TEST_FOLDERS == set()
    assert [parts for parts in files if parts[-1] == "__init__.py"] == []


def test_test_files_have_unique_names(tracked):
    names = [
        path.split("/")[-1] for path in tracked if path.startswith("tests/") and path.split("/")[-1].startswith("test_")
    ]
    assert sorted({name for name in names if names.count(name) > 1}) == []
