"""The command of an account without rights, on a machine without Docker, where root has a cluster up: a line for each thing that is missing.

The account is nobody's, with no capability, on nearly a machine of its own (`alone`). There the programs of Docker are hidden, by a file that
cannot be run mounted over each.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.provision.docker import TOOLS
from tests.hosts.alone import machine

pytestmark = [pytest.mark.hosts, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all")
PROGRAM = "import sys; from harness.cli import main; sys.argv[0] = 'quorate'; main()"
PLACES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
DOCKER = [tool for tool, package in TOOLS.items() if package == "docker.io"]
SET_UP = f"""
touch /run/nothing
for tool in {" ".join(f"{place}/{tool}" for place in PLACES for tool in DOCKER)}; do
  if [ -e "$tool" ]; then mount --bind /run/nothing "$tool"; fi
done
mkdir -p /run/quorate
mkdir -m 700 /run/quorate/lab
echo 'subnet = "10.213.4.0/24"' >/run/quorate/lab/cluster.toml
"""
Said = tuple[int, str, str]


def python() -> str:
    """A Python that nobody may start, of the version whose modules are here."""
    for path in (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"):
        if subprocess.run([*NOBODY, path, "-c", ""], capture_output=True).returncode == 0:
            return path
    pytest.skip("no Python of this version is open to every account")


@pytest.fixture
def nobody() -> Iterator[Callable[..., Said]]:
    """Calls a command as that account: (exit status, stdout, stderr)."""
    path, modules = python(), os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])
    env = {"PATH": os.defpath, "HOME": "/nonexistent", "PYTHONPATH": modules, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "300"}  # fmt: skip
    with machine() as enter:
        subprocess.run([*enter, "sh", "-ec", SET_UP], check=True)

        def call(*words: str) -> Said:
            done = subprocess.run([*enter, *NOBODY, path, "-c", PROGRAM, *words], env=env, capture_output=True, text=True, timeout=300)  # fmt: skip
            return done.returncode, done.stdout, done.stderr

        yield call


def test_doctor_has_a_line_for_each_thing_that_is_missing(nobody: Callable[..., Said]) -> None:
    status, told, complaints = nobody("doctor")
    assert (status, complaints) == (0, ""), "the simulator needs none of it"
    lines = {" ".join(line.split()) for line in told.splitlines()}
    as_root = f"sudo {Path(python()).with_name('quorate')}"
    lacking = ", ".join(f"{tool} (package docker.io)" for tool in DOCKER)
    assert (
        f"optional root, for local hosts this process is not root, so local hosts cannot be made {as_root} doctor"
        in lines
    )
    (docker,) = (line for line in lines if "kind docker" in line)
    assert docker.startswith(f"optional hosts of kind docker not found: {lacking}")
    assert docker.endswith("scripts/system-packages docker")
    assert f"ok cluster lab another account's; `{as_root} hosts list` tells more" in lines


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("hosts up", "error: local hosts need root, because they are network namespaces: run it with sudo."),
        ("hosts down", "error: local hosts need root, because they are network namespaces: run it with sudo."),
        ("hosts heal", "error: the cluster lab is another account's: run it with sudo."),
        ("run examples/register.toml --world hosts", "error: the cluster lab is another account's: run it with sudo."),
    ],
)  # fmt: skip
def test_what_needs_root_says_so(nobody: Callable[..., Said], words: str, said: str) -> None:
    command = [str(ROOT / word) if "/" in word else word for word in shlex.split(words)]
    status, told, complaints = nobody(*command)
    assert status in (254, 255)
    assert (told, complaints.splitlines()[-1]) == ("", said)
