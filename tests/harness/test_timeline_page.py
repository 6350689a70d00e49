"""The timeline in a real browser, opened from a file with the network off: by keyboard, by mouse, without JavaScript."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import run_folders
from browsers import MARKS, opened

from checkers.jsonl import encode_op
from checkers.op import MISSING, Op, Type
from harness.cli import status_of
from harness.report import write_report
from harness.report.folder import RunFiles, read_folder
from harness.report.scene import scene_of_run
from harness.report.timeline import timeline

pytestmark = MARKS
EVIL = "</script><img src=x onerror=\"document.title='broken out'\">\n\u202eevil"
VIEW = re.compile(r"([\d,.]+) (µs|ms|s) to ([\d,.]+) (?:µs|ms|s): ([\d,]+) operations in view")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFiles:
    """Two thousand operations, a partition in the middle, a proof at the beginning."""
    folder = run_folders.make(tmp_path_factory.mktemp("page") / "run", ops=2_000)
    write_report(folder)
    return read_folder(folder)


@pytest.fixture
def page(browser: Any, run: RunFiles) -> Iterator[Any]:
    page = opened(browser, run.folder)
    yield page
    assert page.troubles == []
    page.context.close()


def settled(page: Any) -> None:
    """Two frames: what was asked for has been drawn."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def view(page: Any) -> tuple[float, float, int]:
    """What the page says is in view: from, to (in ms), operations."""
    settled(page)
    found = VIEW.search(page.inner_text("#tl-view"))
    assert found, page.inner_text("#tl-view")
    each = {"µs": 0.001, "ms": 1.0, "s": 1000.0}[found[2]]
    low, high = (float(found[place].replace(",", "")) * each for place in (1, 3))
    return low, high, int(found[4].replace(",", ""))


def said(page: Any) -> str:
    settled(page)
    return str(page.text_content("#tl-said"))


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.locator("#tl-canvas").press(key)


def matching(page: Any) -> int:
    return int(page.inner_text("#tl-count").split(" of ")[0].replace(",", ""))


def colours(page: Any, name: str) -> int:
    """How many dots of the canvas have exactly the colour of this name."""
    settled(page)
    return int(
        page.evaluate(
            """(name) => {
            const hex = getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
            const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
            const canvas = document.getElementById("tl-canvas");
            const dots = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            let found = 0;
            for (let at = 0; at < dots.length; at += 4) found += dots[at] === r && dots[at + 1] === g && dots[at + 2] === b;
            return found;
        }""",
            name,
        )
    )


def test_it_opens_at_the_proof(page: Any, run: RunFiles) -> None:
    low, high, count = view(page)
    assert low <= 10
    assert high >= 1_015
    assert count == sum(each.start_ns <= high * 1e6 for each in run.bars)
    assert page.is_visible("#tl-canvas")
    assert not page.is_visible("#tl-still")
    assert colours(page, "bad") > 100


def test_the_keyboard_reaches_every_operation(page: Any, run: RunFiles) -> None:
    press(page, "Home")
    assert "operation #0: write 3 = 17" in said(page)
    assert "proof one of the operations that cannot all be true" in said(page)
    press(page, "ArrowDown")
    assert "client process 1," in said(page)
    assert "ended at unknown: its client stopped waiting after 1,000.0 ms. error timed out after 1000 ms" in said(page)  # fmt: skip
    press(page, "ArrowRight")
    mine = [each for each in run.bars if int(each.process) % 10 == 1]
    assert f"operation #{mine[1].index}: {mine[1].words}" in said(page)
    assert colours(page, "accent") > 50
    press(page, "Escape")
    assert said(page) == "Nothing is selected."


def test_keys_zoom_and_pan(page: Any, run: RunFiles) -> None:
    press(page, "0")
    low, high, count = view(page)
    assert (low, count) == (0, len(run.bars))
    assert high == pytest.approx(run.end_ns / 1e6, abs=100)
    press(page, "+")
    assert view(page)[1] - view(page)[0] == pytest.approx(high / 2, abs=100)
    assert view(page)[0] == pytest.approx(high / 4, abs=100)
    press(page, ".")
    assert view(page)[0] == pytest.approx(high * 3 / 8, abs=100)
    press(page, ",", ",", ",", ",", ",", ",", ",", ",")
    assert view(page)[0] == 0
    press(page, "-", "-")
    assert view(page) == (low, high, count)


def test_the_next_error_is_found_from_the_keyboard(page: Any, run: RunFiles) -> None:
    bad = [each for each in run.bars if each.outcome != "ok" or each.index in run.stale]
    for each in bad[:3]:
        press(page, "e")
        assert f"operation #{each.index}: " in said(page)
        low, high, _ = view(page)
        assert low - 0.1 <= each.start_ns / 1e6 <= high + 0.1
    press(page, "E")
    assert f"operation #{bad[1].index}: " in said(page)


def test_filters(page: Any, run: RunFiles) -> None:
    assert matching(page) == len(run.bars)
    page.select_option("#tl-key", "3")
    assert matching(page) == sum(each.key == 3 for each in run.bars)
    page.select_option("#tl-f", "write")
    assert matching(page) == sum(each.key == 3 and each.f == "write" for each in run.bars)
    page.select_option("#tl-client", "4")
    assert matching(page) == sum(each.key == 3 and each.f == "write" and int(each.process) % 10 == 4 for each in run.bars)  # fmt: skip
    page.click("#tl-clear")
    page.select_option("#tl-outcome", "f")
    assert matching(page) == sum(each.outcome == "fail" for each in run.bars) > 0
    page.select_option("#tl-outcome", "proof")
    assert matching(page) == 4
    page.click("#tl-clear")
    page.fill("#tl-text", "enough replicas")
    assert matching(page) == sum(each.outcome == "fail" for each in run.bars)
    page.fill("#tl-text", "no such thing")
    assert matching(page) == 0
    assert view(page)[2] == 0


def drawn_rows(page: Any) -> list[dict[str, Any]]:
    """What the painter was given, made anew: the name of each row and its operations, and whether two of a row overlap."""
    return list(page.evaluate("""() => {
        const t = readTimeline(JSON.parse(document.getElementById("timeline-data").textContent));
        const wanted = Object.fromEntries(["by", ...FILTERS].map((name) => [name, document.getElementById("tl-" + name).value]));
        return filtered(t, wanted).map((row) => ({
            name: row.name,
            numbers: row.ops.map((i) => t.index[i]),
            overlap: row.ops.some((i, n) => n && t.start[i] < t.end[row.ops[n - 1]]),
        }));
    }"""))  # fmt: skip


def test_lanes_are_of_clients_nodes_or_keys(page: Any, run: RunFiles) -> None:
    assert len(drawn_rows(page)) == 10
    by_node = dict[str, list[int]]()
    for each in run.bars:
        by_node.setdefault(each.node, []).append(each.index)
    press(page, "l")
    assert said(page) == "Lanes by node."
    assert page.get_attribute("#tl-canvas", "aria-label") == "Operations by node over time"
    rows = drawn_rows(page)
    assert [row["name"] for row in rows if row["name"]] == ["n1", "n2", "n3", "n4", "n5"]
    assert not any(row["overlap"] for row in rows)
    found, name = dict[str, list[int]](), ""
    for row in rows:
        name = row["name"] or name
        found.setdefault(name, []).extend(row["numbers"])
    assert {node: sorted(numbers) for node, numbers in found.items()} == {node: sorted(numbers) for node, numbers in by_node.items()}  # fmt: skip
    page.select_option("#tl-by", "key")
    rows = drawn_rows(page)
    assert [row["name"] for row in rows if row["name"]] == [
        "key 3",
        "key 0",
        "key 1",
        "key 2",
        "key 4",
    ]  # the proof's first
    assert not any(row["overlap"] for row in rows)
    assert sum(len(row["numbers"]) for row in rows) == matching(page) == len(run.bars)


def test_lanes_of_keys_can_be_searched_and_walked_through(page: Any) -> None:
    page.select_option("#tl-by", "key")
    page.select_option("#tl-outcome", "proof")
    assert matching(page) == 4
    assert colours(page, "bad") > 100
    press(page, "Home")
    assert "operation #0: write 3 = 17" in said(page)
    press(page, "ArrowRight")
    assert "operation #2: write 3 = 18" in said(page)
    press(page, "ArrowDown", "ArrowRight")  # what goes on beside it is in the row below
    assert "operation #5: read 3 → 17" in said(page)
    press(page, "l")
    assert said(page) == "Lanes by client."
    page.click("#tl-clear")
    assert page.input_value("#tl-by") == "client"


def test_the_proof_can_be_copied(page: Any, run: RunFiles) -> None:
    page.click("#core summary:has-text('JSON')")
    page.click("[data-copy=core-json]")
    settled(page)
    assert page.inner_text("#core details [role=status]") in ("Copied.", "Selected; copy it with Ctrl+C.")
    taken = [json.loads(line) for line in page.evaluate("() => getSelection().toString()").splitlines()]
    assert [op["index"] for op in taken] == [op["index"] for op in run.results["core"]["ops"]]


def test_the_mouse_zooms_drags_and_selects(page: Any) -> None:
    press(page, "0")
    box = page.locator("#tl-canvas").bounding_box()
    at = (box["x"] + 128 + (box["width"] - 128) / 4, box["y"] + 60)
    low, high, _ = view(page)
    page.mouse.move(*at)
    page.mouse.wheel(0, -100)
    near, far, _ = view(page)
    assert near + (far - near) / 4 == pytest.approx(low + (high - low) / 4, abs=100)
    assert far - near == pytest.approx((high - low) * 0.8, abs=100)
    page.mouse.down()
    page.mouse.move(at[0] - 100, at[1], steps=5)
    page.mouse.up()
    moved = 100 / (box["width"] - 128) * (far - near)
    assert view(page)[0] == pytest.approx(near + moved, abs=100)
    assert said(page) == "Nothing is selected."
    press(page, "p", "Escape")
    first, last, _ = view(page)
    x = box["x"] + 128 + (12 - first) / (last - first) * (box["width"] - 128)
    top = page.evaluate("() => AXIS + 2 * STRIP + 4")
    page.mouse.click(x, box["y"] + top + 8)
    assert "operation #0: write 3 = 17" in said(page)


def test_the_table_lists_what_is_in_view(page: Any) -> None:
    page.click("#tl-table summary")
    press(page, "0")
    settled(page)
    assert page.locator("#tl-rows tr").count() == 100
    assert page.inner_text("#tl-listed") == "The first 100 of 2,004; zoom in to see the others."
    page.locator("#tl-rows button", has_text="#3").first.click()
    assert "operation #3: read 3 → 18" in said(page)


def test_a_link_leads_to_an_operation(browser: Any, run: RunFiles) -> None:
    page = opened(browser, run.folder)
    page.goto(f"{(run.folder / 'report.html').as_uri()}#op-5")
    page.reload()
    assert "operation #5: read 3 → 17" in said(page)


def test_the_logs_around_an_operation_are_shown(browser: Any, tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "run", ops=20)
    for node, lines in {"n1": "  0.020000 near\n  9.000000 far\n", "n3": "  1.020000 <b>nearer\u202e</b>\n"}.items():  # fmt: skip
        (folder / "nodes" / node).mkdir(parents=True)
        (folder / "nodes" / node / "system.log").write_text(lines)
    (folder / "environment.json").write_text(json.dumps({"began": 0.0}))
    write_report(folder)
    page = opened(browser, folder)
    assert not page.is_visible("#tl-logs")
    press(page, "Home", "ArrowDown", "ArrowDown")
    assert "operation #3: read 3 → 18. client process 2, client 2 → n3" in said(page)  # from 18 to 21 ms
    assert page.locator("#tl-log-rows tr").all_inner_texts() == ["20.000 ms\tn1\tnear", "1,020.000 ms\tn3\t<b>nearer\\u202e</b>"]  # fmt: skip
    assert page.locator("#tl-log-rows tr.own").count() == 1
    press(page, "Escape")
    assert not page.is_visible("#tl-logs")
    assert page.troubles == []
    page.context.close()


def test_without_javascript_there_is_a_still_picture(browser: Any, run: RunFiles) -> None:
    page = opened(browser, run.folder, java_script_enabled=False)
    assert page.is_visible("#tl-still svg")
    assert not page.is_visible("#tl-live")
    page.click("#tl-still summary")
    assert page.locator("#tl-still tbody tr").count() > 4
    assert "#0 (proof)" in page.inner_text("#tl-still tbody")


def test_dark_mode_is_drawn_in_its_own_colours(browser: Any, run: RunFiles) -> None:
    page = opened(browser, run.folder, color_scheme="dark")
    press(page, "0")
    assert colours(page, "read") > 1_000
    page.emulate_media(color_scheme="light")
    assert colours(page, "read") > 1_000


def test_paper_is_white_and_has_the_still_picture(browser: Any, run: RunFiles) -> None:
    page = opened(browser, run.folder, color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("#timeline").evaluate("(each) => getComputedStyle(each).backgroundColor") == "rgb(255, 255, 255)"  # fmt: skip
    assert page.is_visible("#tl-still svg")
    assert not page.is_visible("#tl-live")


def test_values_of_strangers_stay_text(browser: Any, tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "run", core=run_folders.core_ops(key=EVIL), ops=20)
    write_report(folder)
    page = opened(browser, folder)
    title = page.title()
    page.select_option("#tl-key", EVIL)
    press(page, "Home")
    told = EVIL.replace("\n", "\\n").replace("\u202e", "\\u202e")
    assert f"write {told} = 17" in said(page)
    assert page.locator("img").count() == 0
    assert page.title() == title
    assert page.troubles == []


def test_a_key_that_breaks_and_turns_lines_stays_in_its_place(browser: Any, tmp_path: Path) -> None:
    key = "a\nb\u202e \u05e9\u05dc\u05d5\u05dd"
    folder = run_folders.make(tmp_path / "run", core=run_folders.core_ops(key=key), ops=20)
    write_report(folder)
    page = opened(browser, folder)
    page.select_option("#tl-key", key)
    assert matching(page) == 4
    press(page, "Home")
    assert "operation #0: write a\\nb\\u202e \u2068\u05e9\u05dc\u05d5\u05dd\u2069 = 17" in said(page)
    assert "\u202e" not in page.inner_text("body")
    assert page.troubles == []


def test_every_control_has_a_name(page: Any) -> None:
    for control in page.locator("#tl-live select, #tl-live input").all():
        assert control.evaluate("(each) => each.labels.length") == 1
    for button in page.locator("#tl-live button").all():
        assert button.inner_text()
    canvas = page.locator("#tl-canvas")
    assert canvas.get_attribute("aria-label")
    assert page.locator(f"#{canvas.get_attribute('aria-describedby')}").inner_text().startswith("Click the timeline")  # fmt: skip


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> RunFiles:
    """4,000 reads of a client so dense that many fall on one pixel, one of them failed; then, of another client, a stale read and a failed write."""
    folder = run_folders.make(tmp_path_factory.mktemp("page") / "dense", "valid", ops=5)
    calls = [(0, 0.0, 1.0, "write", 1, Type.OK)]
    calls += [(0, 2.0 + at, 2.5 + at, "read", 1, Type.FAIL if at == 2_000 else Type.OK) for at in range(4_000)]  # fmt: skip
    calls += [(0, 5_000, 5_001, "write", 2, Type.OK), (1, 6_000, 6_900, "read", 1, Type.OK), (1, 7_000, 7_900, "write", 3, Type.FAIL)]  # fmt: skip
    ops = []
    for process, start, end, f, value, kind in calls:
        argument = [] if f == "read" else [value]
        ops.append(run_folders.call(len(ops), start, process, f, 9, *argument))
        ops.append(Op(len(ops), int(end * run_folders.MS), process, kind, f, 9, MISSING if f == "read" and kind is Type.FAIL else value))  # fmt: skip
    (folder / "history.jsonl").write_bytes(b"".join(map(encode_op, ops)))
    (folder / "faults.jsonl").write_text("")
    write_report(folder)
    return read_folder(folder)


def test_a_failure_among_many_on_one_pixel_is_seen_and_found(browser: Any, dense: RunFiles) -> None:
    page = opened(browser, dense.folder)
    page.select_option("#tl-client", "0")
    assert colours(page, "read") > 1_000
    assert colours(page, "other") > 5
    low, high, count = view(page)
    assert count == 4_002
    box = page.locator("#tl-canvas").bounding_box()
    x = box["x"] + 128 + (2_002 - low) / (high - low) * (box["width"] - 128)
    page.mouse.click(x, box["y"] + page.evaluate("() => AXIS + 4") + 8)
    assert "outcome fail: it surely had no effect" in said(page)
    page.context.close()


def test_stale_reads_and_failures_are_marked(browser: Any, dense: RunFiles) -> None:
    page = opened(browser, dense.folder)
    page.select_option("#tl-client", "1")
    assert colours(page, "bad") > 200  # underlined
    assert colours(page, "other") > 200  # outlined, not only its ends
    page.select_option("#tl-outcome", "stale")
    assert matching(page) == 1
    press(page, "Home")
    assert "stale surely: a newer value had been acknowledged before this read began" in said(page)
    page.context.close()


def test_an_operation_longer_than_the_view_is_in_view(browser: Any, dense: RunFiles) -> None:
    page = opened(browser, dense.folder)
    page.select_option("#tl-outcome", "stale")
    press(page, "e", "Enter", "+", "+", ".", ".")
    low, high, count = view(page)
    assert 6_000 < low < high < 6_900
    assert count == 1
    assert colours(page, "bad") > 500
    page.context.close()


def test_the_data_element_is_what_python_wrote(page: Any, run: RunFiles) -> None:
    assert json.loads(page.text_content("#timeline-data")) == json.loads(
        json.dumps(timeline(scene_of_run(run)))
    )


def test_a_history_of_nanoseconds_can_be_walked_through(browser: Any, tmp_path: Path) -> None:
    history, page_path = tmp_path / "a.jsonl", tmp_path / "report.html"
    ops = [Op(0, 0, 0, Type.INVOKE, "write", 1, 5), Op(1, 40, 0, Type.OK, "write", 1, 5)]
    ops += [Op(2, 50, 1, Type.INVOKE, "read", 1), Op(3, 90, 1, Type.OK, "read", 1, None)]
    history.write_bytes(b"".join(map(encode_op, ops)))
    assert status_of(["check", str(history), "--report", str(page_path)]) == 1
    page = opened(browser, tmp_path)
    press(page, "Home", "ArrowDown")
    assert "operation #2: read 1 → nothing" in said(page)
    assert "called at 50 ns" in said(page)
    press(page, "0")
    settled(page)
    assert page.inner_text("#tl-view") == "0 ns to 91 ns: 2 operations in view"
    assert page.troubles == []
