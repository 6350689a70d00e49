"""The report says what happened, in words, and nothing in it can reach the network or run."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import run_folders

from checkers.jsonl import encode_op
from checkers.op import Op, Type
from harness.plan import PlanError
from harness.report import words, write_comparison, write_report
from harness.report.drawing import bands, lanes
from harness.report.folder import Bar, pair, read_folder
from harness.report.markdown import run_markdown
from harness.report.plots import POINTS_PER_SLICE, SLICES, WINDOWS, latency_ms, latency_plot, quantiles, thin
from harness.report.rows import age_rows, behind_rows, error_rows, facts, staleness_rows

EVIL = "</script><img src=x onerror=alert(1)><!--\"'&"


class Page(HTMLParser):
    """Collects what the tests ask for: text, attributes, open elements, the embedded data."""

    VOID = ("meta", "br", "img", "link", "input", "hr", "stop", "rect", "line", "path", "use")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.scripts: dict[str, str] = {}
        self._script: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self._script = dict(attrs).get("id") or "" if tag == "script" else None

    def handle_endtag(self, tag: str) -> None:
        self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data
        else:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page(write_report(run_folders.make(tmp_path / "run")).read_text())


def test_the_finding_stands_first(page: Page) -> None:
    assert (
        f"kvstore in mode quorum (N=3 R=2 W=2) broke its claim to be linearizable: {run_folders.SENTENCE}."
        in page.words
    )


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        ("valid", "kvstore in mode quorum (N=3 R=2 W=2) kept every claim (linearizable) in 610 operations and 2 faults that bit."),
        ("unknown", "There is no verdict on kvstore in mode quorum (N=3 R=2 W=2): the partition never bit."),
    ],
)  # fmt: skip
def test_golden_findings(tmp_path: Path, outcome: str, sentence: str) -> None:
    page = Page(write_report(run_folders.make(tmp_path / "run", outcome)).read_text())
    assert sentence in page.words
    assert "The proof:" not in page.words


def test_the_core_is_drawn_in_lanes(page: Page) -> None:
    labels = [value for tag, name, value in page.attributes if tag == "g" and name == "aria-label"]
    assert any(label.startswith("operation 5: client 3 on n4, read 3 → 17, ok") for label in labels)
    assert any("write 3 = 18, info" in label and "nobody knows when it ended" in label for label in labels)
    assert "client 1 → n2" in page.words


def test_evidence_and_blunt_faults_are_told(page: Page) -> None:
    assert "dropped n1->n3: 412" in page.words
    assert "pid before 4711, state gone, pid after 4802" in page.words
    labels = [value for _, name, value in page.attributes if name == "aria-label"]
    assert [label for label in labels if label.endswith("it did not bite")] == [
        "partition of n5: 24.0 s to 26.0 s; it did not bite"
    ]


def test_scope_says_what_was_not_tested(page: Page) -> None:
    assert "no shifted clocks in this run" in page.words
    assert "no paused nodes in this run" in page.words
    assert "no network partitions in this run" not in page.words


def test_the_command_repeats_it(page: Page) -> None:
    assert "quorate run examples/quorum.toml --world sim --seed 7" in page.words


def test_nothing_is_loaded(tmp_path: Path) -> None:
    html = write_report(run_folders.make(tmp_path / "run")).read_text()
    assert re.findall(r"https?:|//\w+\.\w|@import|url\((?!#)", html) == []
    page = Page(html)
    assert [
        value for _, name, value in page.attributes if name in ("src", "href") and not value.startswith("#")
    ] == []
    assert [value for tag, name, value in page.attributes if tag == "script" and name == "type"] == ["application/json"] * 2  # fmt: skip
    assert page.scripts.keys() == {"data", "timeline-data", ""}


def test_the_policy_allows_exactly_our_script(page: Page) -> None:
    [policy] = [value for tag, name, value in page.attributes if tag == "meta" and "default-src" in value]
    digest = base64.b64encode(hashlib.sha256(page.scripts[""].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert [name for _, name, _ in page.attributes if name.startswith("on")] == []


def test_ids_are_unique(page: Page) -> None:
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_hostile_values_stay_text(tmp_path: Path) -> None:
    core = run_folders.core_ops(key=EVIL)
    folder = run_folders.make(tmp_path / "run", core=core, sentence=EVIL)
    page = Page(write_report(folder).read_text())
    assert "img" not in page.tags
    assert page.tags.count("script") == 3
    data = json.loads(page.scripts["data"])
    assert data["results"]["core"]["sentence"] == EVIL
    assert data["results"]["core"]["ops"][0]["key"] == EVIL


def test_a_long_run_is_a_small_page(tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "run", ops=20_000)
    assert write_report(folder).stat().st_size < 400_000 + 35 * 20_000


def test_thinning_keeps_the_slowest() -> None:
    ops = run_folders.filler(5_000, 0, random.Random(3))
    bars = pair(ops, str)
    kept = thin(bars, 30_000_000_000)
    assert len(kept) <= SLICES * POINTS_PER_SLICE
    assert max(map(latency_ms, kept)) == max(map(latency_ms, bars))


def test_stale_reads_stand_out_among_latencies(tmp_path: Path) -> None:
    run = read_folder(run_folders.make(tmp_path / "run"))
    old = next(bar.index for bar in run.bars if bar.f == "read" and bar.outcome == "ok")
    assert "stale read" in latency_plot(run.bars, run.faults, run.end_ns, {old})
    assert "stale read" not in latency_plot(run.bars, run.faults, run.end_ns)


def test_quantiles_are_of_windows_with_operations_enough() -> None:
    """Each second 100 operations, those of the second half slower; five more are too few for a window."""
    bars = [Bar(at, 0, "n1", "read", 0, 1, "ok", at * 10_000_000, at * 10_000_000 + (1 if at < 5_000 else 3) * 1_000_000) for at in range(10_000)]  # fmt: skip
    slow = [Bar(at, 0, "n1", "read", 0, 1, "fail", at * 10_000_000, at * 10_000_000 + 900_000_000) for at in range(0, 10_000, 7)]  # fmt: skip
    at_s, ms = quantiles([*bars, *slow], 0.99, 0.5)
    assert len(at_s) == WINDOWS
    assert ms == [1.0] * (WINDOWS // 2) + [3.0] * (WINDOWS // 2)
    assert at_s == sorted(at_s)
    assert quantiles(bars[:55], 0.5, 0.5) == ([pytest.approx(0.245)], [1.0])
    assert quantiles(bars[:49], 0.5, 0.5) == ([], [])


def test_errors_are_counted_and_lead_to_the_first(tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "run", ops=600)
    html = write_report(folder).read_text()
    run = read_folder(folder)
    failed = [bar for bar in run.bars if bar.outcome == "fail" and bar.f == "write"]
    rows = list(error_rows(run))
    assert ("write", "fail", "not enough replicas answered", str(len(failed)), str(failed[0].index)) in rows
    assert ("write", "info", "timed out after 1000 ms", "1", "2") in rows
    assert f'<a href="#op-{failed[0].index}">' in html


def test_the_event_required_stands_in_the_head(tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "run", ops=50)
    assert ("event required", "not established") in list(facts(read_folder(folder)))
    variants = [{"without": name, "verdict": verdict, "hits": 0, "runs": 9, "chance": 0.01} for name, verdict in (("the plan", ""), ("partition", "needed"), ("kill", "helps"))]  # fmt: skip
    (folder / "attribution.json").write_text(json.dumps({"sentence": "it needs a partition", "variants": variants}))  # fmt: skip
    assert ("event required", "partition") in list(facts(read_folder(folder)))
    assert "event required" not in dict(facts(read_folder(run_folders.make(tmp_path / "good", "valid", ops=50))))  # fmt: skip


def test_stale_reads_are_counted_by_versions(tmp_path: Path) -> None:
    """After k acknowledged writes a read returns the value of none: k versions behind."""
    folder = run_folders.make(tmp_path / "run", "valid", ops=5)
    ops = list[Op]()
    for key, behind in enumerate((1, 1, 2, 3, 4, 5, 8, 9)):
        for version in range(behind):
            start = run_folders.call(len(ops), 10 * len(ops), 0, "write", key, version)
            ops += [
                start,
                Op(len(ops) + 1, start.time_ns + run_folders.MS, 0, Type.OK, "write", key, version),
            ]
        start = run_folders.call(len(ops), 10 * len(ops), 0, "read", key)
        ops += [start, Op(len(ops) + 1, start.time_ns + run_folders.MS, 0, Type.OK, "read", key, None)]
    (folder / "history.jsonl").write_bytes(b"".join(map(encode_op, ops)))
    rows = list(behind_rows(read_folder(folder)))
    assert rows == [("1", "2", "25.0 %"), ("2", "1", "12.5 %"), ("3 to 4", "2", "25.0 %"), ("5 to 8", "2", "25.0 %"), ("9 to 16", "1", "12.5 %")]  # fmt: skip
    run = read_folder(folder)
    assert [round(ns / 1e6) for ns in run.ages_ns] == [19, 19, 39, 59, 79, 99, 159, 179]
    assert list(age_rows(run)) == [("10 %", "19.0 ms"), ("50 %", "59.0 ms"), ("90 %", "179.0 ms"), ("99 %", "179.0 ms"), ("all", "179.0 ms")]  # fmt: skip
    assert "How stale were stale reads?" in write_report(folder).read_text()


def test_what_is_not_there_is_said() -> None:
    assert words.evidence_words({"evidence": {"lost": "", "node": "n5"}}) == "lost none, node n5"
    assert dict(staleness_rows({}))["stale reads"] == "not measured"


def test_an_open_call_is_info() -> None:
    [bar] = pair([run_folders.call(0, 1, 4, "write", 1, 9)], str)
    assert (bar.outcome, bar.end_ns, bar.value) == ("info", None, 9)


def test_nemesis_records_are_not_operations() -> None:
    assert pair([Op(0, 0, "nemesis", run_folders.Type.INVOKE, "kill-start")], str) == []


def test_a_short_proof_at_a_time_since_1970_is_drawn_over_the_whole_width() -> None:
    began_ns = 1_795_888_109_806_123_457  # where neighbouring floats are 256 ns apart
    ops = [
        Op(at, began_ns + at, 4, kind, "read", 1, 9)
        for at, kind in enumerate((run_folders.Type.INVOKE, run_folders.Type.OK))
    ]
    drawn = lanes(pair(ops, str), ident="x", alternative="")
    ((left, width),) = re.findall(r'<rect[^>]* x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', drawn)
    assert float(left) == 150
    assert float(width) > 300


def test_nothing_to_draw_draws_nothing() -> None:
    assert lanes([], ident="x", alternative="") == ""
    assert bands([], 1) == ""


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: [(folder / name).unlink() for name in ("results.json", "history.jsonl")], "did not finish"),
        (lambda folder: (folder / "results.json").write_text("{"), "cannot be read as JSON"),
        (lambda folder: (folder / "results.json").write_text('{"schema": 99}'), "schema 99"),
        (lambda folder: (folder / "faults.jsonl").write_text("x\n{}\n"), "line 1 is not JSON"),
        (lambda folder: (folder / "plan.toml").write_text("= 1"), "is not TOML"),
    ],
)  # fmt: skip
def test_a_spoilt_folder_is_a_named_error(tmp_path: Path, spoil: object, message: str) -> None:
    folder = run_folders.make(tmp_path / "run", ops=5)
    spoil(folder)  # type: ignore[operator]
    with pytest.raises(PlanError, match=message):
        write_report(folder)


def test_numbers_for_people() -> None:
    assert [words.percent(x) for x in (None, 0, 0.00001, 0.0133, 0.83)] == [
        "–",
        "0 %",
        "< 0.01 %",
        "1.33 %",
        "83.0 %",
    ]
    assert words.join(["a", "b", "c"]) == "a, b and c"


def test_comparison_has_a_row_with_its_proof(tmp_path: Path) -> None:
    bars: list[Bar] = read_folder(run_folders.make(tmp_path / "run", ops=5)).core_bars
    row = {
        "name": EVIL, "mode": "quorum", "n": 3, "r": 2, "w": 2, "clocks": "synchronised",
        "verdicts": {"linearizable": "invalid", "regular": "valid"}, "strongest": "regular", "stale_fraction": 0.01,
        "worst_staleness_ms": 12.5, "worst_staleness_versions": 3, "p50_ms": 1.5, "p99_ms": 30.0, "availability": None,
        "core": None, "sentence": run_folders.SENTENCE, "bars": bars, "about": "a", "link": "x.html", "command": "c",
    }  # fmt: skip
    page = Page(write_comparison(tmp_path / "demo", [row], title="T", summary="S").read_text())
    assert words.sentence(run_folders.SENTENCE) in page.words
    assert "12.5 ms, 3 versions" in page.words
    assert "img" not in page.tags
    assert page.words.count("client 1 → n2") == 1


ATTRIBUTION = {
    "claim": "linearizable", "anomaly": "stale-read", "sentence": "stale-read shows in 9 of 10 runs and in none without kill",
    "variants": [
        {"without": "as it is", "runs": 10, "hits": 9, "chance": 1.0, "verdict": ""},
        {"without": "kill", "runs": 10, "hits": 0, "chance": 0.00005, "verdict": "needed"},
        {"without": "reordering", "runs": 10, "hits": 8, "chance": 0.5, "verdict": "no matter"},
    ],
}  # fmt: skip


def test_what_a_violation_needs_is_told_or_how_to_find_out(tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "a run", ops=3)
    assert f"quorate attribute '{folder}'" in Page(write_report(folder).read_text()).words
    (folder / "attribution.json").write_text(json.dumps(ATTRIBUTION))
    told = Page(write_report(folder).read_text()).words
    assert "quorate attribute" not in told
    assert "Stale-read shows in 9 of 10 runs and in none without kill." in told
    assert "as it is 9 of 10 60 to 98 % without kill 0 of 10 0 to 26 % < 0.001 needed without reordering 8 of 10 49 to 94 % 0.5 no matter" in told  # fmt: skip
    assert "| without kill | 0 of 10 | 0 to 26 % | &lt; 0.001 | needed |" in run_markdown(read_folder(folder))


@pytest.mark.parametrize("text", ["{", "[]", '{"sentence": "so"}'])
def test_a_damaged_attribution_is_named_with_what_makes_it_anew(tmp_path: Path, text: str) -> None:
    folder = run_folders.make(tmp_path / "run", ops=3)
    (folder / "attribution.json").write_text(text)
    with pytest.raises(PlanError) as caught:
        write_report(folder)
    assert "attribution.json" in str(caught.value)
    assert f"`quorate attribute {folder}`" in str(caught.value)


@pytest.mark.parametrize(("outcome", "world"), [("valid", "sim"), ("valid", "hosts"), ("invalid", "unknown")])
def test_where_nothing_can_be_attributed_nothing_is_said_of_it(
    tmp_path: Path, outcome: str, world: str
) -> None:
    folder = run_folders.make(tmp_path / "run", outcome, ops=3)
    results = json.loads((folder / "results.json").read_text())
    (folder / "results.json").write_text(json.dumps({**results, "world": world}))
    assert "needs" not in [value for _, name, value in Page(write_report(folder).read_text()).attributes if name == "id"]  # fmt: skip


def test_delta_and_gamma_are_shown_by_run_and_by_key(tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "run", ops=3)
    path = folder / "results.json"
    results = json.loads(path.read_text())
    results["atomicity"] = {
        "keys": 3, "keys_skipped": 1, "keys_without_delta": 1, "keys_without_gamma": 0,
        "delta_ms": {"p50": 0.0, "p95": 7.5, "p99": 7.5, "max": 7.5}, "gamma_ms": {},
        "keys_shifted": {"<i>": {"delta_ms": 7.5, "gamma_ms": 3.25}, "9": {"delta_ms": None, "gamma_ms": 1.0}},
    }  # fmt: skip
    path.write_text(json.dumps(results))
    text = write_report(folder).read_text()
    assert (
        "max 7.500 ms, p99 7.500 ms, p50 0.000 ms, over 3 keys; none is enough for 1 key; 1 key not measured"
        in text
    )
    assert text.index("no shift is enough") < text.index("3.250 ms")
    assert "&lt;i&gt;" in text
