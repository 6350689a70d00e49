"""How long does a matrix of 200 cells x 20 seeds of 20 virtual seconds take? Measured on a part of it, checks included.

    python benchmarks/matrix_rate.py [seeds]

Target: 15 minutes on two cores for 4,000 runs.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from harness.matrix.grid import load_matrix
from harness.matrix.sweep import Sweep

FILE = Path(__file__).parents[1] / "examples" / "configurations" / "matrix.toml"
RUNS, JOBS = 4000, 2


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    with tempfile.TemporaryDirectory() as folder:
        sweep = Sweep(load_matrix(FILE, seeds), Path(folder))
        begin_s = time.perf_counter()
        sweep.go(JOBS, lambda: False, lambda record: None)
        past_s = time.perf_counter() - begin_s
        runs = len(sweep.records)
        print(
            f"{runs} runs of {runs // seeds} cells in {past_s:.0f} s with {JOBS} processes: {RUNS:,} would take {past_s / runs * RUNS / 60:.1f} minutes (target 15)"
        )


if __name__ == "__main__":
    main()
