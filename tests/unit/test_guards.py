"""The guards that stand around every test do bite; each is shown inside one small test run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# 192.0.2.0/24 is reserved for documentation and never routed, should a guard be broken.
TRIALS = """
import asyncio, contextlib, gc, socket, threading, uvloop

OUTSIDE = "192.0.2.1"

def test_connect():
    with contextlib.suppress(OSError):
        socket.create_connection((OUTSIDE, 80), timeout=0.2)

def test_datagram():
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"x", (OUTSIDE, 53))

def test_name():
    with contextlib.suppress(OSError):
        socket.getaddrinfo("example.invalid", 80)

def test_asyncio():
    with contextlib.suppress(OSError):
        asyncio.run(asyncio.open_connection(OUTSIDE, 80))

def test_uvloop():
    with contextlib.suppress(OSError):
        uvloop.run(asyncio.open_connection(OUTSIDE, 80))

def test_thread():
    threading.Thread(target=threading.Event().wait, name="astray", daemon=True).start()

def test_thread_error():
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()

async def forgotten():
    return 1

def test_coroutine():
    forgotten()
    gc.collect()

def test_socket():
    socket.socket()
    gc.collect()

def test_loopback_is_free():
    async def talk():
        async def answer(reader, writer):
            writer.write(b"x")
            writer.close()
        server = await asyncio.start_server(answer, "localhost", 0)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b"x"
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
    asyncio.run(talk())
    uvloop.run(talk())
"""


@pytest.fixture(scope="module")
def complaints(tmp_path_factory):
    """What the trial run said against each test, by name."""
    folder = tmp_path_factory.mktemp("trials")
    for name in ("tests/conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (folder / "test_it.py").write_text(TRIALS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "test_it.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "400"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert " passed" in done.stdout, done.stdout + done.stderr
    found = {}
    for test, said in re.findall(r"^(?:FAILED|ERROR) test_it\.py::(\w+) - (.*)$", done.stdout, re.MULTILINE):
        found[test] = found.get(test, "") + said
    return found


@pytest.mark.parametrize("test", ["test_connect", "test_datagram", "test_name", "test_asyncio", "test_uvloop"])
def test_leaving_the_machine_fails_even_when_swallowed(complaints, test):
    assert "outside addresses" in complaints[test]


def test_a_thread_left_running_fails(complaints):
    assert "astray" in complaints["test_thread"]


@pytest.mark.parametrize("test", ["test_thread_error", "test_coroutine", "test_socket"])
def test_what_is_left_behind_fails(complaints, test):
    assert test in complaints


def test_loopback_is_free(complaints):
    assert "test_loopback_is_free" not in complaints
