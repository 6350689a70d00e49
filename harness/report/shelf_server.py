"""`quorate serve`: the run folders over HTTP, to be read and nothing else.

    /                        the list: search, filters, order
    /run/<folder>/           its files            /run/<folder>/report.html   its page; made on the way if the run has none
    /zip/<folder>.zip        all of it

GET and HEAD only; nothing is written. A path is decoded once and taken part by part: `.`, `..`, an empty part or one with a slash in it is refused, and every
part is opened without following links (openat, O_NOFOLLOW), so that nothing outside can be reached, not even by a link that is put there meanwhile.
Only report.html, which we wrote, is sent as HTML; what a system under test wrote is plain text. A name of the server other than its own is refused,
so that a page of somebody else's cannot read runs through the reader's browser (DNS rebinding).
"""

from __future__ import annotations

import os
import socket
import stat
import tempfile
import time
import zipfile
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from checkers.jsonl import HistoryError
from harness.plan import PlanError
from harness.report.folder import read_folder
from harness.report.page import contents, embedded, render
from harness.report.shelf import Catalogue, list_html, quoted, standing

PIECE: Final = 1 << 18
LIVE_S: Final = 5  # between two looks at a run that goes on
PATIENCE_S: Final = 0.7  # of a list, before it is shown as far as it was read
AGAIN_S: Final = 1  # until such a list goes on
TYPES: Final = {".html": "text/html; charset=utf-8", ".json": "application/json"}


class Refused(Exception):
    """An answer that is no page: a status and why."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


def parts_of(path: str) -> list[str]:
    """A path of a URL, decoded, part by part. Raises Refused for one that could lead elsewhere."""
    try:
        parts = [unquote(part, errors="strict") for part in path.split("/")]
    except UnicodeDecodeError:
        raise Refused(HTTPStatus.BAD_REQUEST, "the path is not UTF-8") from None
    if any(part in ("", ".", "..") or "/" in part or "\\" in part or "\0" in part for part in parts):
        raise Refused(HTTPStatus.NOT_FOUND, "there is no such file")
    return parts


def opened(root: Path, parts: list[str], flags: int) -> int:
    """A descriptor of what is there, no link followed on the way. Raises Refused."""
    place = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for number, part in enumerate(parts, 1):
            more = flags if number == len(parts) else os.O_DIRECTORY
            inner = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | more, dir_fd=place)  # fmt: skip
            os.close(place)
            place = inner
    except OSError:
        os.close(place)
        raise Refused(HTTPStatus.NOT_FOUND, "there is no such file") from None
    return place


def file_in(root: Path, parts: list[str]) -> IO[bytes]:
    """An open regular file."""
    place = opened(root, parts, 0)
    if not stat.S_ISREG(os.fstat(place).st_mode):
        os.close(place)
        raise Refused(HTTPStatus.NOT_FOUND, "there is no such file")
    return os.fdopen(place, "rb")


def run_folder(root: Path, parts: list[str]) -> Path:
    """The folder of a run. Raises Refused if it is none, or only by a link."""
    os.close(opened(root, parts, os.O_DIRECTORY))
    file_in(root, [*parts, "plan.toml"]).close()
    return root.joinpath(*parts)


def files_of(folder: Path) -> list[tuple[list[str], int]]:
    """The regular files of a run and their sizes, links left out."""
    found = list[tuple[list[str], int]]()
    for place, _, names in os.walk(folder, followlinks=False):
        for name in names:
            with suppress(OSError):
                status = (Path(place) / name).lstat()
                if stat.S_ISREG(status.st_mode):
                    found.append(([*Path(place).relative_to(folder).parts, name], status.st_size))
    return sorted(found)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Shelf
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        """Answer."""
        try:
            self.refuse_strangers()
            url = urlsplit(self.path)
            head, _, rest = url.path.removeprefix("/").partition("/")
            if not head:
                self.overview(dict(parse_qsl(url.query, max_num_fields=20)))
            elif head == "run":
                self.run(rest)
            elif head == "zip" and rest.endswith(".zip"):
                self.zip(parts_of(rest.removesuffix(".zip")))
            else:
                raise Refused(HTTPStatus.NOT_FOUND, "there is no such page")
        except Refused as refused:
            self.plain(refused.status, str(refused))
        except (PlanError, HistoryError) as error:
            self.plain(HTTPStatus.UNPROCESSABLE_ENTITY, f"this run has no page: {error}")
        except ValueError:
            self.plain(HTTPStatus.BAD_REQUEST, "the request cannot be read")
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self.close_connection = True

    def do_HEAD(self) -> None:
        """The same without the body."""
        self.do_GET()

    def refuse_strangers(self) -> None:
        """Raises Refused if the request is for a server of another name."""
        name = urlsplit(f"//{self.headers.get('Host', '')}").hostname
        if name not in self.server.names:
            raise Refused(HTTPStatus.MISDIRECTED_REQUEST, "this server has another name")

    def overview(self, query: dict[str, str]) -> None:
        """What is known of the runs by now; asked for again by itself until that is all of them."""
        looked = self.server.catalogue.look(time.time(), PATIENCE_S)
        self.page(list_html(self.server.root, looked, query), {} if looked.whole else {"Refresh": str(AGAIN_S)})  # fmt: skip

    def run(self, rest: str) -> None:
        """A page or a file of a run."""
        root = self.server.root
        if rest.endswith("/"):
            parts = parts_of(rest[:-1])
            folder = run_folder(root, parts)
            files = [("/".join(names), "/".join(map(quoted, names)), size) for names, size in files_of(folder)]  # fmt: skip
            self.page(render("files.html.j2", {"path": "/".join(parts), "link": "/".join(map(quoted, parts)), "files": files, "data": embedded({})}))  # fmt: skip
            return
        parts = parts_of(rest)
        try:
            file = file_in(root, parts)
        except Refused:
            if parts[-1] != "report.html":
                raise
            self.made(run_folder(root, parts[:-1]))
            return
        with file:
            own = parts[-1] == "report.html"
            kind = TYPES.get(Path(parts[-1]).suffix, "") if own or parts[-1].endswith(".json") else ""
            self.send(HTTPStatus.OK, kind or "text/plain; charset=utf-8", os.fstat(file.fileno()).st_size, file)  # fmt: skip

    def made(self, folder: Path) -> None:
        """The page of a run that has none, of what it has written so far; nothing is kept."""
        if any((Path(at) / name).is_symlink() for at, inner, names in os.walk(folder) for name in (*inner, *names)):  # fmt: skip
            raise Refused(HTTPStatus.NOT_FOUND, "it has no page, and none is made of links")
        lives = (
            not (folder / "results.json").exists() and standing(os.fspath(folder), time.time()) == "running"
        )
        try:
            html = render("page.html.j2", contents(read_folder(folder)))
        except (KeyError, TypeError, AttributeError) as error:
            raise PlanError(f"its files are not what a run writes ({type(error).__name__}: {error})") from error  # fmt: skip
        self.page(html, {"Refresh": str(LIVE_S)} if lives else {})

    def zip(self, parts: list[str]) -> None:
        """All files of a run, in a folder of its name."""
        folder = run_folder(self.server.root, parts)
        with tempfile.TemporaryFile() as whole:
            with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
                for names, _ in files_of(folder):
                    with suppress(Refused), file_in(self.server.root, [*parts, *names]) as file, packed.open("/".join([parts[-1], *names]), "w", force_zip64=True) as inner:  # fmt: skip
                        while piece := file.read(PIECE):
                            inner.write(piece)
            size = whole.tell()
            whole.seek(0)
            self.send(HTTPStatus.OK, "application/zip", size, whole, {"Content-Disposition": f"attachment; filename*=UTF-8''{quoted(parts[-1])}.zip"})  # fmt: skip

    def page(self, html: str, more: dict[str, str] | None = None) -> None:
        """A page that was made now."""
        self.text(HTTPStatus.OK, "text/html; charset=utf-8", html, more)

    def plain(self, status: HTTPStatus, told: str) -> None:
        """A sentence."""
        self.text(status, "text/plain; charset=utf-8", f"{told}\n")

    def text(self, status: HTTPStatus, kind: str, text: str, more: dict[str, str] | None = None) -> None:
        """A text that is in memory."""
        with tempfile.SpooledTemporaryFile(max_size=PIECE) as body:
            body.write(text.encode(errors="replace"))
            size = body.tell()
            body.seek(0)
            self.send(status, kind, size, body, more)

    def send(self, status: HTTPStatus, kind: str, size: int, body: Any, more: dict[str, str] | None = None) -> None:  # fmt: skip
        """Headers, then the first `size` bytes of the body: a history may grow meanwhile."""
        self.send_response(status)
        fixed = {"Content-Type": kind, "Content-Length": str(size), "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}  # fmt: skip
        for name, value in {**fixed, **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        while self.command == "GET" and size > 0 and (piece := body.read(min(PIECE, size))):
            self.wfile.write(piece)
            size -= len(piece)

    def version_string(self) -> str:
        """The name of the server, and no version."""
        return "quorate"

    def log_message(self, form: str, *args: Any) -> None:
        """Requests are not logged."""


class Shelf(ThreadingHTTPServer):
    """The server; `names` are those under which it answers."""

    daemon_threads = True

    def __init__(self, root: Path, host: str, port: int) -> None:
        self.root = root
        self.catalogue = Catalogue(root)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.names = {host.lower(), "localhost", "127.0.0.1", "::1"}
        super().__init__((host, port), Handler)
