"""What the design relies on LMDB for, tried with real processes: frozen writers, growth, stale slots, full disks."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import lmdb
import pytest

from actors.recorder.disk import LmdbStore
from actors.recorder.installation import open_installation
from actors.recorder.mounts import NetworkMountError, file_system, refuse_network
from actors.recorder.store import StoreFailedError
from actors.runtime.journal_format import CorruptEntryError, seal
from actors.runtime.store_reader import NoStoreError, open_reader
from protocol.lifecycle import StoreRecord
from protocol.policy import Mode
from tests.support.recorder_driver import Driver, draft, note, request

ROOT = Path(__file__).resolve().parents[2]
FROZEN_WRITER = """
import os, signal, sys
from pathlib import Path
from actors.recorder.disk import LmdbStore
from protocol.lifecycle import StoreRecord
store = LmdbStore(Path(sys.argv[1]))
with store.transaction() as txn:
    txn.put(StoreRecord(key="order/late", value=b"uncommitted"))
    print("inside", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
"""
OBEDIENT_WRITER = """
import sys
from pathlib import Path
from actors.recorder.disk import LmdbStore
from protocol.lifecycle import StoreRecord

def put(key, value):
    with store.transaction() as txn:
        txn.put(StoreRecord(key=key, value=value))

store = LmdbStore(Path(sys.argv[1]), 256 << 10)
print("open", flush=True)
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""
DEAD_READER = """
import os, sys, lmdb
env = lmdb.open(sys.argv[1], readonly=True, max_dbs=3)
txn = env.begin()
print("inside", flush=True)
sys.stdin.read()
"""
DISK_FULL = """
import resource, sys
from pathlib import Path
from actors.recorder.disk import LmdbStore
from actors.recorder.store import StoreFailedError
from protocol.lifecycle import StoreRecord

def put(number):
    with store.transaction() as txn:
        txn.put(StoreRecord(key=f"k{number:06d}", value=b"v" * 4096))

store = LmdbStore(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
written = 0
try:
    while written < 1000:
        put(written)
        written += 1
except StoreFailedError:
    failed = store.count()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
put(999_999)
print(written, failed, store.count())
"""
IMPORTS = """
import sys
import actors.runtime.store_reader
loaded = {name.split(".")[1] for name in sys.modules if name.startswith("actors.")}
print(sorted(loaded), "pykka" in sys.modules)
"""


def child(script, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def end(process):
    process.kill()
    process.communicate()


def put(store, *pairs):
    with store.transaction() as txn:
        for key, value in pairs:
            txn.put(StoreRecord(key=key, value=value))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def store(folder):
    made = LmdbStore(folder)
    yield made
    made.close()


@pytest.fixture
def writer(folder):
    """A process of its own that opens a small store and then does, line by line, as told."""
    process = child(OBEDIENT_WRITER, folder)

    def tell(line):
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    assert process.stdout.readline() == "open\n"
    yield tell
    end(process)


# Faults E3.
def test_a_writer_frozen_inside_its_transaction_never_blocks_a_reader(folder):
    store = LmdbStore(folder)
    put(store, ("order/o1", b"committed"))
    store.close()
    writer = child(FROZEN_WRITER, folder)
    try:
        assert writer.stdout.readline() == "inside\n"
        os.waitid(os.P_PID, writer.pid, os.WSTOPPED)
        began = time.monotonic()
        reader = open_reader(folder)
        assert reader.open_order_ids() == ["o1"]
        assert time.monotonic() - began < 0.2
        reader.close()
    finally:
        writer.send_signal(signal.SIGCONT)
        end(writer)


def test_what_a_killed_writer_had_not_committed_is_gone_and_the_lock_is_free(folder):
    writer = child(FROZEN_WRITER, folder)
    assert writer.stdout.readline() == "inside\n"
    end(writer)
    store = LmdbStore(folder)
    put(store, ("a", b"1"))
    assert [r.key for r in store.records()] == ["a"]
    store.close()


# Faults F6.
def test_the_slot_of_a_dead_reader_is_cleared(store, folder):
    readers = [child(DEAD_READER, folder) for _ in range(3)]
    for process in readers:
        assert process.stdout.readline() == "inside\n"
    held = store._env.readers().count("\n")
    for process in readers:
        end(process)
    store.tidy()
    assert held - store._env.readers().count("\n") == 3


def test_a_reader_sees_each_commit_and_keeps_one_slot(writer, folder):
    reader = open_reader(folder)
    for number in range(20):
        writer(f"put('order/o1', b'{number}')")
        assert reader.get("order/o1") == b"%d" % number
    assert int(writer("print(store._env.info()['num_readers'], end=' ')").split()[0]) <= 2
    reader.close()


# Faults F3.
def test_a_reader_follows_the_map_when_the_writer_grows_it(writer, folder, monkeypatch):
    monkeypatch.setattr("actors.runtime.store_reader.MAP_SIZE", 256 << 10)
    reader = open_reader(folder)
    assert reader._env.info()["map_size"] == 256 << 10
    writer("[store.grow() for _ in range(4)]")
    writer("[put(f'k{n:03d}', b'v' * 8192) for n in range(100)]")
    assert len(reader.records()) == 100
    assert reader._env.info()["map_size"] == 4 << 20
    reader.close()


def test_two_opens_in_one_process_are_refused_by_the_library(store, folder):
    with pytest.raises(lmdb.Error, match="already open"):
        open_reader(folder)


def test_growth_stops_where_the_disk_has_no_room(store, monkeypatch):
    monkeypatch.setattr("actors.recorder.disk.DISK_RESERVE", 1 << 60)
    with pytest.raises(StoreFailedError, match="bytes left"):
        store.grow()
    put(store, ("a", b"1"))


# Faults F4.
def test_a_full_disk_fails_the_commit_loses_nothing_and_heals(folder):
    process = child(DISK_FULL, folder)
    out, _ = process.communicate(timeout=30)
    written, failed, after = map(int, out.split())
    assert 0 < written < 1000
    assert (failed, after) == (written, written + 1)


# Faults F2.
def test_every_commit_is_synced_data_and_meta_page(store):
    flags = store._env.flags()
    assert (flags["sync"], flags["metasync"], flags["writemap"], flags["map_async"]) == (True, True, False, False)


def test_files_are_the_owners_alone(store, folder):
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o077 for path in folder.glob("*.mdb")} == {0}


def test_a_file_that_was_cut_short_is_refused_not_read(folder):
    store = LmdbStore(folder)
    put(store, *((f"k{n}", b"v" * 4096) for n in range(50)))
    store.close()
    with (folder / "data.mdb").open("r+b") as file:
        file.truncate(65536)
    with pytest.raises(lmdb.CorruptedError, match="shorter"):
        LmdbStore(folder)
    with pytest.raises(lmdb.CorruptedError, match="shorter"):
        open_reader(folder)


# Faults F14.
@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p"])
def test_a_network_mount_is_refused(tmp_path, kind):
    mounts = f"/dev/vda / ext4 rw 0 0\nserver:/x {tmp_path} {kind} rw 0 0\ntmpfs {tmp_path}-other tmpfs rw 0 0\n"
    with pytest.raises(NetworkMountError, match=kind):
        refuse_network(tmp_path / "deep" / "er", mounts)
    refuse_network(Path(f"{tmp_path}-other"), mounts)


def test_the_last_of_two_mounts_on_one_place_counts_and_blanks_are_read():
    mounts = "a / ext4 rw 0 0\nb /a\\040b nfs rw 0 0\nc /a\\040b xfs rw 0 0\n"
    assert (file_system(Path("/a b/c"), mounts), file_system(Path("/a"), mounts)) == ("xfs", "ext4")


def test_reading_loads_neither_pykka_nor_a_room_of_the_desk():
    process = child(IMPORTS)
    out, _ = process.communicate(timeout=30)
    assert out == "['runtime'] False\n"


def test_without_a_store_a_reader_says_so(folder):
    with pytest.raises(NoStoreError):
        open_reader(folder)


def test_the_journal_is_read_from_any_index(tmp_path):
    opened = open_installation(tmp_path, "bot", Mode.PAPER, 1)
    Driver(opened.store).deliver(request(1, drafts=3), note(77))
    reader = opened.store
    assert reader.entry(2).draft.seq == 11
    assert (reader.entry(99), reader.entry(0)) == (None, None)
    assert [e.index for e in reader.tail(2)] == [3, 4]
    assert [e.index for e in reader.newest(2)] == [3, 4]
    assert [e.index for e in reader.related(11)] == [2, 3]  # itself, and the one it caused
    opened.store.close()


def test_long_journals_are_read_in_pages_and_damage_is_named(store):
    with store.transaction() as txn:
        for number in range(1200):
            txn.append(*seal(txn.head(), draft(number + 1)))
    assert [index for index, _ in store.entries(100)] == list(range(100, 1201))
    with store._env.begin(write=True, db=store.databases[1]) as txn:
        txn.put((7).to_bytes(8, "big"), b"\x01" * 100)
    with pytest.raises(CorruptEntryError, match="entry 7"):
        store.entry(7)
