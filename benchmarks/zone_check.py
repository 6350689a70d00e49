"""How long the zone algorithm takes for a million operations on one key, from the columns to the verdict with its witness.

python benchmarks/zone_check.py [--ops 1000000]

Prints the best of five runs and the peak memory of the process, history included; exit status 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time

from history_load import forget_peak, generated, memory_mb, report

from checkers import History, Verdict
from checkers.register import check_linearizable

CHECK_S, CHECK_MB = 0.3, 300.0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ops", type=int, default=1_000_000)
    with tempfile.TemporaryDirectory() as folder:
        history = History.load(generated(folder, parser.parse_args().ops))
    forget_peak()
    took = []
    for _ in range(5):
        begin = time.perf_counter()
        result = check_linearizable(history)
        took.append(time.perf_counter() - begin)
    good = [
        result.verdict is Verdict.VALID,
        report("zone check, best of five", min(took), CHECK_S, "s"),
        report("peak memory of the process", memory_mb(), CHECK_MB, "MB"),
    ]
    print("runs:", " ".join(f"{seconds:.3f}" for seconds in took), result.verdict.value)
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
