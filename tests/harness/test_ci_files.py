"""What `docs/ci.md` shows can be used as it stands: its file is a campaign, its test runs, the workflow and the units are well formed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harness.campaign.file import load_campaign
from harness.cli import status_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ci.md").read_text()
NEEDS_HOSTS = (pytest.mark.hosts, pytest.mark.skipif(os.geteuid() != 0, reason="needs root"))


def block(language: str, place: int = 0) -> str:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[place]


def test_the_file_of_the_page_is_a_campaign(tmp_path: Path) -> None:
    (tmp_path / "campaigns").mkdir()
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    path = tmp_path / "campaigns" / "page.toml"
    path.write_text(block("toml"))
    campaign = load_campaign(path)
    assert [(item.runs, item.world) for item in campaign.items] == [(20, "sim"), (5, "hosts")]
    assert campaign.items[0].plan.rate == 200
    assert campaign.accepted[0].until == "2027-03-01"


@pytest.mark.parametrize("name", ["smoke", "nightly"])
def test_our_campaigns_can_be_read_and_keep_to_their_time(name: str) -> None:
    campaign = load_campaign(ROOT / "campaigns" / f"{name}.toml")
    assert len(campaign.items) > 5
    assert sum(item.runs for item in campaign.items) > 20


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "passed"),
    [(0, "3 passed"), pytest.param(1, "1 passed", marks=pytest.mark.hosts), (2, "2 passed")],
)
def test_the_tests_of_the_page_run(place: int, passed: str, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "test_page.py").write_text(block("python", place))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_page.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert passed in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    "file", ["docs/ci.md", "examples/ci/github.yml", "examples/ci/quorate-nightly.service"]
)
def test_every_command_there_is_one(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its options are known: `--help` after them is answered, and not an error about what stands before."""
    lines = re.findall(r"quorate (campaign [^`\n|]*)", (ROOT / file).read_text())
    assert lines
    for line in lines:
        words = list(shlex.split(line.replace('"$CAMPAIGN"', "c.toml").split("  #")[0]))
        assert status_of([*words, "--help"]) == 0, line
        capsys.readouterr()


def test_units_name_what_is_there() -> None:
    service = (ROOT / "examples/ci/quorate-nightly.service").read_text()
    (command,) = re.findall(r"^ExecStart=(.*)$", service, re.MULTILINE)
    assert (ROOT / shlex.split(command)[3]).exists()
    assert "campaigns/nightly.toml" in command
    timer = (ROOT / "examples/ci/quorate-nightly.timer").read_text()
    assert re.search(r"^OnCalendar=\*-\*-\* \d\d:\d\d:\d\d$", timer, re.MULTILINE)
