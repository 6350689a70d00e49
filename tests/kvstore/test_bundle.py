"""The bundle is the same every time, and runs on a bare interpreter."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from live import LiveCluster

from kvstore.bundle import build_bundle

pytestmark = pytest.mark.slow
SYSTEM_PYTHON = "/usr/bin/python3"


def _same_python() -> bool:
    if not os.path.exists(SYSTEM_PYTHON):
        return False
    asked = [SYSTEM_PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return found == f"{sys.version_info.major}.{sys.version_info.minor}"


def test_the_bundle_is_the_same_twice_and_says_what_it_is_for() -> None:
    bundle = build_bundle()
    assert bundle == build_bundle()
    with tarfile.open(fileobj=io.BytesIO(bundle)) as archive:
        names = archive.getnames()
        manifest = archive.extractfile("manifest.json")
        assert manifest is not None
        assert json.load(manifest)["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert names == sorted(names)
    assert {"kvstore/__main__.py", "msgspec/__init__.py", "uvloop/__init__.py", "run"} <= set(names)


@pytest.mark.skipif(not _same_python(), reason=f"{SYSTEM_PYTHON} is not the Python the bundle is for")
def test_the_bundle_serves_on_the_systems_own_python(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    with tarfile.open(fileobj=io.BytesIO(build_bundle())) as archive:
        archive.extractall(folder, filter="data")
    cluster = LiveCluster(tmp_path, 1)
    cluster.python = [shutil.which("env") or "env", "-i", f"PYTHONPATH={folder}", SYSTEM_PYTHON, "-S"]
    try:
        cluster.start_all()
        cluster.stop("n1")
    finally:
        cluster.stop_all()
    assert "has stopped" in (tmp_path / "n1.log").read_text()
