"""Holds for every test: nothing outside this machine is reached, and nothing is left running.

The network guard is an audit hook, so it sees every socket of the interpreter, also inside libraries and threads;
uvloop connects below Python and is wrapped beside it. A blocked attempt fails the test even where the code under test
swallows the error.
"""

import ipaddress
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop

LOCAL_NAMES = {"localhost", "ip6-localhost", "", None}
THREAD_GRACE_S = 2.0

blocked: list[str] = []


class OutsideAddressError(PermissionError):
    """A test tried to reach an address that is not this machine's loopback."""


def is_local(host: Any) -> bool:
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host in LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def refuse(host: Any) -> None:
    if not is_local(host):
        blocked.append(str(host))
        raise OutsideAddressError(f"tests reach loopback only, not {host!r}")


def guard(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        sock, address = arguments
        if sock.family in (socket.AF_INET, socket.AF_INET6) and address is not None:
            refuse(address[0])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        refuse(arguments[0])


def guard_uvloop() -> None:
    # libuv opens its sockets without an audit event, so its two doors are watched here.
    def watched(name: str, host_of: Callable[..., Any]) -> None:
        original = getattr(uvloop.Loop, name)

        async def call(self: Any, *args: Any, **options: Any) -> Any:
            refuse(host_of(*args, **options))
            return await original(self, *args, **options)

        setattr(uvloop.Loop, name, call)

    watched("create_connection", lambda _factory, host=None, *_, **__: host)
    watched("create_datagram_endpoint", lambda *_, remote_addr=None, **__: (remote_addr or ("",))[0])
    watched("sock_connect", lambda _sock, address: address[0] if isinstance(address, tuple) else "")
    watched("getaddrinfo", lambda host, *_, **__: host)


sys.addaudithook(guard)
guard_uvloop()


@pytest.fixture(autouse=True)
def loopback_only() -> Iterator[None]:
    """Fails a test that tried to leave this machine."""
    blocked.clear()
    yield
    if blocked:
        pytest.fail(f"tried to reach outside addresses: {', '.join(blocked)}")


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Fails a test whose threads outlive it; fixtures of a wider scope may keep theirs."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + THREAD_GRACE_S
    for thread in set(threading.enumerate()) - before:
        thread.join(max(0.0, deadline - time.monotonic()))
    left = [thread.name for thread in set(threading.enumerate()) - before if thread.is_alive()]
    if left:
        pytest.fail(f"threads left running: {', '.join(sorted(left))}")
