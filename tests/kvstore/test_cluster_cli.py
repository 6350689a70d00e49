"""`quorate cluster` against three real nodes, as a person uses it; and what it says when it cannot."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kvstore.config import from_toml
from kvstore.ring import Ring
from tests.kvstore.live import READY_S, LiveCluster, ask, free_ports, live_cluster
from tests.polling import poll

pytestmark = pytest.mark.slow


def cluster(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "quorate"), "cluster", *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=600, env={**os.environ, "COLUMNS": "160", **environment}
    )  # fmt: skip


def node_of(live: LiveCluster) -> str:
    return f"127.0.0.1:{live.ports['n1']}"


def wait_all_heard(made: LiveCluster) -> None:
    """Poll until the first node has heard all three: a heartbeat later than it serves."""

    def heard() -> int:
        (flat,) = ask(made.ports["n1"], [b"KV.CLUSTER", b"STATUS"])
        assert isinstance(flat, list)
        return int(dict(zip(flat[::2], flat[1::2], strict=True))[b"reachable"])

    poll(lambda: heard() >= 3, wait_s=READY_S, told=heard)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> LiveCluster:
    with live_cluster(tmp_path_factory.mktemp("cluster"), 3, bucket='mode = "register"') as made:
        wait_all_heard(made)
        yield made


def test_status_for_a_person_and_for_a_program(live: LiveCluster) -> None:
    shown = cluster("status", "--node", node_of(live))
    assert shown.returncode == 0, shown.stderr
    assert "3 of 3 heard by n1" in shown.stdout
    found = json.loads(cluster("status", "--node", node_of(live), "--json").stdout)
    assert set(found["nodes"]) == {"n1", "n2", "n3"}
    assert found["change"] is None


def test_the_ring_has_an_owner_for_every_partition(live: LiveCluster) -> None:
    (flat,) = ask(live.ports["n2"], [b"KV.CLUSTER", b"RING"])
    ring = dict(zip(flat[::2], flat[1::2], strict=True))
    assert ring[b"owners"] == [owner.encode() for owner in Ring.striped(["n1", "n2", "n3"]).owners]
    assert (ring[b"epoch"], ring[b"wanted"], ring[b"change"], ring[b"stranger"]) == (1, [], b"", 0)


def test_a_plan_changes_nothing(live: LiveCluster) -> None:
    before = json.loads(cluster("status", "--node", node_of(live), "--json").stdout)["epoch"]
    planned = cluster("plan", "join", "n9", "127.0.0.1:7999", "--node", node_of(live), "--json")
    assert planned.returncode == 0, planned.stderr
    assert json.loads(planned.stdout)["replicas"] > 0
    assert json.loads(cluster("status", "--node", node_of(live), "--json").stdout)["epoch"] == before


def test_repair_says_what_it_began(live: LiveCluster) -> None:
    assert json.loads(cluster("repair", "--node", node_of(live), "--json").stdout) == {
        "peers": 2,
        "scrub_left": 0,
        "damaged_found": 0,
        "damaged_mended": 0,
    }


def test_what_cannot_be_done_is_said_in_one_sentence(live: LiveCluster) -> None:
    stranger = cluster("leave", "nobody", "--node", node_of(live))
    assert (stranger.returncode, stranger.stdout) == (254, "")
    assert "nobody" in stranger.stderr
    assert cluster("status", "--node", "no-port").returncode == 254
    (port,) = free_ports(1)
    silent = cluster("status", "--node", f"127.0.0.1:{port}")
    assert silent.returncode == 255
    assert "does not answer" in silent.stderr
    assert all("Traceback" not in each.stderr for each in (stranger, silent))


@pytest.mark.parametrize(
    ("node", "status", "said"),
    [
        ("a..b:7001", 255, "no host can have this name"),
        ("127.0.0.1:²", 254, "is not host:port"),
        ("127.0.0.1:<peer>", 255, "give the port for clients"),
    ],
)
def test_an_address_that_is_none_is_said_so(live: LiveCluster, node: str, status: int, said: str) -> None:
    shown = cluster("status", "--node", node.replace("<peer>", str(live.peer_ports["n1"])))
    assert (shown.returncode, said in shown.stderr) == (status, True), shown.stderr


def test_files_for_tls_that_are_none_are_not_blamed_on_the_node(live: LiveCluster) -> None:
    shown = cluster("status", "--node", node_of(live), QUORATE_CA="/nowhere/ca.pem")
    assert shown.returncode == 254
    assert "QUORATE_CA" in shown.stderr


def test_a_name_that_is_no_text_is_refused_by_the_node(live: LiveCluster) -> None:
    shown = cluster("leave", os.fsdecode(b"n\xff"), "--node", node_of(live))
    assert (shown.returncode, "the node refused: BADARG" in shown.stderr) == (254, True), shown.stderr


def with_spare(made: LiveCluster) -> str:
    """Write 20 keys, and start n4, which is no member yet; where it listens for its peers."""
    for number in range(20):
        assert ask(made.ports["n1"], [b"SET", b"key-%d" % number, b"%d" % number]) == [b"OK"]
    made.ports["n4"], port = free_ports(2)
    peers = "\n".join(f'{name} = "127.0.0.1:{each}"' for name, each in made.peer_ports.items())
    (made.folder / "n4.toml").write_text(
        f'name = "n4"\ndata = "{made.folder / "n4"}"\nclient = "127.0.0.1:{made.ports["n4"]}"\n'
        f'peer = "127.0.0.1:{port}"\njoining = true\n\n[peers]\n{peers}\n[bucket]\nmode = "register"\n'
    )
    made.start("n4")
    return f"127.0.0.1:{port}"


def test_a_replacement_that_loses_its_disk_on_the_way_is_replaced_again(tmp_path: Path) -> None:
    with live_cluster(tmp_path, 3, bucket='mode = "register"') as made:
        address, node = with_spare(made), node_of(made)
        poll(lambda: (tmp_path / "n4").is_dir(), wait_s=READY_S)
        made.stop("n3", signal.SIGKILL)
        began = cluster("replace", "n3", "n4", address, "--node", node, "--no-wait", "--json")
        assert began.returncode == 0, began.stderr

        def moved() -> int:
            status = json.loads(cluster("status", "--node", node, "--json").stdout)
            return 256 if status["change"] is None else int(status["change"]["steps"]["new"])

        poll(lambda: moved() > 0, wait_s=READY_S, told=moved)  # it may have acknowledged by now
        made.stop("n4", signal.SIGKILL)
        shutil.rmtree(tmp_path / "n4")
        command = [
            Path(sys.executable).parent / "quorate",
            "node",
            "--config",
            tmp_path / "n4.toml",
            "--replace",
        ]
        log = tmp_path / "n4.log"
        with log.open("ab") as sink:
            made.running["n4"] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        poll(lambda: "waits for KV.CLUSTER REPLACE n4" in log.read_text(), wait_s=READY_S)
        again = cluster("replace", "n4", "--node", f"127.0.0.1:{made.ports['n2']}", "--json")
        assert again.returncode == 0, again.stderr
        answer = json.loads(again.stdout)
        assert answer["done"]
        assert set(answer["status"]["nodes"]) == {"n1", "n2", "n4"}
        made.stop("n1", signal.SIGKILL)
        for number in range(20):
            assert ask(made.ports["n4"], [b"GET", b"key-%d" % number]) == [b"%d" % number]


def test_a_node_joins_and_another_leaves(tmp_path: Path) -> None:
    with live_cluster(tmp_path, 3, bucket='mode = "register"') as made:
        address = with_spare(made)
        joined = cluster("join", "n4", address, "--node", node_of(made), "--json")
        assert joined.returncode == 0, joined.stderr
        answer = json.loads(joined.stdout)
        assert answer["done"]
        assert answer["status"]["nodes"]["n4"]["partitions"] == 64
        left = cluster("leave", "n2", "--node", f"127.0.0.1:{made.ports['n4']}", "--json")
        assert set(json.loads(left.stdout)["status"]["nodes"]) == {"n1", "n3", "n4"}
        made.stop("n2")
        for number in range(20):
            assert ask(made.ports["n4"], [b"GET", b"key-%d" % number]) == [b"%d" % number]


def test_a_cluster_whose_disks_are_gone_begins_anew_from_a_snapshot(tmp_path: Path) -> None:
    with live_cluster(tmp_path, 3, bucket='mode = "register"') as made:
        for number in range(20):
            assert ask(made.ports["n1"], [b"SET", b"key-%d" % number, b"%d" % number]) == [b"OK"]
        done = cluster("snapshot", "monday", "--node", node_of(made), "--json")
        assert done.returncode == 0, done.stderr
        written = json.loads(done.stdout)
        assert set(written["nodes"]) == {"n1", "n2", "n3"}
        assert ask(made.ports["n2"], [b"SET", b"later", b"lost"]) == [b"OK"]
        for name in made.names:
            config, place = tmp_path / f"{name}.toml", written["nodes"][name]["place"]
            lives = cluster("restore", place, "--config", str(config))
            assert (lives.returncode, "holds a store" in lives.stderr) == (254, True)
            made.stop(name)
            (tmp_path / name).rename(tmp_path / f"{name}.old")
            back = cluster("restore", place, "--config", str(config))
            assert back.returncode == 0, back.stderr
            assert f"of {written['label']} in" in back.stdout
        made.start_all()
        for number in range(20):
            assert ask(made.ports["n3"], [b"GET", b"key-%d" % number]) == [b"%d" % number]
        assert ask(made.ports["n3"], [b"GET", b"later"]) == [None]
        made.stop("n2")
        (tmp_path / "n2").rename(tmp_path / "n2.restored")
        (tmp_path / "n2.old").rename(tmp_path / "n2")  # the disk of the time that was given up
        made.start("n2")
        wait_refused(tmp_path / "n2.log")
        assert ask(made.ports["n1"], [b"GET", b"later"]) == [None]


def wait_refused(log: Path) -> None:
    """Poll until the node's log says that it was refused."""
    poll(lambda: "n2 belongs to another cluster than" in log.read_text(), wait_s=READY_S, told=log.read_text)


def test_the_password_comes_from_the_environment(tmp_path: Path) -> None:
    with live_cluster(tmp_path, 1, bucket='mode = "register"\nn = 1', password="secret") as made:
        refused = cluster("status", "--node", node_of(made))
        assert refused.returncode == 254
        assert "QUORATE_PASSWORD" in refused.stderr
        assert "secret" not in refused.stderr
        assert cluster("status", "--node", node_of(made), QUORATE_PASSWORD="secret").returncode == 0


def test_who_waits_for_a_change_that_somebody_takes_back_is_told(tmp_path: Path) -> None:
    with live_cluster(tmp_path, 3) as made:
        wait_all_heard(made)
        absent = f"127.0.0.1:{free_ports(1)[0]}"
        command = [str(Path(sys.executable).parent / "quorate"), "cluster", "join", "n4", absent]
        waits = subprocess.Popen(
            [*command, "--node", node_of(made)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        port = made.ports["n1"]
        poll(lambda: "b'join'" in str(ask(port, [b"KV.CLUSTER", b"STATUS"])), wait_s=READY_S)
        assert cluster("abort", "--node", node_of(made)).returncode == 0
        out, err = waits.communicate(timeout=600)
        assert (waits.returncode, "JOIN n4 was taken back" in err) == (255, True), (out, err)


@pytest.mark.parametrize(
    ("name", "status"), [("smile 😀", 0), (os.fsdecode(b"n\xff"), 254)], ids=["any letters", "no letters"]
)
def test_init_takes_any_folder_whose_name_is_text(tmp_path: Path, name: str, status: int) -> None:
    done = cluster("init", str(tmp_path / name), "-n", "1")
    assert done.returncode == status, done.stderr
    if status == 0:
        assert from_toml((tmp_path / name / "n1.toml").read_text("utf-8")).data == str(
            tmp_path / name / "n1.data"
        )
    else:
        assert "not text in UTF-8" in done.stderr


def test_init_writes_configurations_that_a_node_takes(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    done = cluster("init", str(folder), "-n", "4", "--mode", "cas")
    assert done.returncode == 0, done.stderr
    configs = [from_toml((folder / f"n{number}.toml").read_text()) for number in (1, 2, 3, 4)]
    assert {config.default.mode for config in configs} == {"cas"}
    assert len({config.client for config in configs} | {config.peer for config in configs}) == 8
    before = (folder / "n1.toml").read_bytes()
    assert cluster("init", str(folder)).returncode == 254
    assert (folder / "n1.toml").read_bytes() == before
