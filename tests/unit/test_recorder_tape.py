"""The tape: everything put is read back in order; deaths, slow disks and full folders cost records, never more."""

import threading

import pytest

from actors.recorder import tape as module
from actors.recorder.tape import Tape, prune, read, segments
from protocol import codec
from protocol.lifecycle import Beat

HOUR_NS = 3600 * 1_000_000_000


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "FRAME_S", 0.01)


def write(folder, seqs, **options):
    tape = Tape(folder, **options)
    for seq in seqs:
        tape.put("risk", seq, seq - 1, seq * HOUR_NS, Beat(number=seq))
    tape.close()
    return tape


def seqs(folder, *bounds):
    return [record.seq for record in read(folder, *bounds)]


def test_what_was_put_is_read_back_in_order_with_its_cause(tmp_path):
    write(tmp_path, range(1, 200))
    records = list(read(tmp_path))
    assert [r.seq for r in records] == list(range(1, 200))
    assert (records[5].actor, records[5].cause, codec.decode(records[5].body)) == ("risk", 5, Beat(number=6))
    assert {path.stat().st_mode & 0o077 for path in segments(tmp_path)} == {0}


def test_a_stretch_of_time_is_read_across_segments(tmp_path):
    for start in (1, 11, 21):
        write(tmp_path, range(start, start + 10))
    assert len(segments(tmp_path)) == 3
    assert seqs(tmp_path, 8 * HOUR_NS, 23 * HOUR_NS) == list(range(8, 23))


@pytest.mark.parametrize("damage", [lambda data: data[:-3], lambda data: data[:-3] + b"abc"])
def test_a_damaged_frame_ends_its_segment_and_no_other(tmp_path, damage):
    for start in (1, 11):
        write(tmp_path, range(start, start + 5))
    first = segments(tmp_path)[0]
    first.write_bytes(damage(first.read_bytes()))
    assert seqs(tmp_path) == list(range(11, 16))


def test_segments_are_bounded_and_the_oldest_go(tmp_path):
    for start in range(1, 60, 10):
        write(tmp_path, range(start, start + 10), segment_bytes=1, max_bytes=900)
    assert sum(path.stat().st_size for path in segments(tmp_path)) < 1500
    assert seqs(tmp_path)[-1] == 60
    assert seqs(tmp_path)[0] > 1


def test_old_segments_go_by_age_and_the_newest_stays(tmp_path):
    for start in (1, 11, 21):
        write(tmp_path, range(start, start + 10))
    assert prune(tmp_path, 12 * HOUR_NS, 1 << 30) == 1
    assert prune(tmp_path, 10_000 * HOUR_NS, 1 << 30) == 1
    assert seqs(tmp_path) == list(range(21, 31))


def test_a_full_queue_drops_and_counts_and_never_blocks(tmp_path, monkeypatch):
    gate, reached = threading.Event(), threading.Event()
    sync = module.os.fsync

    def stall(descriptor):
        reached.set()
        gate.wait(10)
        sync(descriptor)

    monkeypatch.setattr(module.os, "fsync", stall)
    tape = Tape(tmp_path, queue_size=10)
    tape.put("risk", 0, 0, HOUR_NS, Beat(number=0))
    assert reached.wait(10)
    for seq in range(1, 31):
        tape.put("risk", seq, 0, HOUR_NS, Beat(number=seq))
    assert tape.dropped == 20
    gate.set()
    tape.close()
    assert seqs(tmp_path) == list(range(11))


def test_a_failing_disk_costs_records_and_nothing_else(tmp_path, monkeypatch):
    failed = threading.Event()

    def fail(descriptor, _mode):
        module.os.close(descriptor)
        failed.set()
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "fdopen", fail)
        tape = Tape(tmp_path)
        tape.put("risk", 1, 0, HOUR_NS, Beat(number=1))
        assert failed.wait(10)
    tape.put("risk", 2, 0, 2 * HOUR_NS, Beat(number=2))
    tape.close()
    assert (tape.dropped, seqs(tmp_path)) == (1, [2])
