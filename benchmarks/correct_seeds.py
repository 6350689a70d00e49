"""No false alarm: many seeds of the store as it is, under every fault, each mode judged by its own claim.

python benchmarks/correct_seeds.py [--runs 10000] [--first 0] [--seed 1] [--jobs 2] [--modes register,cas] [--out seeds.jsonl]

    number ──► mode, in turn; a part of the faults of examples/long/every_fault.toml, in rhythms of its own ──► verdict of each claim

The parts are drawn as the strategy `swarm` draws them, so a number means the same run whatever the number of processes. A line of JSON a run in `--out`;
the same command goes on where it was stopped. `--first` leaves out the runs before a number, which another machine has made. Two promises are made under conditions, and what breaks these is left out: `quorum` and `monotonic` are `regular` as long as
clocks agree, and the clock of a restarted node runs ahead (docs/decisions/0004); and in `eventual`, where one copy is enough, no other replica can vouch for a
record that is damaged. Exit status 1 if a claim was broken, or a run crashed: `--show NUMBER` prints the plan of a run, for `quorate run` and `quorate shrink`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from harness.plan import Plan, dump_plan, load_plan, parse_plan
from harness.pool import in_order
from harness.search.strategies import swarm
from harness.simulate import simulate_run

PLAN = Path(__file__).parents[1] / "examples" / "long" / "every_fault.toml"
RESTARTING: Final = (
    "kill",
    "power-loss",
    "power-off",
    "disk-full",
    "read-only",
    "io-error",
    "rolling-restart",
    "replace",
)
OUTSIDE: Final[Mapping[str, Collection[str]]] = {
    "quorum": ("clock", *RESTARTING),
    "monotonic": ("clock", *RESTARTING),
    "eventual": ("bitflip",),
}
SETTLE_S = 5.0  # on the slowest networks that are drawn, repairs take their time
ANTI_ENTROPY_MS = 500.0  # so that each pair has compared its trees by then
MODES: Mapping[str, tuple[Mapping[str, str], str, tuple[str, ...]]] = {  # system, workload, claims
    "register": ({"mode": "register"}, "register", ("linearizable",)),
    "cas": ({"mode": "cas"}, "cas-register", ("cas-register",)),
    "counter": ({"mode": "cas"}, "counter", ("counter-exact",)),
    "quorum": ({"mode": "quorum"}, "register", ("regular", "integrity")),
    "monotonic": ({"mode": "monotonic"}, "register", ("regular", "monotonic-reads")),
    "eventual": ({"mode": "eventual"}, "siblings", ("convergence",)),
    "session": ({"mode": "session"}, "session", ("read-your-writes", "monotonic-reads")),
    "siblings": ({"mode": "siblings"}, "siblings", ("mv-register", "convergence")),
    "or-set": ({"mode": "crdt", "type": "or-set"}, "or-set", ("or-set", "convergence")),
    "pn-counter": ({"mode": "crdt", "type": "pn-counter"}, "pn-counter", ("pn-counter", "convergence")),
}


def plan_of(base: Plan, number: int, modes: list[str]) -> Plan:
    """The plan of a run."""
    mode = modes[number % len(modes)]
    system, workload, claims = MODES[mode]
    settles = "convergence" in claims
    faults = tuple(fault for fault in base.faults if fault.kind not in OUTSIDE.get(mode, ()))
    judged = replace(
        base, name=mode, workload=workload, claims=claims, faults=faults,
        system_options={**base.system_options, **system, **({"anti_entropy_ms": ANTI_ENTROPY_MS} if settles else {})},
        options={**base.options, **({"settle_s": SETTLE_S} if settles else {})},
    )  # fmt: skip
    return replace(swarm(judged, number), name=f"{mode}-{number}")


def run(text: str, number: int) -> dict[str, Any]:
    """Make one run, in whichever process; what is kept of it."""
    plan, begin_s = parse_plan(text, "the plan"), time.process_time()
    line: dict[str, Any] = {"number": number, "mode": plan.name.rpartition("-")[0], "seed": plan.seed}
    try:
        done = simulate_run(plan)
    except Exception as error:  # of the harness or the store: what this looks for
        return {**line, "crash": f"{type(error).__name__}: {error}", "cpu_s": time.process_time() - begin_s}
    return {
        **line,
        "claims": {claim: judged["verdict"] for claim, judged in done.results["claims"].items()},
        "ops": done.results["stats"]["stats"].get("ops", 0),
        "bit": sorted({fault["kind"] for fault in done.faults if fault["bit"]}),
        "reason": [
            judged["reason"] for judged in done.results["claims"].values() if judged["verdict"] == "unknown"
        ],
        "restless": "come to rest" in done.results["reason"],
        "cpu_s": round(time.process_time() - begin_s, 3),
    }


def made_before(out: Path, plans: Callable[[int], Plan]) -> list[dict[str, Any]]:
    """The runs of the file; a last line that was cut off is taken away. Exits if it is of other runs."""
    whole = out.read_bytes().split(b"\n")[:-1] if out.exists() else []
    lines = [json.loads(line) for line in whole]
    if lines and lines[-1]["seed"] != plans(len(lines) - 1).seed:
        raise SystemExit(f"{out} is of other modes or another seed; give --out another file")
    out.write_bytes(b"".join(line + b"\n" for line in whole))
    return lines


def told(lines: Iterable[Mapping[str, Any]], modes: list[str]) -> Iterator[str]:
    """The table, then what is wrong."""
    lines = list(lines)
    yield "| mode | claims | runs | operations | violations | not judged | crashes | processor time a run |"
    yield "|---|---|---|---|---|---|---|---|"
    for mode in modes:
        own = [line for line in lines if line["mode"] == mode]
        verdicts = [set(line.get("claims", {}).values()) for line in own]
        broken = sum("invalid" in each for each in verdicts)
        unjudged = sum("unknown" in each and "invalid" not in each for each in verdicts)
        cpu_s = sum(line["cpu_s"] for line in own) / max(1, len(own))
        crashes = sum("crash" in line for line in own)
        ops = sum(line.get("ops", 0) for line in own)
        yield f"| `{mode}` | {', '.join(MODES[mode][2])} | {len(own):,} | {ops:,} | {broken} | {unjudged} | {crashes} | {cpu_s:.2f} s |"
    bit = Counter(kind for line in lines for kind in line.get("bit", ()))
    yield "runs in which a fault bit: " + ", ".join(f"{count:,} {kind}" for kind, count in bit.most_common())
    yield f"runs whose members did not come to rest: {sum(line.get('restless', False) for line in lines):,}"
    for line in filter(wrong, lines):
        yield f"run {line['number']}, {line['mode']}: {line.get('crash') or line['claims']}"


def wrong(line: Mapping[str, Any]) -> bool:
    """Whether a run of the correct store says what it must not."""
    return "crash" in line or "invalid" in line["claims"].values()


def main() -> int:
    parser = argparse.ArgumentParser(description="Many seeds of the correct store: no violation, no crash.")
    parser.add_argument("--runs", type=int, default=10_000, help="how many, those before --first with them")
    parser.add_argument("--first", type=int, default=0, help="number of the first of them")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--out", type=Path, default=Path("seeds.jsonl"))
    parser.add_argument(
        "--show", type=int, metavar="NUMBER", help="print the plan of this run, and make none"
    )
    asked = parser.parse_args()
    modes = asked.modes.split(",")
    if unknown := [mode for mode in modes if mode not in MODES]:
        parser.error(f"there is no mode {unknown[0]!r}; there are: {', '.join(MODES)}")
    if asked.first >= asked.runs and asked.show is None:
        parser.error(f"--first {asked.first} is behind the last of --runs {asked.runs}, so nothing would be tested; say --runs {asked.first + asked.runs}")  # fmt: skip
    base = replace(load_plan(PLAN), seed=asked.seed)
    if asked.show is not None:
        print(dump_plan(plan_of(base, asked.show, modes)))
        return 0
    lines = made_before(asked.out, lambda place: plan_of(base, asked.first + place, modes))
    numbers = range(asked.first + len(lines), asked.runs)
    tasks = ((number, (dump_plan(plan_of(base, number, modes)), number)) for number in numbers)
    with asked.out.open("a", encoding="utf-8") as file, closing(in_order(run, tasks, asked.jobs)) as made:
        for _, line in made:
            lines.append(line)
            file.write(json.dumps(line) + "\n")
            file.flush()
            if wrong(line) or len(lines) % 100 == 0:
                print(f"{len(lines):,} runs; the last: {line}", file=sys.stderr, flush=True)
    print("\n".join(told(lines, modes)))
    return 1 if any(map(wrong, lines)) else 0


if __name__ == "__main__":
    raise SystemExit(main())
