"""`quorate serve`: what can be searched and read, and that nothing else can be reached."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from checkers.jsonl import encode_op
from harness.cli import status_of
from harness.report import shelf_server, write_report
from harness.report.shelf import Catalogue, Entry, Looked, chosen, list_html, offered, planned
from harness.report.shelf_server import Shelf

sys.path.insert(0, str(Path(__file__).parent))
import run_folders

SECRET = "nobody may read this"
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of three outcomes, one of them killed, one unreadable; a secret beside them, and links that lead to it."""
    root = tmp_path_factory.mktemp("served")
    (root / "secret.txt").write_text(SECRET)
    (root / "elsewhere").mkdir()
    (root / "elsewhere" / "plan.toml").write_text(f'name = "{SECRET}"')
    runs = root / "runs"
    write_report(run_folders.make(runs / "quorum" / "20260101T000000.000-7", ops=20))
    good = run_folders.make(runs / "quorum" / "20260102T000000.000-8", "valid", ops=20)
    plan = run_folders.PLAN.replace("seed = 7", "seed = 8").replace('workload = "register"', 'workload = "session"')  # fmt: skip
    (good / "plan.toml").write_text(plan + '\n[[faults]]\nkind = "kill"\n')
    (good / "environment.json").write_text(json.dumps({"versions": {"quorate": "9.9"}}))
    (good / "nodes" / "n1").mkdir(parents=True)
    (good / "nodes" / "n1" / "system.log").write_text(f"<script>{EVIL}</script>\n")
    (good / "link.log").symlink_to(root / "secret.txt")
    (good / "out").symlink_to(root)
    killed = run_folders.make(runs / "other" / "20260103T000000.000-9", ops=20)
    (killed / "results.json").unlink()
    os.utime(killed / "history.jsonl", (1, 1))
    broken = run_folders.make(runs / "other" / f"20260104T000000.000-{EVIL.replace('/', '')}", ops=5)
    (broken / "results.json").write_text("[1]")
    (runs / "quorum" / "latest").symlink_to("20260102T000000.000-8")
    (runs / "abroad").symlink_to(root / "elsewhere")
    return runs


@pytest.fixture(scope="module")
def shelf(place: Path) -> Iterator[Shelf]:
    with Shelf(place, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def entries(root: Path, now_s: float) -> Sequence[Entry]:
    """All runs, each read now."""
    return Catalogue(root).look(now_s, float("inf")).runs


def ask(shelf: Shelf, path: str, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, dict[str, str], bytes]:  # fmt: skip
    """The path as it stands, which a browser would tidy up."""
    connection = http.client.HTTPConnection("127.0.0.1", int(shelf.server_address[1]), timeout=300)
    try:
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", host)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def names(shelf: Shelf, query: str = "") -> list[str]:
    """The runs that a query lists, by the ends of their seeds."""
    status, _, body = ask(shelf, f"/?{query}")
    assert status == 200
    return re.findall(r'href="/run/[^"]*?000-([^/"]{1,3})[^"]*/report.html"', body.decode())


def test_all_runs_are_listed_the_newest_first(shelf: Shelf, place: Path) -> None:
    assert names(shelf) == ["%3C", "9", "8", "7"]
    assert [run.outcome for run in entries(place, 1e10)] == ["unreadable", "unfinished", "valid", "invalid"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("outcome=invalid", ["7"]),
        ("workload=session", ["8"]),
        ("fault=kill", ["8"]),
        ("claim=linearizable", ["9", "8", "7"]),
        ("version=9.9", ["8"]),
        ("q=QUORUM%2F2026", ["8", "7"]),
        ("q=unfinished", ["9"]),
        ("outcome=valid&workload=register", []),
        ("sort=when", ["7", "8", "9", "%3C"]),
        ("sort=-ops", ["8", "7", "%3C", "9"]),
        ("sort=path;drop", ["%3C", "9", "8", "7"]),
    ],
)
def test_search_filter_and_sort(query: str, found: list[str], shelf: Shelf) -> None:
    assert names(shelf, query) == found


def test_filters_offer_what_there_is(place: Path) -> None:
    found = offered(entries(place, 1e10))
    assert found["workload"] == ["register", "session", "–"]
    assert found["fault"] == ["kill"]
    assert chosen(entries(place, 1e10), {"fault": "pause"}) == []


@pytest.fixture
def own(place: Path, tmp_path: Path) -> Path:
    """The same runs, to be changed."""
    return Path(shutil.copytree(place, tmp_path / "runs", symlinks=True))


def test_what_has_not_changed_is_not_read_again(own: Path) -> None:
    catalogue = Catalogue(own)
    first = catalogue.look(1e10, 60.0).runs
    results = own / "quorum" / "20260101T000000.000-7" / "results.json"
    text, status = results.read_text(), results.stat()
    results.write_text(" " * len(text))
    os.utime(results, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert catalogue.look(1e10, 60.0).runs == first  # the same time and length: taken for the same
    results.write_text(text.replace('"outcome": "invalid"', '"outcome": "valid"'))
    changed = {run.path: run.outcome for run in catalogue.look(1e10, 60.0).runs}
    assert changed["quorum/20260101T000000.000-7"] == "valid"
    shutil.rmtree(results.parent)
    assert len(catalogue.look(1e10, 60.0).runs) == len(first) - 1


def test_a_long_look_shows_the_newest_and_says_how_far_it_came(own: Path) -> None:
    """Each reading of the clock is a second later, so that a look without patience reads one folder."""
    now_s = count()
    catalogue = Catalogue(own, lambda: float(next(now_s)))
    first = catalogue.look(1e10, 1.0)
    assert ([run.outcome for run in first.runs], first.read, first.folders, first.whole) == (["unreadable"], 1, 4, False)  # fmt: skip
    page = list_html(own, first, {"outcome": "valid"})
    assert "1 of 4 folders are read so far" in page
    assert "0 of 1 that are read" in page
    second = catalogue.look(1e10, 2.0)
    assert ([run.outcome for run in second.runs], second.whole) == (["unreadable", "unfinished", "valid"], False)  # fmt: skip
    assert (third := catalogue.look(1e10, 9.0)).whole
    assert third.runs == entries(own, 1e10)
    assert "so far" not in list_html(own, third, {})
    shutil.rmtree(own / "other")
    assert catalogue.look(1e10, 0.0) == Looked(
        [*third.runs[2:]], 1, 2
    )  # looked at anew: what has gone is not shown


def test_the_list_asks_again_until_it_is_whole(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf_server, "PATIENCE_S", 0.0)
    with Shelf(own, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        answers = [ask(server, "/?sort=name") for _ in range(4)]
        server.shutdown()
        thread.join()
    assert [answer[1].get("Refresh") for answer in answers] == ["1", "1", "1", None]
    assert [b"folders are read so far" in answer[2] for answer in answers] == [True, True, True, False]


@pytest.mark.parametrize(
    ("text", "seed"),
    [
        ('name = "a"\nseed = 12\nnodes = 5\n', "12"),
        ("seed = 12\n\n[options]\nseed = 3\n", "12"),
        ('name = "a"\n\n[options]\nseed = 3\n', "–"),
        ('note = """\nseed = 3\n"""\nseed = 4\n', "4"),
        ("note = '''\nseed = 3\n'''\n", "–"),
        ('seed = "x"\n', "x"),
    ],
)
def test_the_seed_of_a_plan_is_the_one_on_top(text: str, seed: str) -> None:
    for _ in range(2):
        assert planned(text).seed == seed
    assert planned(text.replace("= 12", "= 13")).seed == seed.replace("12", "13")


def test_a_folder_that_may_not_be_read_hides_no_other(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, scandir = entries(own, 1e10), os.scandir

    def refused(path: str) -> Any:
        if Path(path).name == "locked":
            raise PermissionError(path)
        return scandir(path)

    (own / "locked").mkdir()
    monkeypatch.setattr(os, "scandir", refused)
    assert entries(own, 1e10) == whole


def test_a_run_whose_history_grows_is_running(place: Path) -> None:
    outcomes = {run.path[-2:]: run.outcome for run in entries(place, 2.0)}
    assert outcomes["-9"] == "running"
    assert outcomes["-7"] == "invalid"


def test_a_page_a_file_and_a_zip(shelf: Shelf, place: Path) -> None:
    run = "/run/quorum/20260101T000000.000-7"
    status, headers, body = ask(shelf, f"{run}/report.html")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"broke its claim to be linearizable" in body
    status, headers, body = ask(shelf, f"{run}/history.jsonl")
    assert (status, body) == (200, (place / "quorum/20260101T000000.000-7/history.jsonl").read_bytes())
    assert headers["X-Content-Type-Options"] == "nosniff"
    status, headers, body = ask(shelf, f"{run}/", "HEAD")
    assert (status, body, int(headers["Content-Length"]) > 1000) == (200, b"", True)
    status, headers, body = ask(shelf, "/zip/quorum/20260102T000000.000-8.zip")
    packed = zipfile.ZipFile(io.BytesIO(body))
    assert packed.testzip() is None
    assert sorted(packed.namelist()) == [f"20260102T000000.000-8/{name}" for name in ("environment.json", "faults.jsonl", "history.jsonl", "nodes/n1/system.log", "plan.toml", "results.json")]  # fmt: skip
    assert SECRET.encode() not in b"".join(packed.read(name) for name in packed.namelist())


def test_what_a_system_wrote_is_never_html(shelf: Shelf) -> None:
    status, headers, _ = ask(shelf, "/run/quorum/20260102T000000.000-8/nodes/n1/system.log")
    assert (status, headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    _, _, body = ask(shelf, "/")
    assert b"<img" not in body


def test_a_run_without_a_page_is_shown_and_nothing_is_written(shelf: Shelf, place: Path) -> None:
    before = sorted(place.rglob("*"))
    status, headers, body = ask(shelf, "/run/other/20260103T000000.000-9/report.html")
    assert status == 200
    assert b"What is missing here" in body
    assert "Refresh" not in headers
    assert sorted(place.rglob("*")) == before


def test_a_run_that_goes_on_is_looked_at_again(shelf: Shelf, place: Path) -> None:
    path = place / "other/20260103T000000.000-9/history.jsonl"
    os.utime(path)
    _, headers, _ = ask(shelf, "/run/other/20260103T000000.000-9/report.html")
    os.utime(path, (1, 1))
    assert headers["Refresh"] == "5"


def test_a_run_that_cannot_be_read_says_so(shelf: Shelf) -> None:
    broken = re.search(r'href="(/run/other/20260104[^"]*/report.html)"', ask(shelf, "/")[2].decode())
    assert broken is not None
    status, headers, body = ask(shelf, broken[1])
    assert (status, headers["Content-Type"]) == (422, "text/plain; charset=utf-8")
    assert b"results.json" in body


@pytest.mark.parametrize(
    "path",
    [
        "/run/../secret.txt", "/run/quorum/../../secret.txt", "/run/%2e%2e/secret.txt", "/run/..%2fsecret.txt", "/run/quorum/%2e%2e/%2e%2e/secret.txt",
        "/run/%252e%252e/secret.txt", "/run/quorum/..%5c..%5csecret.txt", "/run//etc/passwd", "/run/%2fetc%2fpasswd", "/run/quorum/%00", "/run/./quorum/",
        "/run/quorum/20260102T000000.000-8/link.log", "/run/quorum/20260102T000000.000-8/out/secret.txt", "/run/quorum/20260102T000000.000-8/out/",
        "/run/quorum/latest/", "/run/quorum/latest/report.html", "/run/abroad/", "/run/abroad/plan.toml", "/run/abroad/report.html", "/zip/abroad.zip",
        "/zip/..zip", "/zip/../elsewhere.zip", "/zip/%2e%2e%2felsewhere.zip", "/run/", "/run/quorum/", "/zip/.zip", "/zip/quorum.zip", "/etc/passwd", "/run/quorum/%ff",
        "/run/quorum/20260102T000000.000-8", "//etc/passwd", "/run/quorum/20260102T000000.000-8/nodes/report.html",
    ],
)  # fmt: skip
def test_nothing_outside_is_reached(path: str, shelf: Shelf) -> None:
    status, headers, body = ask(shelf, path)
    assert status in (400, 404)
    assert headers["Content-Type"].startswith("text/plain")
    assert SECRET.encode() not in body
    assert b"root:" not in body


def test_no_page_is_made_of_what_links_lead_to(shelf: Shelf, place: Path) -> None:
    """The run is good, but a file of it is a link out of the place."""
    status, _, body = ask(shelf, "/run/quorum/20260102T000000.000-8/report.html")
    assert (status, body) == (404, b"it has no page, and none is made of links\n")
    folder = place / "other" / "20260105T000000.000-5"
    folder.mkdir()
    (folder / "plan.toml").symlink_to(place.parent / "elsewhere" / "plan.toml")
    listed = ask(shelf, "/")[2]
    (folder / "plan.toml").unlink()
    (folder / "plan.toml").write_text(run_folders.PLAN)
    (place.parent / "results.json").write_text(json.dumps({"outcome": SECRET}))
    (folder / "results.json").symlink_to(place.parent / "results.json")
    listed += ask(shelf, "/")[2]
    (folder / "results.json").unlink()
    (folder / "plan.toml").unlink()
    folder.rmdir()
    assert SECRET.encode() not in listed


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_it_can_only_be_read(method: str, shelf: Shelf) -> None:
    assert ask(shelf, "/", method)[0] == 501


@pytest.mark.parametrize(("host", "status"), [("localhost:80", 200), ("127.0.0.1", 200), ("[::1]:8", 200), ("evil.example", 421), ("", 421)])  # fmt: skip
def test_a_server_of_another_name_is_not_this_one(host: str, status: int, shelf: Shelf) -> None:
    assert ask(shelf, "/", host=host)[0] == status


def test_a_history_that_grows_meanwhile_is_cut_where_it_was(shelf: Shelf, place: Path) -> None:
    path = place / "quorum/20260101T000000.000-7/history.jsonl"
    with path.open("ab") as history:
        history.write(encode_op(run_folders.core_ops()[0]) * 10_000)
    status, headers, body = ask(shelf, "/run/quorum/20260101T000000.000-7/history.jsonl")
    assert (status, len(body)) == (200, int(headers["Content-Length"]))


def test_bad_arguments_are_named(tmp_path: Path, shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["serve", str(tmp_path / "none")]) == 254
    assert "is no folder" in " ".join(capsys.readouterr().err.split())
    assert status_of(["serve", str(tmp_path), "--port", str(shelf.server_address[1])]) == 254
    assert "cannot be listened on" in " ".join(capsys.readouterr().err.split())
    assert status_of(["serve", str(tmp_path), "--port", "99999"]) == 254


def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    quorate = str(Path(sys.executable).parent / "quorate")
    with subprocess.Popen([quorate, "serve", str(tmp_path), "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:  # fmt: skip
        assert server.stdout is not None
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\n", server.stdout.readline())
        server.send_signal(2)
        assert server.wait(timeout=300) == 0
        assert server.stderr is not None
        assert "Traceback" not in server.stderr.read()
