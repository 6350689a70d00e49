"""Doctor names each thing that is missing and the command that mends it, and the clusters there are."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from harness.cli import status_of
from harness.doctor import MEND_CORE, MEND_TOOLS, TRIALS, Finding, diagnose
from harness.provision.netns import TOOLS
from harness.provision.state import Cluster

USER = 1000


def found(findings: list[Finding], words: str) -> Finding:
    """The one finding whose name has these words."""
    (only,) = (finding for finding in findings if words in finding.name)
    return only


def on_a_bare_machine(folder: Path, user: int = USER) -> list[Finding]:
    """What it says where there are no programs, no files and no clusters."""
    return diagnose(path=str(folder), files=folder, user=user, clusters=())


@pytest.mark.parametrize("tool", [*TOOLS, "redis-cli"])
def test_a_missing_tool_is_named_with_its_remedy(tmp_path: Path, tool: str) -> None:
    for other in {*TOOLS, "redis-cli"} - {tool}:
        (tmp_path / other).touch(mode=0o755)
    findings = on_a_bare_machine(tmp_path)
    missing = [
        each for each in findings if each.mend == MEND_TOOLS and not each.ok and "faketime" not in each.name
    ]
    assert [finding.name.split(",")[0] for finding in missing] == [tool]
    assert "not found" in missing[0].detail
    assert TOOLS.get(tool, "") in missing[0].detail


def test_a_kind_of_hosts_that_cannot_be_made_has_one_line_with_all_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "docker").touch(mode=0o755)
    kind = found(on_a_bare_machine(tmp_path), "kind docker")
    assert kind.detail == "not found: dockerd (package docker.io), debootstrap (package debootstrap)"
    assert (kind.ok, kind.needed, kind.mend) == (False, False, "scripts/system-packages docker")
    for tool in ("dockerd", "debootstrap"):
        (tmp_path / tool).touch(mode=0o755)
    assert found(on_a_bare_machine(tmp_path), "kind docker").ok


def test_libfaketime_is_found_where_debian_puts_it(tmp_path: Path) -> None:
    assert not found(on_a_bare_machine(tmp_path), "libfaketime").ok
    library = tmp_path / f"usr/lib/{os.uname().machine}-linux-gnu/faketime/libfaketimeMT.so.1"
    library.parent.mkdir(parents=True)
    library.touch()
    now = found(on_a_bare_machine(tmp_path), "libfaketime")
    assert (now.ok, now.detail) == (True, str(library))


def test_without_root_local_hosts_cost_a_sudo_and_the_kernel_is_not_tried(tmp_path: Path) -> None:
    findings = on_a_bare_machine(tmp_path)
    root = found(findings, "root")
    assert (root.ok, root.mend, root.needed) == (
        False,
        f"sudo {Path(sys.executable).with_name('quorate')} doctor",
        False,
    )
    assert not any(finding.name.startswith("kernel") for finding in findings)


def test_root_without_tools_is_told_what_could_not_be_tried(tmp_path: Path) -> None:
    findings = on_a_bare_machine(tmp_path, user=0)
    for name, (_, mend) in TRIALS.items():
        trial = found(findings, f"kernel: {name}")
        assert (trial.ok, trial.detail, trial.mend) == (False, "cannot be tried without unshare", mend)
    for kind in ("loss", "reset", "rate", "delay"):
        assert any(name.endswith(f", for {kind}") for name in TRIALS), (
            f"{kind} on hosts needs something of the kernel"
        )


def test_a_missing_core_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(on_a_bare_machine(tmp_path), "core").ok
    monkeypatch.setitem(sys.modules, "checkers._core", None)
    core = found(on_a_bare_machine(tmp_path), "core")
    assert (core.ok, core.needed, core.mend) == (False, True, MEND_CORE)


def test_clusters_are_listed_and_half_ones_have_a_remedy(tmp_path: Path) -> None:
    lab = Cluster("lab", ("n1", "n2"), "10.213.4.0/24", ready=True)
    torn = Cluster("torn", ("n1",), None, ready=False)
    findings = diagnose(path=str(tmp_path), files=tmp_path, user=USER, clusters=(lab, torn))
    up, half = found(findings, "cluster lab"), found(findings, "cluster torn")
    assert up.ok
    assert up.detail == "up, 2 hosts in 10.213.4.0/24; `quorate hosts down --name lab` removes them"
    assert (half.ok, half.mend) == (False, "quorate hosts down --name torn")
    assert "none is up" in found(on_a_bare_machine(tmp_path), "clusters").detail


def test_the_command_prints_every_finding(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "500")  # nothing is wrapped
    assert status_of(["doctor", "--json"]) == 0, "what the tests need is there"
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is True
    assert {finding["name"] for finding in said["findings"]} >= {f"{tool}, for local hosts" for tool in TOOLS}
    assert status_of(["doctor"]) == 0
    table = capsys.readouterr().out
    lasting = [
        each for each in said["findings"] if not each["name"].startswith("cluster")
    ]  # others may come and go
    assert [each["name"] for each in lasting if each["name"] not in table] == []


def test_a_narrow_terminal_has_a_line_for_each_finding_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    long = [Finding(f"thing {number}", False, "not found: " + "some tool, " * 40, "mend it", needed=False) for number in (1, 2)]  # fmt: skip
    monkeypatch.setattr("harness.doctor.diagnose", lambda: long)
    monkeypatch.setenv("COLUMNS", "40")
    assert status_of(["doctor"]) == 0
    _, *lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] + line.split()[-2:] for line in lines] == [
        ["optional", "thing", number, "mend", "it"] for number in "12"
    ]
