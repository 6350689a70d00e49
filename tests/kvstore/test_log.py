"""The log of a node: one object a line for programs, one line an event for people, whatever others send."""

from __future__ import annotations

import json
import re
import signal
import socket
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live import ask, live_cluster

from kvstore import wire
from kvstore.config import ConfigError, node_config
from kvstore.server_log import line

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@given(st.text(), st.sampled_from(["", "a trace\nof two lines\n"]))
def test_any_text_is_one_line_that_can_be_read_back(text: str, trace: str) -> None:
    said = line("json", 1_767_323_045.678, "n1", "stranger", text, trace)
    assert "\n" not in said
    expected = {"ts": "2026-01-02T03:04:05.678Z", "node": "n1", "event": "stranger", "text": text}
    assert json.loads(said) == (expected | {"trace": trace} if trace else expected)
    plain = line("text", 1_767_323_045.678, "n1", "stranger", text)
    assert plain.splitlines() == [plain]
    assert plain.startswith("2026-01-02T03:04:05.678Z n1 ")


@pytest.mark.slow
def test_the_log_of_a_node_in_json(tmp_path: Path) -> None:
    """Strangers write what they like, a peer goes, the node stops: every line is an object with the fixed fields."""
    password = "hunter2 is no password"
    with live_cluster(tmp_path, password=password, more='log_format = "json"') as nodes:
        with socket.create_connection(("127.0.0.1", nodes.peer_ports["n1"]), 5) as stranger:
            name = 'n9\n{"ts":"now","node":"n1","event":"started","text":"false"}'
            stranger.sendall(wire.encode(wire.Hello("other", name, "n1", bytes(16), b"")))
            while stranger.recv(1000):
                pass
        ask(nodes.ports["n1"], [b"AUTH", password.encode()], [b"SET", b"k", b"v"])
        nodes.stop("n3", signal.SIGKILL)
        assert nodes.stop("n1") == 0
        text = (tmp_path / "n1.log").read_text()
    lines = [json.loads(each) for each in text.splitlines()]
    for each in lines:
        assert set(each) == {"ts", "node", "event", "text"}
        assert STAMP.fullmatch(each["ts"])
        assert each["node"] == "n1"
    events = [each["event"] for each in lines]
    assert (events[0], events[-1]) == ("started", "stopped")
    assert [each for each in events if each != "link"][-2:] == [
        "stopping",
        "stopped",
    ]  # n3 may be missed only then
    assert events.count("started") == 1
    assert "stranger" in events
    assert password not in text


def test_another_form_is_refused() -> None:
    with pytest.raises(ConfigError, match="choose from text, json"):
        node_config("n1", {}, log_format="xml")
    assert msgspec.structs.asdict(node_config("n1", {}))["log_format"] == "text"


@pytest.mark.slow
@pytest.mark.parametrize("bugs", [[], ["hint.unsynced", "ack_before_fsync"]])
def test_a_node_with_seeded_bugs_says_so(tmp_path: Path, bugs: list[str]) -> None:
    with live_cluster(tmp_path, 1, bucket="n = 1", more=f"bugs = {json.dumps(bugs)}") as nodes:
        (info,) = ask(nodes.ports["n1"], [b"INFO"])
        (section,) = ask(nodes.ports["n1"], [b"INFO", b"server"])
    told = f"seeded_bugs:{','.join(sorted(bugs))}\r\n".encode()
    assert isinstance(info, bytes)
    assert isinstance(section, bytes)
    assert told in info
    assert told in section
    said = [each for each in (tmp_path / "n1.log").read_text().splitlines() if "seeded bug" in each]
    assert [each for each in bugs if not any(each in one for one in said)] == []
    assert len(said) == len(bugs)
