"""The examples of docs/formats.md are VALID histories in their format, through the command line too."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from checkers import Verdict, check
from checkers.formats import FORMATS, sniff

DOCS = Path(__file__).parents[3] / "docs" / "formats.md"
EXAMPLES = dict(re.findall(r"```(jsonl|edn|json|log)\n(.*?)```", DOCS.read_text(), re.DOTALL))


def command(*arguments):
    module = [sys.executable, "-m", "checkers", *map(str, arguments)]
    return subprocess.run(module, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("form", FORMATS)
def test_each_example_is_valid(form, tmp_path):
    path = tmp_path / "example"
    path.write_text(EXAMPLES[form])
    assert sniff(EXAMPLES[form].encode()) == form
    assert check(path).verdict is Verdict.VALID
    assert check(path, form=form).verdict is Verdict.VALID


def test_the_command_takes_a_format(tmp_path):
    path = tmp_path / "example"
    path.write_text(EXAMPLES["edn"])
    assert command(path, "--format", "edn").stdout.startswith("VALID")
    assert command(path).returncode == 0
    refused = command(path, "--format", "json")
    assert (refused.returncode, refused.stdout) == (254, "")
    assert "example: line 1: a JSON object expected" in refused.stderr
    assert command(path, "--format").returncode == 254
