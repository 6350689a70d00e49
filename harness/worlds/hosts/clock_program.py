"""Runs on a host, as root, on the standard library alone: the wall clock of a machine that has one of its own, set and measured.

    true    what the wall clock showed above the monotonic one when the run began; nobody else sets it meanwhile
    begin   write that down                                        monotonic ───────────────────────────►
    set     the wall clock shows true + monotonic + OFFSET_MS      wall      ──────┐ set +400  ┌ set 0 ──►
    tell    how far it is off                                                      └───────────┘

    heal    set 0, and say so, if it is off

    python3 clock_program.py begin|tell|heal FILE       set FILE OFFSET_MS

A busy machine may stand still between two readings, so the best of some counts. Reference: clock_settime(2); CLOCK_MONOTONIC is left alone by it.
"""

import sys
import time

WALL, STEADY = time.CLOCK_REALTIME, time.CLOCK_MONOTONIC
READINGS, TRIES, NEAR_NS, OFF_NS = 5, 20, 500_000, 5_000_000


def lead_ns() -> int:
    """How far the wall clock is ahead of the steady one."""
    readings = []
    for _ in range(READINGS):
        before, wall, after = (
            time.clock_gettime_ns(STEADY),
            time.clock_gettime_ns(WALL),
            time.clock_gettime_ns(STEADY),
        )
        readings.append((after - before, wall - (before + after) // 2))
    return min(readings)[1]


def put(wanted_ns: int) -> None:
    """Set the wall clock this far ahead of the steady one."""
    for _ in range(TRIES):
        time.clock_settime_ns(WALL, time.clock_gettime_ns(STEADY) + wanted_ns)
        if abs(lead_ns() - wanted_ns) < NEAR_NS:
            return


def main(what: str, path: str, offset_ms: str = "0") -> None:
    """Do it."""
    if what == "begin":
        with open(path, "w") as file:
            file.write(str(lead_ns()))
    with open(path) as file:
        true_ns = int(file.read())
    off_ns = lead_ns() - true_ns
    if what == "heal":
        if abs(off_ns) > OFF_NS:
            put(true_ns)
            print(f"the clock, {off_ns / 1e6:.1f} ms off, is set right")
        return
    if what == "set":
        put(true_ns + round(float(offset_ms) * 1e6))
    print((lead_ns() - true_ns) / 1e6)


if __name__ == "__main__":
    main(*sys.argv[1:])
