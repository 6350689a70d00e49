"""The report of a long run: how long it takes to write, how large it is, and how quick the page is in a headless browser.

    python benchmarks/report_page.py [operations ...]      by default 100,000 and 1,000,000

The runs are made by the script that the tests use, ten clients and two faults. "Interactive" is from opening the file until the timeline has said what
is in view; frames are zooms and moves, each waiting for its frame. The time of the script in a frame depends less on what else the machine does than
the rate. The last lines need a Chromium and Playwright.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "harness"))
import run_folders

from harness.report import write_report

FRAMES = """async () => {
    const canvas = document.getElementById("tl-canvas"), ask = window.requestAnimationFrame.bind(window);
    const press = (key) => canvas.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    let spent_ms = 0;
    window.requestAnimationFrame = (draw) => ask((now) => {
        const begin = performance.now();
        draw(now);
        spent_ms += performance.now() - begin;
    });
    const found = [];
    for (const [name, zooms, there, back] of [["zooming, whole run", 0, "+", "-"], ["moving, half of it", 1, ".", ","], ["zooming, 1/64 of it", 6, "+", "-"], ["moving, 1/64 of it", 6, ".", ","]]) {
        press("0");
        for (let zoom = 0; zoom < zooms; zoom++) press("+");
        await new Promise((done) => ask(() => ask(done)));
        spent_ms = 0;
        const begin = performance.now();
        for (let frame = 0; frame < 60; frame++) {
            press(frame % 2 ? back : there);
            await new Promise(ask);
        }
        found.push([name, 60000 / (performance.now() - begin), spent_ms / 60]);
    }
    return found;
}"""


def written(folder: Path, operations: int) -> Path:
    """Write the report of a run of this length, and print what it cost."""
    run_folders.make(folder, ops=operations)
    begin, processor = time.perf_counter(), time.process_time()
    page = write_report(folder)
    print(f"{operations:9,} operations  written in {time.perf_counter() - begin:5.1f} s ({time.process_time() - processor:.1f} s of processor)  {page.stat().st_size / 1e6:5.2f} MB")  # fmt: skip
    return page


def opened(page: Path, chromium: str) -> None:
    """Open it, and print how soon and how smooth it is."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        begin = time.perf_counter()
        tab.goto(page.as_uri())
        tab.wait_for_function("document.getElementById('tl-view').textContent.length > 0")
        print(f"{'':21} interactive after {time.perf_counter() - begin:.2f} s")
        for name, rate, script_ms in tab.evaluate(FRAMES):
            print(f"{'':21} {name:20} {rate:3.0f} frames/s, {script_ms:.1f} ms of script a frame")
        browser.close()


def main() -> None:
    sizes = [int(size) for size in sys.argv[1:]] or [100_000, 1_000_000]
    chromium = shutil.which("chromium") or shutil.which("chromium-headless-shell")
    with tempfile.TemporaryDirectory() as place:
        for operations in sizes:
            page = written(Path(place) / str(operations), operations)
            if chromium is not None:
                opened(page, chromium)


if __name__ == "__main__":
    main()
