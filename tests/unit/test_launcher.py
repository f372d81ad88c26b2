"""The launcher and its set-up, against stand-ins for Python, pip and the machine, in a copy of the two files."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BASE_PYTHON = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"

FAKE_PIP = """
import os, pathlib, sys, time
calls = pathlib.Path(os.environ["FAKE_PIP_CALLS"])
with calls.open("a") as log:
    log.write(" ".join(sys.argv[1:]) + chr(10))
time.sleep(float(os.environ.get("FAKE_PIP_SECONDS", "0")))
print(os.environ.get("FAKE_PIP_SAYS", ""))
sys.exit(int(os.environ.get("FAKE_PIP_EXIT", "0")))
"""
PYTHON_WITHOUT_ENSUREPIP = f"""#!/bin/sh
case "$*" in
    *ensurepip*) exit 1 ;;
    -I*) shift; exec "{BASE_PYTHON}" -I -c "
import importlib.util, runpy, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == 'ensurepip' else find(name)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')" "$@" ;;
esac
"""
FAKE_CLI = "import os, sys\nprint(os.getcwd(), *sys.argv[1:], sep='|')\nsys.exit(7)\n"


class Machine:
    """A copy of the launcher in a project whose `.venv` has a stand-in for pip; nothing is downloaded."""

    def __init__(self, home: Path) -> None:
        self.root = home / "a project"
        ops = self.root / "ops"
        ops.mkdir(parents=True)
        for name in ("trader", "bootstrap.py"):
            shutil.copy(ROOT / "ops" / name, ops / name)
        (ops / "__init__.py").touch()
        (ops / "cli.py").write_text(FAKE_CLI)
        self.lock = self.root / "requirements.lock"
        self.lock.write_text("one==1\n")
        self.bin = home / "bin"
        self.bin.mkdir()
        for tool in ("readlink", "dirname", "cmp"):
            (self.bin / tool).symlink_to(shutil.which(tool) or pytest.fail(f"{tool} is missing"))
        self.calls = home / "calls"
        self.home = home

    def add_python(self) -> None:
        (self.bin / "python3").symlink_to(BASE_PYTHON)

    def add_environment(self) -> None:
        """An environment as a first start leaves it, but with a pip that only writes down that it was called."""
        subprocess.run([BASE_PYTHON, "-m", "venv", "--without-pip", self.root / ".venv"], check=True)
        packages = next((self.root / ".venv" / "lib").glob("python3.*")) / "site-packages"
        (packages / "pip").mkdir()
        (packages / "pip" / "__init__.py").touch()
        (packages / "pip" / "__main__.py").write_text(FAKE_PIP)

    def start(self, *arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.Popen[str]:
        # An empty environment: what a fresh machine has is a PATH, and here not even a HOME.
        return subprocess.Popen(
            ["/bin/sh", self.root / "ops" / "trader", *arguments],
            cwd=cwd or self.home,
            env={"PATH": str(self.bin), "FAKE_PIP_CALLS": str(self.calls), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, cwd: Path | None = None, **environment: str) -> tuple[int, str, str]:
        process = self.start(*arguments, cwd=cwd, **environment)
        out, err = process.communicate(timeout=30)
        return process.returncode, out.strip(), err.strip()

    def pip_calls(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.fixture
def ready(machine):
    machine.add_python()
    machine.add_environment()
    return machine


def test_runs_the_verb_from_the_callers_directory_and_passes_its_exit_code(ready):
    elsewhere = ready.home / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "ops.py").write_text("raise SystemExit('a stray module was imported')")
    code, out, _ = ready.run("status", "two words", cwd=elsewhere)
    assert (code, out) == (7, f"{elsewhere}|status|two words")


def test_installs_hashed_once_and_again_when_the_lock_changes(ready):
    _, _, said = ready.run("status")
    ready.run("status")
    assert len(ready.pip_calls()) == 1
    assert "--require-hashes" in ready.pip_calls()[0]
    assert "setting up" in said
    ready.lock.write_text("one==2\n")
    ready.run("status")
    _, _, quiet = ready.run("status")
    assert len(ready.pip_calls()) == 2
    assert quiet == ""


def test_works_through_a_symlink(ready):
    link = ready.home / "trader"
    link.symlink_to(ready.root / "ops" / "trader")
    done = subprocess.run([link, "x"], env={"PATH": str(ready.bin), "FAKE_PIP_CALLS": str(ready.calls)}, check=False)
    assert done.returncode == 7


def test_two_first_starts_at_once_install_once(ready):
    processes = [ready.start("status", FAKE_PIP_SECONDS="0.3") for _ in range(2)]
    ends = [(p.communicate(timeout=30), p.returncode) for p in processes]
    assert [code for _, code in ends] == [7, 7]
    assert len(ready.pip_calls()) == 1


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("WARNING: Retrying after connection broken by 'NewConnectionError'", "no package index could be reached"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "differs from its hash"),
        ("ERROR: No space left on device", "No space left on device"),
    ],
)
def test_a_failed_install_says_what_to_do_and_is_tried_again(ready, said, told):
    code, out, err = ready.run("status", FAKE_PIP_EXIT="1", FAKE_PIP_SAYS=said)
    assert (code, out) == (1, "")
    assert told in err.splitlines()[-1]
    assert "Traceback" not in err
    assert ready.run("status")[0] == 7
    assert len(ready.pip_calls()) == 2


@pytest.mark.slow
def test_a_killed_install_is_begun_again_from_nothing(ready):
    process = ready.start("status", FAKE_PIP_SECONDS="30")
    while not ready.pip_calls():
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    (ready.root / ".venv" / "leftover").touch()
    # The real pip of the new environment may not look for packages anywhere but in an empty folder.
    empty = ready.home / "empty"
    empty.mkdir()
    code, _, err = ready.run("status", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(empty), PIP_CONFIG_FILE=os.devnull)
    assert code == 1
    assert "No matching distribution" in err
    assert not (ready.root / ".venv" / "leftover").exists()


def test_no_python_is_one_clear_line(machine):
    code, out, err = machine.run("status")
    assert (code, out) == (1, "")
    assert "Python 3.11 or newer is needed" in err
    assert len(err.splitlines()) == 1


def test_an_old_python_is_not_used(machine):
    old = machine.bin / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    code, _, err = machine.run("status")
    assert code == 1
    assert "Python 3.11 or newer is needed" in err


def test_missing_venv_module_says_what_to_install(machine):
    # Debian's Python without python3-venv: the interpreter is there, ensurepip is not.
    bare = machine.bin / "python3"
    bare.write_text(PYTHON_WITHOUT_ENSUREPIP)
    bare.chmod(0o755)
    code, _, err = machine.run("status")
    assert code == 1
    assert "lacks the venv module" in err
    assert "apt install" in err
    assert "Traceback" not in err
    assert not (machine.root / ".venv").exists()


def test_unwritable_project_is_one_clear_line(ready):
    if os.geteuid() == 0:
        shutil.rmtree(ready.root / ".venv")
        (ready.root / ".venv").write_text("a file where the folder should be")
    else:
        (ready.root / ".venv").chmod(0o500)
    code, _, err = ready.run("status")
    assert code == 1
    assert "Traceback" not in err
    assert "cannot" in err.splitlines()[-1]
