"""`quorate hosts down`: which cluster is meant. Tried where no other cluster is to be seen: in namespaces of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.alone import machine
from tests.hosts.conftest import unique

pytestmark = [pytest.mark.hosts, pytest.mark.slow]

QUORATE = str(Path(sys.executable).parent / "quorate")


@pytest.fixture
def alone() -> Iterator[list[str]]:
    """How to begin a command that sees this machine's files, but none of its clusters and links."""
    with machine() as enter:
        yield [*enter, QUORATE, "hosts"]


def call(*command: str) -> tuple[int, str, str]:
    """(exit status, stdout, stderr)."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    return done.returncode, done.stdout, done.stderr


def clusters(alone: list[str]) -> list[str]:
    """Those that are up."""
    _, out, _ = call(*alone, "list", "--json")
    return [cluster["name"] for cluster in json.loads(out)["clusters"]]


def test_down_takes_the_only_cluster_and_asks_when_there_are_several(alone: list[str]) -> None:
    first, second = unique("a"), unique("b")
    assert call(*alone, "down") == (0, "", "there is no cluster, so nothing to remove\n")
    try:
        for name in (first, second):
            assert call(*alone, "up", "-n", "1", "--name", name)[0] == 0
        status, out, err = call(*alone, "down")
        assert (status, out) == (254, "")
        assert err == f"error: there are several clusters ({first}, {second}): say which with --name\n"
        assert call(*alone, "down", "--name", first)[0] == 0
        assert clusters(alone) == [second]
        status, out, _ = call(*alone, "down", "--json")
        assert (status, json.loads(out)) == (0, {"cluster": second, "removed": True})
        assert clusters(alone) == []
    finally:
        for name in (first, second):
            call(*alone, "down", "--name", name)
    status, out, _ = call(*alone, "down", "--json")
    assert (status, json.loads(out)) == (0, {"cluster": None, "removed": False})
