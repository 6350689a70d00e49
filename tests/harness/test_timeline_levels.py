"""Levels of detail of the timeline, in a real browser: few marks however long the history, and nothing grave is lost."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import run_folders
from browsers import MARKS, opened

from harness.report import write_report

pytestmark = MARKS
PAINTER = """
    const t = readTimeline(JSON.parse(document.getElementById("timeline-data").textContent));
    const canvas = document.createElement("canvas"), overview = document.createElement("canvas");
    document.querySelector(".drawn").append(canvas, overview);
    const view = { from: 0, to: t.last, rows: filtered(t, { client: "", key: "", f: "", outcome: "", text: "" }), selected: -1 };
    const painter = new Painter(t, view, canvas, overview);
    painter.colours();
    painter.resize();
"""


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """20,000 operations, some failed and some slow, ten clients."""
    folder = run_folders.make(tmp_path_factory.mktemp("levels") / "run", ops=20_000)
    write_report(folder)
    page = opened(browser, folder)
    yield page
    assert page.troubles == []
    page.context.close()


def test_a_long_history_is_drawn_as_few_marks(page: Any) -> None:
    drawn = page.evaluate(
        f"""() => {{{PAINTER}
        const pen = canvas.getContext("2d"), fill = pen.fillRect.bind(pen);
        let marks = 0;
        pen.fillRect = (...box) => {{ marks++; fill(...box); }};
        painter.draw();
        return {{ marks, dots: view.rows.length * painter.width, count: t.count }};
    }}"""
    )
    assert drawn["count"] == 20_004
    assert 100 < drawn["marks"] < drawn["dots"] / 2


def test_a_level_has_the_gravest_of_each_pixel(page: Any) -> None:
    """Against a look at every operation, at many zooms: exact but for the last cell, which may reach over the pixel by less than its width."""
    found = page.evaluate(
        f"""() => {{{PAINTER}
        let levels = 0, pixels = 0, lost = 0, invented = 0;
        for (const row of view.rows) for (const pixelUs of [37, 700, 3001, 26000]) {{
            const level = levelFor(t, row, pixelUs);
            if (!level) continue;
            levels++;
            for (let at = 0; at < t.last; at += pixelUs * 7.3) {{
                const inside = (i, from, to) => t.start[i] < to && t.end[i] >= from && t.end[i] - t.start[i] < NARROW * pixelUs;
                const narrow = row.ops.filter((i) => inside(i, at, at + pixelUs)), near = row.ops.filter((i) => inside(i, at - pixelUs, at + 2 * pixelUs));
                const worst = worstIn(level, at, pixelUs) - 1;
                pixels++;
                lost += narrow.some((i) => t.rank[i] > worst);
                invented += worst >= 0 && !near.some((i) => t.rank[i] === worst) && !level.wide.some((i) => t.rank[i] === worst);
            }}
        }}
        return {{ levels, pixels, lost, invented }};
    }}"""
    )
    assert found["levels"] >= 20
    assert found["pixels"] > 5_000
    assert (found["lost"], found["invented"]) == (0, 0)


def test_few_operations_or_too_fine_a_zoom_have_no_level(page: Any) -> None:
    assert page.evaluate(f"() => {{{PAINTER} return levelFor(t, view.rows[0], 0.5); }}") is None
    assert page.evaluate(f"() => {{{PAINTER} return levelFor(t, view.rows[0], 2100).width; }}") == 2048


def test_what_is_wide_is_drawn_by_itself_and_failures_lie_on_top(page: Any) -> None:
    """A call of a second among 2,000 of half a millisecond: its fade is there, and the failed ones are not under it."""
    found = page.evaluate(
        """() => {
        const ops = { index: [], start: [], took: [], lane: [], process: [], outcome: "", f: [], key: [], value: [], error: [], functions: ["read"], keys: ["0"], errors: [] };
        for (let i = 0; i < 4000; i++) {
            const long = i === 2000;
            for (const [name, value] of Object.entries({ index: 1, start: i === 2001 ? 1000000 : 1000, took: long ? 900000 : 500, lane: 0, process: 0, f: 0, key: 0, value: i })) ops[name].push(value);
            ops.outcome += long ? "i" : i === 3000 ? "f" : "o";
        }
        const t = readTimeline({ unit_ns: 1000, end: 5100000, total: 4000, lanes: ["client 0"], ops, core: [], stale: [], lost: [], ring: null, density: [[1], [0], [0]], logs: [], logs_total: 0, faults: [] });
        const [row] = filtered(t, { client: "", key: "", f: "", outcome: "", text: "" }), level = levelFor(t, row, 5000);
        return { wide: level.wide, failed: worstIn(level, t.start[3000], 5000) - 1, fine: worstIn(level, t.start[500], 5000) - 1, empty: worstIn(level, t.start[2000] + 400000, 5000) };
    }"""
    )
    assert found == {"wide": [2000], "failed": 3, "fine": 0, "empty": 0}


def test_without_room_nothing_is_drawn_and_with_room_again_all_is(page: Any) -> None:
    """As on paper, where the timeline has no width."""
    marks = page.evaluate(
        f"""() => {{{PAINTER}
        const pen = canvas.getContext("2d"), fill = pen.fillRect.bind(pen), found = [];
        let marks = 0;
        pen.fillRect = (...box) => {{ marks++; fill(...box); }};
        for (const shown of ["none", "block"]) {{
            canvas.parentElement.style.display = shown;
            marks = 0;
            painter.resize();
            painter.draw();
            found.push(marks);
        }}
        return found;
    }}"""
    )
    assert marks[0] == 0
    assert marks[1] > 100
