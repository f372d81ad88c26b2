"""Clocks that never jump, and timers in stable order."""

import time

from actors.runtime.clock import SystemClock, Timers, VirtualClock


def test_the_system_clock_ignores_jumps_of_the_wall(monkeypatch):
    clock = SystemClock()
    assert abs(clock.now_ns() - time.time_ns()) < 1_000_000_000
    wall = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: wall + 3600 * 1_000_000_000)
    first = clock.now_ns()
    assert 0 <= clock.now_ns() - first < 1_000_000_000
    assert 3500 < clock.wall_offset_ns() / 1e9 < 3700


def test_the_virtual_clock_moves_only_forward_and_only_when_told():
    clock = VirtualClock(100)
    clock.advance_to(150)
    clock.advance_to(120)
    assert clock.now_ns() == clock.zero_ns + clock.ticks() == 150


def test_timers_fire_by_due_time_and_of_equal_times_in_the_order_they_were_set():
    timers, fired = Timers(), []
    for name, due in (("late", 30), ("first", 10), ("second", 10), ("middle", 20)):
        timers.call_at(due, lambda name=name: fired.append(name))
    timers.fire(20)
    assert fired == ["first", "second", "middle"]
    assert timers.next_due_ns() == 30


def test_thousands_of_cancelled_timers_leave_nothing():
    timers, fired = Timers(), []
    kept = timers.call_at(5, lambda: fired.append("kept"))
    for _ in range(20):
        for timer in [timers.call_at(10**9, lambda: fired.append("cancelled")) for _ in range(500)]:
            timers.cancel(timer)
            timers.cancel(timer)
    assert len(timers) == 1
    assert len(timers._heap) < 200
    timers.fire(10**10)
    assert fired == ["kept"]
    timers.cancel(kept)
    assert (len(timers), timers.next_due_ns()) == (0, None)
