"""The root looks whether the files still say what runs, and tells the desk each time that they do not."""

import asyncio
from itertools import chain, repeat

import pytest

from actors.root.drift import PATIENCE, DriftWatch
from actors.runtime.control_frames import serve
from protocol.control import DriftFound, Reply


def looked(path, hashes, looks=1, exchanging=lambda: False, follow=None):
    """What so many looks say, and what a desk hears of them; `hashes` are what is found, the last for ever.

    Another configuration is followed from the start on where one is named.
    """
    heard = []
    found = chain(hashes, repeat(hashes[-1]))

    async def desk(request):
        heard.append(request)
        return Reply(code=0, text="")

    async def work():
        server = await serve(path, desk)
        watch = DriftWatch("ab", lambda: next(found), path, every_s=0.0, settle_s=0.0, exchanging=exchanging)
        if follow is not None:
            watch.follow(follow)
        try:
            return [await watch.look() for _ in range(looks)]
        finally:
            server.close()
            await server.wait_closed()

    return asyncio.run(work()), heard


DRIFT = DriftFound(by="root", running="ab", found="cd")


@pytest.mark.req("C1")
def test_files_that_agree_are_nothing_to_tell(tmp_path):
    assert looked(tmp_path / "s", ["ab"], 3) == ([True] * 3, [])


@pytest.mark.req("C1")
@pytest.mark.parametrize("found", ["cd", "refused"])
def test_another_hash_is_told_at_every_look(tmp_path, found):
    told = DriftFound(by="root", running="ab", found=found)
    assert looked(tmp_path / "s", [found], 2) == ([False, False], [told, told])


@pytest.mark.req("C1")
def test_an_exchange_under_way_is_no_drift_but_one_that_hangs_is(tmp_path):
    assert looked(tmp_path / "s", ["cd"], PATIENCE, lambda: True) == ([False] * PATIENCE, [])
    assert looked(tmp_path / "s", ["cd"], PATIENCE + 2, lambda: True)[1] == [DRIFT, DRIFT]


@pytest.mark.req("C1")
def test_what_was_taken_up_is_what_runs_and_an_edit_after_it_is_drift_again(tmp_path):
    assert looked(tmp_path / "s", ["cd"], 2, follow="cd") == ([True, True], [])
    [edited] = looked(tmp_path / "s", ["ab"], follow="cd")[1]
    assert (edited.running, edited.found) == ("cd", "ab")


def test_a_file_that_was_only_being_written_is_not_told(tmp_path):
    assert looked(tmp_path / "s", ["refused", "ab"]) == ([True], [])


def test_what_it_has_become_is_told_not_what_it_was_meanwhile(tmp_path):
    assert looked(tmp_path / "s", ["refused", "cd"]) == ([False], [DRIFT])


def test_a_desk_that_does_not_listen_hears_it_at_the_next_look(tmp_path):
    watch = DriftWatch("ab", lambda: "cd", tmp_path / "nobody", every_s=0.0, settle_s=0.0)
    assert asyncio.run(watch.look()) is False
    assert looked(tmp_path / "s", ["cd"]) == ([False], [DRIFT])


def test_it_looks_again_and_again_until_it_is_ended(tmp_path):
    seen = []

    async def work():
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()

        def found():
            seen.append("ab")
            if len(seen) == 3:
                loop.call_soon_threadsafe(ended.set)
            return "ab"

        watching = asyncio.create_task(DriftWatch("ab", found, tmp_path / "s", every_s=0.0).run())
        await asyncio.wait_for(ended.wait(), 30.0)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    asyncio.run(work())
    assert len(seen) >= 3
