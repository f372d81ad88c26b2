"""The watchdog's log: what a crash, a full disk or a bad sector leave of it, and what the next start makes of that."""

import os

import pytest
from msgspec.structs import replace

from actors.watchdog import log as log_module
from actors.watchdog.log import SIZE, LatchLog
from protocol.control import Latch

KILLED = Latch(killed=True, epoch=3, reason="practice", by="op", at_ns=1, scope="mine")
REARMED = replace(KILLED, killed=False, epoch=4, reason="checked")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "watchdog.log"


def wrote(path, *latches) -> bytes:
    """Write these, close, and give the bytes up to the last line's end."""
    log = LatchLog(path)
    for latch in latches:
        log.write(latch)
    log.close()
    return path.read_bytes().rstrip(b"\0")


def reopened(path) -> tuple[bool, Latch | None]:
    log = LatchLog(path)
    try:
        return log.damaged, log.last()
    finally:
        log.close()


def put(path, data: bytes) -> None:
    """The file as a crash might leave it: allocated whole, this in it."""
    path.write_bytes(data + b"\0" * (SIZE - len(data)))


def test_before_the_first_line_nothing_was_killed(path):
    assert reopened(path) == (False, None)


@pytest.mark.req("K1")
def test_the_newest_line_survives_a_restart(path):
    wrote(path, KILLED)
    assert reopened(path) == (False, KILLED)
    wrote(path, REARMED)
    assert reopened(path) == (False, REARMED)


def test_the_file_is_private_and_allocated_whole_before_it_is_needed(path):
    wrote(path)
    found = path.stat()
    assert found.st_mode & 0o777 == 0o600
    assert (found.st_size, found.st_blocks * 512 >= SIZE) == (SIZE, True)


@pytest.mark.req("K1")
def test_a_line_cut_off_anywhere_was_never_acted_on_and_the_next_takes_its_place(path):
    whole = wrote(path, KILLED)
    both = wrote(path, REARMED)
    for cut in range(len(whole), len(both)):
        put(path, both[:cut])
        assert reopened(path) == (False, KILLED), cut
    put(path, both[: len(whole) + 20])
    assert wrote(path, REARMED) == both


@pytest.mark.req("K1")
@pytest.mark.parametrize("line", [0, 1])
def test_a_whole_line_that_does_not_check_is_damage_wherever_it_stands(path, line):
    both = wrote(path, KILLED, REARMED)
    at = both.index(b"\n") * line + 40
    put(path, both[:at] + bytes([both[at] ^ 1]) + both[at + 1 :])
    damaged, _ = reopened(path)
    assert damaged


def test_a_hole_before_a_whole_line_is_damage(path):
    both = wrote(path, KILLED, REARMED)
    first = both.index(b"\n") + 1
    put(path, b"\0" * first + both[first:])
    assert reopened(path)[0]


@pytest.mark.parametrize("garbage", [b"hello\n", b"\xff\xfe\n", b"{}\n", b'{"crc":1,"latch":{}}\n', b"\n"])
def test_what_is_no_line_of_ours_is_damage(path, garbage):
    put(path, garbage)
    assert reopened(path)[0]


def test_a_damaged_file_is_kept_aside_when_the_next_line_is_written(path):
    put(path, b"hello\n")
    log = LatchLog(path)
    log.write(KILLED)
    assert not log.damaged
    log.write(REARMED)
    log.close()
    assert reopened(path) == (False, REARMED)
    assert path.with_suffix(".log.damaged").read_bytes().startswith(b"hello\n")


@pytest.mark.req("K1")
def test_a_full_file_makes_way_for_one_that_begins_with_the_new_line(path):
    long = replace(KILLED, reason="x" * 200_000)
    log = LatchLog(path)
    for epoch in range(1, 12):
        log.write(replace(long, epoch=epoch))
        assert path.stat().st_size == SIZE
    log.close()
    damaged, last = reopened(path)
    assert (damaged, last.epoch) == (False, 11)
    assert not path.with_suffix(".log.damaged").exists()


@pytest.mark.req("K1")
def test_a_crash_while_the_new_file_is_being_made_leaves_the_old_one(path, monkeypatch):
    long = replace(KILLED, reason="x" * 600_000)
    wrote(path, long)
    log = LatchLog(path)
    monkeypatch.setattr(log_module.os, "fsync", failing)
    with pytest.raises(OSError, match="disk"):
        log.write(replace(long, epoch=99))
    monkeypatch.undo()
    assert reopened(path) == (False, long)
    log.write(REARMED)
    log.close()
    assert reopened(path) == (False, REARMED)


def failing(_handle: int) -> None:
    raise OSError("the disk is gone")


def test_a_link_is_not_followed(path, tmp_path):
    (tmp_path / "elsewhere").touch()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        LatchLog(path)


def test_every_line_is_synced_before_the_next_thing_happens(path, monkeypatch):
    synced = []
    real = os.fdatasync
    log = LatchLog(path)
    monkeypatch.setattr(log_module.os, "fdatasync", lambda handle: (synced.append(handle), real(handle)))
    log.write(KILLED)
    assert len(synced) == 1
    log.close()
