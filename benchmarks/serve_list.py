"""`quorate serve` over many runs: how long the list takes, a search, a filter, and each order.

    python benchmarks/serve_list.py [runs ...]      by default 5,000

The folders are real ones in all that the list reads: a simulated run is made once, and its plan, results and environment are copied under other names
and seeds. "First" is the first list after the server began, which shows the newest runs and says how far it has read; "whole" is when a list was
whole, asked for again at once, and the processor time of this process until then. The others are the best of three.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from harness.plan import load_plan
from harness.report.shelf_server import Shelf
from harness.runner import run

EXAMPLES = Path(__file__).parent.parent / "examples"
READ = ("plan.toml", "results.json", "environment.json")
QUERIES = {"list": "", "search": "?q=monotonic", "filter": "?outcome=invalid&claim=linearizable", "by name": "?sort=name", "by operations": "?sort=-ops", "by outcome": "?sort=outcome"}  # fmt: skip


def shelf_of(root: Path, runs: int) -> None:
    """So many run folders."""
    with tempfile.TemporaryDirectory() as place:
        models = [run(load_plan(EXAMPLES / f"{name}.toml"), world="sim", out=Path(place)).folder for name in ("eventual", "monotonic_skewed")]  # fmt: skip
        texts = [{name: (folder / name).read_text() for name in READ} for folder in models]
    for number in range(runs):
        folder = root / f"plan-{number % 40}" / f"202611{number % 28 + 1:02}T{number % 24:02}0000.{number % 1000:03}-{number}"  # fmt: skip
        folder.mkdir(parents=True)
        for name, text in texts[number % 2].items():
            (folder / name).write_text(text.replace("seed = 1\n", f"seed = {number}\n"))


def asked(port: int, query: str) -> tuple[float, bool]:
    """How long it takes to be answered, in seconds; is the list whole?"""
    begin = time.perf_counter()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{query}") as answer:
        answer.read()
        return time.perf_counter() - begin, "Refresh" not in answer.headers


def read_whole(port: int) -> str:
    """The first list, and those after it until all is read."""
    begun_s, processor_s = time.perf_counter(), time.process_time()
    first_s, whole = asked(port, "")
    while not whole:
        whole = asked(port, "")[1]
    whole_s, processor_s = time.perf_counter() - begun_s, time.process_time() - processor_s
    return f"first {first_s:.2f} s, whole {whole_s:.2f} s ({processor_s:.2f} s of processor)"


def main() -> None:
    for runs in [int(each) for each in sys.argv[1:]] or [5_000]:
        with tempfile.TemporaryDirectory() as place:
            shelf_of(Path(place), runs)
            server = Shelf(Path(place), "127.0.0.1", 0)
            port = server.server_address[1]
            threading.Thread(target=server.serve_forever, daemon=True).start()
            print(f"{runs:,} runs: {read_whole(port)}", end="")
            for name, query in QUERIES.items():
                print(f", {name} {min(asked(port, query)[0] for _ in range(3)):.2f} s", end="")
            print()
            server.shutdown()
            server.server_close()


if __name__ == "__main__":
    main()
