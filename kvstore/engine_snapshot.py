"""Snapshots as files: written so that half of one is never taken for a whole one.

    <snapshots>/<label>.partial/   store.copy ── VACUUM INTO, past left out, fsync
                                   snapshot.json ── sizes, versions, SHA-256, fsync        then rename to <label>/, fsync
    <data>/store.sqlite3.partial ── copy, fsync ── rename to store.sqlite3, fsync          restore, with the node stopped

The copy is made by SQLite in one read transaction, beside the running node: its writes go on, and its write-ahead log grows
meanwhile. What the copy has in place of the node's past says `kvstore.snapshots`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any, Final

from kvstore.engine import FILE, PARTIAL, SCHEMA, SCHEMAS_BEFORE, fold_log
from kvstore.engine_errors import EngineError, SchemaError, opening
from kvstore.engine_rows import fact_row
from kvstore.events import Snapshot

FORMAT: Final = 1  # of the directory; raise it when it changes its meaning
COPY: Final = "store.copy"  # another name than a node's, so that none is started on the snapshot itself
MANIFEST: Final = "snapshot.json"
_CHUNK_BYTES: Final = 1 << 20


def take(data: Path, folder: Path, node: str, snapshot: Snapshot) -> tuple[int, Path]:
    """Copy the store in `data` into a directory of its own in `folder`; its size and place. Raises EngineError."""
    target = folder / snapshot.label
    partial = folder / (snapshot.label + PARTIAL)
    try:
        if target.exists():
            raise EngineError(f"{target} is there already; choose another name.")
        shutil.rmtree(partial, ignore_errors=True)  # of a node that was killed meanwhile
        partial.mkdir(parents=True)
        with contextlib.closing(sqlite3.connect(f"{(data / FILE).as_uri()}?mode=ro", uri=True)) as source:
            source.execute("VACUUM INTO ?", (str(partial / COPY),))
        records = _leave_out_the_past(partial / COPY, snapshot)
        size, digest = _synced(partial / COPY)
        about = {
            "format": FORMAT, "schema": SCHEMA, "label": snapshot.label, "node": node, "records": records, "bytes": size,
            "sha256": digest,
        }  # fmt: skip
        (partial / MANIFEST).write_text(json.dumps(about, indent=1) + "\n")
        _synced(partial / MANIFEST)
        _sync_names(partial)
        partial.rename(target)
        _sync_names(folder)
    except (OSError, sqlite3.Error, EngineError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise EngineError(
            f"The snapshot {target} could not be written ({error}); nothing is left of it."
        ) from None
    return size, target


def _leave_out_the_past(copy: Path, snapshot: Snapshot) -> int:
    """The copy of a node becomes one that a new life can begin with; how many records it has."""
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("BEGIN IMMEDIATE")
        fold_log(db, copy)
        db.executemany("DELETE FROM meta WHERE name = ?", [(name,) for name in snapshot.without])
        db.executemany("DELETE FROM records WHERE bucket = ?", [(name,) for name in snapshot.without_buckets])
        db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", map(fact_row, snapshot.facts))
        (records,) = db.execute("SELECT count(*) FROM records").fetchone()
        db.execute("COMMIT")
    return int(records)


def restore(snapshot: Path, data: Path, node: str) -> dict[str, Any]:
    """Put a node's snapshot in its empty data directory; what the snapshot says of itself. Raises EngineError, and has then changed nothing."""
    about = _checked(snapshot, node)
    file, partial = data / FILE, data / (FILE + PARTIAL)
    left = sorted(each.name for each in data.glob(FILE + "*") if each != partial)
    if left:  # an old write-ahead log alone would be replayed into the copy
        raise EngineError(
            f"{data} holds a store, or what is left of one ({', '.join(left)}); move it away first, so that nothing is lost by mistake."
        )
    try:
        data.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(snapshot / COPY, partial)
        if _synced(partial) != (about["bytes"], about["sha256"]):
            raise EngineError(f"{snapshot / COPY} could not be copied whole to {data}; try again.")
        partial.rename(file)
        _sync_names(data)
        _sync_names(data.parent)
    except (OSError, EngineError) as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise error if isinstance(error, EngineError) else opening(error, file) from None
    return about


def _checked(snapshot: Path, node: str) -> dict[str, Any]:
    """What a snapshot says of itself, if it is whole, of this node, and in a form that this store reads."""
    try:
        about: dict[str, Any] = json.loads((snapshot / MANIFEST).read_text())
        form, schema = about["format"], about["schema"]
    except (OSError, ValueError, KeyError, TypeError):
        raise EngineError(
            f"{snapshot} is no whole snapshot: {MANIFEST}, which is written last, is missing or damaged; choose another."
        ) from None
    if form != FORMAT or schema not in (SCHEMA, *SCHEMAS_BEFORE):
        raise SchemaError(
            f"{snapshot} has format {form} and schema {schema}, but this store reads format {FORMAT} and schema {SCHEMA}; use the "
            f"store that wrote it."
        )
    if about.get("node") != node:
        raise EngineError(
            f"{snapshot} is a snapshot of node {about.get('node')}, not of {node}; choose its own."
        )
    try:
        found = _read(snapshot / COPY)
    except OSError as error:
        raise EngineError(
            f"{snapshot / COPY} cannot be read ({error.strerror}); choose another snapshot."
        ) from None
    if found != (about.get("bytes"), about.get("sha256")):
        raise EngineError(
            f"{snapshot / COPY} is not as it was written (damaged or cut short); choose another snapshot."
        )
    return about


def _read(file: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with file.open("rb") as source:
        while chunk := source.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def _synced(file: Path) -> tuple[int, str]:
    """Make a file durable; its size and digest."""
    with file.open("rb") as handle:
        os.fsync(handle.fileno())
    return _read(file)


def _sync_names(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
