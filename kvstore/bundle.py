"""The store in one file, to be run on a host that has nothing but Debian's Python.

    build_bundle() ─► tar.gz      kvstore/  msgspec/  hiredis/  uvloop/  h11/  prometheus_client/    compiled parts included
                                  manifest.json      which Python and machine it is for
                                  run                sh run --config node.toml

    on the host:  tar -xzf bundle.tar.gz -C dir  &&  PYTHONPATH=dir python3 -m kvstore --config node.toml

The same environment gives the same bytes: names are sorted; times, owners and modes are fixed. It is squeezed a little only: that takes a quarter
of the time, on a machine where all wait for it, for a ninth more bytes.
"""

from __future__ import annotations

import gzip
import importlib.util
import io
import json
import platform
import sys
import sysconfig
import tarfile
from pathlib import Path

PACKAGES = ("kvstore", "msgspec", "hiredis", "uvloop", "h11", "prometheus_client")
_LAUNCHER = b"""#!/bin/sh
# Runs a node with what lies beside this file and nothing from elsewhere.
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
PYTHONPATH="$here" PYTHONDONTWRITEBYTECODE=1 exec "${PYTHON:-python3}" -S -m kvstore "$@"
"""


class BundleError(Exception):
    """The bundle cannot be built: one sentence with what is missing."""


def build_bundle() -> bytes:
    """The bundle of the running environment, as the bytes of a tar.gz. Raises BundleError."""
    files = {"manifest.json": manifest(), "run": _LAUNCHER}
    for package in PACKAGES:
        folder = _folder(package)
        for path in sorted(folder.rglob("*")):
            if path.is_file() and _wanted(path):
                files[f"{package}/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, compresslevel=1) as squeezed,
        tarfile.open(fileobj=squeezed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            entry.mode = 0o755 if name == "run" else 0o644
            archive.addfile(entry, io.BytesIO(files[name]))
    return packed.getvalue()


def manifest() -> bytes:
    """What a host must have: the same `python` (major.minor), `machine` and `abi` tag; JSON."""
    facts = {
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "machine": platform.machine(),
        "abi": sysconfig.get_config_var("SOABI"),
        "packages": list(PACKAGES),
    }
    return json.dumps(facts, indent=2, sort_keys=True).encode() + b"\n"


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise BundleError(
            f"The package {package} is not installed here; install quorate with its dependencies."
        )
    return Path(spec.origin).parent


def _wanted(path: Path) -> bool:
    """Sources, and the compiled modules that have none; no caches, type stubs, C sources or tests."""
    if {"__pycache__", "_testbase", "tests"} & set(path.parts):
        return False
    source = path.with_name(f"{path.name.partition('.')[0]}.py")
    return path.suffix == ".py" or (path.suffix == ".so" and not source.exists())
