"""Hosts from a compose file: what is written is what compose reads, and on hosts that it starts a plan has its verdict.

The last is slow, and done by `make kinds`: compose talks to the daemon of a docker cluster, in the namespace of its switch, where the addresses are.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import status_of
from harness.plan import PlanError
from harness.provision import compose, docker, down, local
from harness.provision.docker_image import IMAGE
from harness.provision.inventory import load
from harness.provision.state import NETNS_ROOT, STATE_ROOT, namespaces
from tests.hosts.conftest import unique
from tests.hosts.test_kinds import PLAN
from tests.polling import poll

QUORATE = str(Path(sys.executable).parent / "quorate")
NODES = ("n1", "n2", "n3", "n4", "n5")
needs_compose = pytest.mark.skipif(
    shutil.which("docker-compose") is None, reason="needs docker-compose: scripts/system-packages docker"
)


@needs_compose
def test_compose_reads_five_hosts_with_their_addresses(tmp_path: Path) -> None:
    subnet = ipaddress.IPv4Network(compose.SUBNET)
    hosts = local.hosts_of(tmp_path, 5, subnet)
    (tmp_path / "docker-compose.yml").write_text(compose.compose_file(hosts, subnet))
    (tmp_path / "image").mkdir()
    done = subprocess.run(["docker-compose", "config"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    read = done.stdout
    assert [line.strip() for line in read.splitlines() if "ipv4_address" in line] == [
        f"ipv4_address: 10.214.0.{number}" for number in range(1, 6)
    ]
    assert read.count(f"image: {IMAGE}") == read.count("network: none") == read.count("- NET_ADMIN") == 5
    assert read.count("n3:10.214.0.3") == 5, "each knows every other by name"
    assert [f"{tmp_path}/{node}:/etc/quorate:rw" in read for node in NODES] == [True] * 5
    assert "subnet: 10.214.0.0/24" in read


@pytest.mark.parametrize(
    ("count", "subnet", "said"),
    [
        (0, compose.SUBNET, "0 hosts do not fit"),
        (51, compose.SUBNET, "51 hosts do not fit in 10.214.0.0/24: ask for 1 to 50"),
        (6, "10.214.0.0/29", "6 hosts do not fit in 10.214.0.0/29"),
        (5, "10.214.0.1/24", "--subnet: .* has host bits set; give one such as 10.214.0.0/24"),
        (5, "lab", "--subnet: .*'lab'"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, count: int, subnet: str, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        compose.write(tmp_path / "lab", "lab", count, subnet)
    assert not (tmp_path / "lab").exists()


def test_what_is_there_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["hosts", "compose", str(tmp_path)]) == 254
    assert "is there already: remove it, or name another directory" in " ".join(
        capsys.readouterr().err.split()
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.hosts
@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("QUORATE_KIND") != "docker", reason="slow: `make kinds` runs this")
def test_ctrl_c_leaves_no_half_of_it(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    with subprocess.Popen([QUORATE, "hosts", "compose", str(lab)], stderr=subprocess.PIPE, text=True,
                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler)) as maker:  # fmt: skip
        poll(lambda: (lab / "image").exists() or maker.poll() is not None, wait_s=900.0, pause_s=0.005)
        maker.send_signal(signal.SIGINT)
        _, said = maker.communicate(timeout=60)
    assert (maker.returncode, "stopped by Ctrl-C" in said) == (255, True), said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.hosts
@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("QUORATE_KIND") != "docker", reason="slow: `make kinds` runs this")
@pytest.mark.parametrize("reader", ["docker-compose", "docker compose"])
def test_a_plan_is_valid_on_hosts_that_compose_has_started(tmp_path: Path, reader: str) -> None:
    there_is = shutil.which(reader.split()[0]) is not None
    if not there_is or subprocess.run([*reader.split(), "version"], capture_output=True).returncode != 0:
        pytest.skip(f"needs `{reader}`; of version 2 Debian 12 has no package")
    name, lab = unique("compose"), tmp_path / "lab"
    file = str(lab / "docker-compose.yml")
    (tmp_path / "plan.toml").write_text(PLAN.replace("MODE", "register"))
    ours = {
        "DOCKER_HOST": f"unix://{STATE_ROOT / name}/docker.sock",
        "DOCKER_CONFIG": str(tmp_path / "docker"),
    }

    def there(*words: str) -> str:
        (switch,) = namespaces(name)
        done = subprocess.run(
            ["nsenter", f"--net={NETNS_ROOT / switch}", *words], env={**os.environ, **ours}, capture_output=True, text=True, timeout=600
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        docker.up(name, 1)
        made = subprocess.run(
            [QUORATE, "hosts", "compose", str(lab), "-n", "3"], capture_output=True, text=True
        )
        assert (made.returncode, made.stdout) == (0, f"{lab}/inventory.toml\n"), made.stderr
        assert [host.name for host in load(lab / "inventory.toml").hosts] == ["n1", "n2", "n3"]
        there(*reader.split(), "-f", file, "up", "-d", "--build")
        command = ["run", str(tmp_path / "plan.toml"), "--world", "hosts", "--inventory", f"{lab}/inventory.toml", "--out", str(tmp_path), "--json"]  # fmt: skip
        results = json.loads(there(QUORATE, *command))
        assert results["outcome"] == "valid", results["reason"]
        assert all(counts["bit"] == counts["count"] > 0 for counts in results["faults"]["by_kind"].values())
        frozen = (
            (tmp_path / "plan.toml").read_text().replace('kind = "pause"', 'kind = "pause"\nhow = "freezer"')
        )
        (tmp_path / "plan.toml").write_text(frozen)
        said = json.loads(there("sh", "-c", f"{shlex.join([QUORATE, *command])} || true"))
        assert said["status"] == 255
        refusal = 'cannot do the fault pause with how = "freezer": mount: '
        assert refusal in said["error"], "it may not mount anything"
        there(*reader.split(), "-f", file, "down")
        assert there("docker", "ps", "--all", "--format", "{{.Names}}").split() == ["n1"], "the cluster's own"
    finally:
        down(name)
