"""Makes `.venv` at the project's root hold exactly what `requirements.lock` names. Standard library only.

Run by `ops/trader` with whatever Python the machine has. Two first starts at once are safe: one installs, the other
waits for it. A set-up that was killed is begun again from nothing, so a half-installed package never stays.
"""

import fcntl
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
STAMP = ENVIRONMENT / "lock.stamp"  # a copy of the lock that stands installed
UNFINISHED = ENVIRONMENT / "setup.unfinished"
LOG = ENVIRONMENT / "setup.log"

NETWORK_SIGNS = (
    "NewConnectionError",
    "ConnectTimeout",
    "ProxyError",
    "Temporary failure",
    "Connection refused",
    "Max retries",
)
"""What pip says when no package index answers."""


class SetupError(Exception):
    """The environment cannot be made; the text tells the user what to do about it."""


def say(text: str) -> None:
    """Prints one progress line where a verb's output cannot be mixed up with it."""
    print(f"trader: {text}", file=sys.stderr, flush=True)


def installed() -> bool:
    """True when the environment holds what the lock names."""
    return os.access(PYTHON, os.X_OK) and STAMP.is_file() and STAMP.read_bytes() == LOCK.read_bytes()


def healthy() -> bool:
    """True when an environment is there, was not cut short, and its pip runs on a new enough Python."""
    probe = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    whole = os.access(PYTHON, os.X_OK) and not UNFINISHED.exists()
    return whole and subprocess.run([PYTHON, "-I", "-c", probe], capture_output=True, check=False).returncode == 0


def logged(command: list[str | Path]) -> str | None:
    """Runs a command into the set-up log; returns None when it succeeded, else what it printed."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    with LOG.open("a", encoding="utf-8") as log:
        log.write(done.stdout)
    return None if done.returncode == 0 else done.stdout


def create() -> None:
    """Makes an empty virtual environment over whatever stands there.

    Raises:
        SetupError: this Python has no `venv` or no `ensurepip`, or they failed.
    """
    if not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise SetupError(
            f"{sys.executable} lacks the venv module; install it "
            f"(Debian, Ubuntu: apt install python{version}-venv) and run this again"
        )
    ENVIRONMENT.mkdir(exist_ok=True)
    UNFINISHED.touch()
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", ENVIRONMENT], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        reason = (made.stdout + made.stderr).strip().splitlines() or ["no reason given"]
        raise SetupError(f"cannot make {ENVIRONMENT}: {reason[-1]}; check disk space and permissions")


def explain(output: str) -> str:
    """Turns pip's output into one line that says what to do."""
    if "DO NOT MATCH THE HASHES" in output:
        return "a downloaded package differs from its hash in the lock: do not use this package index"
    if any(sign in output for sign in NETWORK_SIGNS):
        return "no package index could be reached; connect to a network or let pip's configuration name a mirror"
    errors = [line for line in output.splitlines() if line.startswith("ERROR")]
    return errors[-1].removeprefix("ERROR: ") if errors else "pip gave no reason"


def install() -> None:
    """Installs the lock, then stamps the environment.

    Raises:
        SetupError: pip failed.
    """
    STAMP.unlink(missing_ok=True)
    UNFINISHED.touch()
    wanted = LOCK.read_bytes()
    failure = logged(
        [
            PYTHON,
            "-I",
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--progress-bar",
            "off",
            "--require-hashes",
            "-r",
            LOCK,
        ]
    )
    # Reached only when pip ended by itself: it has then put back what it had begun to replace. A killed set-up stays
    # marked, and the next one starts from an empty environment.
    UNFINISHED.unlink()
    if failure is not None:
        raise SetupError(f"cannot install the dependencies: {explain(failure)} (details: {LOG})")
    fresh = STAMP.with_suffix(".new")
    fresh.write_bytes(wanted)
    fresh.replace(STAMP)


def set_up() -> None:
    """Makes or refreshes the environment; the caller holds the file lock."""
    if installed():
        return
    started = time.monotonic()
    say("setting up .venv from requirements.lock (once, about a minute)")
    if not healthy():
        create()
    install()
    say(f"ready after {time.monotonic() - started:.0f} s")


def main() -> int:
    """Sets up under a lock that dies with its holder; returns the exit code."""
    try:
        with LOCK.open("rb") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("another set-up is running; waiting for it")
                fcntl.flock(held, fcntl.LOCK_EX)
            set_up()
    except SetupError as error:
        say(str(error))
        return 1
    except OSError as error:
        say(f"cannot set up {ENVIRONMENT}: {error}")
        return 1
    except KeyboardInterrupt:
        say("set-up interrupted; run this again")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
