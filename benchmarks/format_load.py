"""How fast histories of each format become columns, and the memory it takes.

    python benchmarks/format_load.py                 100,000 operations
    python benchmarks/format_load.py --ops 1000000

One register history, written as EDN (a map a line, and one vector), JSON, a text log and JSONL. Prints operations a second (a call and its completion are
one) and how far the memory of the process rose; exit status 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from checkers.formats import load

EDN_OPS_S = 150_000.0


def records(ops: int, clients: int = 20) -> Iterator[tuple[int, int, str, str, str]]:
    """(time, process, type, f, value in EDN): all clients call, then all complete."""
    value = "nil"
    for first in range(0, ops, clients):
        batch = range(first, min(first + clients, ops))
        for n in batch:
            yield n * 1000, n - first, "invoke", *(("read", "nil") if n % 2 else ("write", str(n)))
        for n in batch:
            value = value if n % 2 else str(n)
            yield n * 1000 + 500_000, n - first, "ok", *(("read", value) if n % 2 else ("write", str(n)))


def write(path: Path, form: str, ops: int) -> None:
    lines = {
        "log": "INFO  jepsen.util - {1}\t:{2}\t:{3}\t{4}",
        "edn": "{{:index {5}, :time {0}, :process {1}, :type :{2}, :f :{3}, :value {4}}}",
        "json": '{{"index":{5},"time":{0},"process":{1},"type":"{2}","f":"{3}","value":{6}}}',
        "jsonl": '{{"index":{5},"process":{1},"type":"{2}","f":"{3}","value":{6}}}',
    }
    line = lines.get(form, lines["edn"])
    begin, between, end = {"json": ("[", ",\n", "]\n"), "vector": ("[", " ", "]\n")}.get(
        form, ("", "\n", "\n")
    )
    with path.open("w") as file:
        file.write(begin)
        for n, record in enumerate(records(ops)):
            shown = "null" if record[4] == "nil" else record[4]
            file.write((between if n else "") + line.format(*record, n, shown))
        file.write(end)


def status_mb(name: str) -> float:
    return int(Path("/proc/self/status").read_text().split(f"{name}:")[1].split()[0]) / 1024


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ops", type=int, default=100_000)
    ops = parser.parse_args().ops
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for form in ("edn", "vector", "json", "log", "jsonl"):
            path = Path(folder) / form
            write(path, form, ops)
            Path("/proc/self/clear_refs").write_text("5")
            before = status_mb("VmRSS")
            begin = time.perf_counter()
            history = load(path)
            seconds = time.perf_counter() - begin
            rose = status_mb("VmHWM") - before
            size = path.stat().st_size / 1024**2
            print(
                f"{form:8} {ops / seconds:11,.0f} ops/s  {size:7.1f} MB of text  memory rose {rose:6.1f} MB"
            )
            good = good and len(history) == 2 * ops and (form != "edn" or ops / seconds >= EDN_OPS_S)
            del history
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
