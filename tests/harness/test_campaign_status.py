"""Where the nights stand, one finding over the nights, and what is said of its example when it is made again."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from harness.campaign.file import Accepted, Campaign, Item
from harness.campaign.findings import Finding, finding_id, findings
from harness.campaign.ledger import Night, Record
from harness.campaign.status import (
    Replayed,
    Status,
    found_by,
    history_of,
    shown,
    standing,
    status_of_nights,
)
from harness.plan import PlanError, load_plan
from harness.ways import Ways

TODAY = "2026-11-25"
PLAN = load_plan(Path(__file__).parents[2] / "examples" / "register.toml")
STALE = ("linearizable", "stale-read", "a before b, b before a")
ID = finding_id("linearizable", "stale-read", "store mode=x", STALE[2])
ACCEPTED = Accepted(ID, "ada", "known", "2999-01-01")
VERSIONS = {0: "1", 1: "2", 2: "2"}
NIGHTS = [Night(number, f"began {number}", f"ended {number}", VERSIONS[number]) for number in range(3)]


def runs(night: int, hits: int, count: int, item: str = "first") -> list[Record]:
    """The first `hits` of the runs show a stale read."""
    return [
        Record(
            night, item, run, 10 * night + run, "violation" if run < hits else "ok", "why", (STALE,) if run < hits else (), ("read a",) if run < hits else (),
            configuration="store mode=x", core_ops=3, digest=f"{night} {run}",
        )
        for run in range(count)
    ]  # fmt: skip


def standing_of(nights: list[Night], records: list[Record], *accepted: Accepted) -> Status:
    campaign = Campaign("small", "1h", (Item("first", PLAN, 4), Item("second", PLAN, 2)), accepted)
    return status_of_nights(campaign, nights, records, TODAY)


def going(number: int) -> Night:
    return msgspec.structs.replace(NIGHTS[number], ended=None)


def only(records: list[Record]) -> Finding:
    (found,) = findings(records, (), TODAY)
    return found


def test_a_night_that_goes_on_is_told_by_item_and_the_last_one_beside() -> None:
    records = [*runs(0, 1, 4), *runs(0, 0, 2, "second"), *runs(1, 0, 3), *runs(1, 0, 1, "second")]
    found = standing_of([NIGHTS[0], going(1)], records).as_json()
    assert (found["nights"], found["last"]["night"], found["last"]["outcome"]) == (2, 0, "violation")
    assert found["last"]["outcomes"] == {"violation": 1, "ok": 5}
    assert found["going"] == {
        "night": 1, "began": "began 1", "version": "2", "outcomes": {"ok": 4}, "done": 4, "runs": 6,
        "items": {"first": [3, 4], "second": [1, 2]},
    }  # fmt: skip
    assert {state: [each["id"] for each in part] for state, part in found["open"].items()} == {"new": [], "ongoing": [], "rare": [ID], "accepted": []}  # fmt: skip


def test_the_last_night_is_judged_without_what_came_later() -> None:
    """A violation of the night that goes on is new, and does not make the one before red."""
    records = [*runs(0, 0, 4), *runs(1, 1, 1)]
    found = standing_of([NIGHTS[0], going(1)], records)
    assert found.last is not None
    assert found.last[2] == "ok"
    assert [each.id for each in found.open()["new"]] == [ID]


def test_the_first_night_has_no_last_one_and_an_ended_one_does_not_go_on() -> None:
    first = standing_of([going(0)], []).as_json()
    assert (first["last"], first["going"]["done"], first["going"]["runs"]) == (None, 0, 6)
    assert standing_of([NIGHTS[0]], runs(0, 0, 4)).as_json()["going"] is None


def test_runs_that_the_file_has_no_more_are_not_counted_as_done() -> None:
    records = [*runs(0, 0, 9), *runs(0, 0, 3, "removed")]
    assert standing_of([going(0)], records).done() == {"first": (4, 4), "second": (0, 2)}


def test_accepted_and_resolved_findings_are_apart() -> None:
    found = standing_of(NIGHTS[:1], runs(0, 2, 4), ACCEPTED).as_json()
    assert (found["open"]["new"], [each["id"] for each in found["open"]["accepted"]]) == ([], [ID])
    gone = standing_of(NIGHTS[:2], [*runs(0, 4, 4), *runs(1, 0, 20)], ACCEPTED).as_json()
    assert (gone["open"], gone["resolved"]) == ({"new": [], "ongoing": [], "rare": [], "accepted": []}, 1)


def test_a_finding_is_told_night_after_night() -> None:
    records = [*runs(0, 0, 4), *runs(1, 3, 4), *runs(2, 0, 2)]
    found = only(records)
    assert history_of(found, NIGHTS) == [
        {"night": 0, "began": "began 0", "version": "1", "hits": 0, "runs": 4},
        {"night": 1, "began": "began 1", "version": "2", "hits": 3, "runs": 4},
        {"night": 2, "began": "began 2", "version": "2", "hits": 0, "runs": 2},
    ]
    told = shown(found, NIGHTS, Ways("a.toml"), "again")
    assert (told["state"], told["plan"], told["replay"], told["clean"]) == ("rare", "a.toml", "again", 3)
    assert {key: told["example"][key] for key in ("night", "item", "run", "seed", "digest")} == {"night": 1, "item": "first", "run": 0, "seed": 10, "digest": "1 0"}  # fmt: skip
    assert standing(found) == "13.7 % to 69.4 % of runs when it was there (95 %); 3 clean runs since, 21 are needed to call it resolved"  # fmt: skip
    assert standing(only(runs(0, 4, 4))).endswith("5 clean runs would be needed to call it resolved")


def test_an_unknown_finding_is_told_with_those_there_are() -> None:
    known = findings(runs(0, 1, 4), (), TODAY)
    assert found_by(ID, known).id == ID
    with pytest.raises(PlanError, match=rf"no finding '{ID[:-1]}'; did you mean '{ID}'\?"):
        found_by(ID[:-1], known)
    with pytest.raises(PlanError, match=f"no finding 'zzzz'; there are {ID}"):
        found_by("zzzz", known)
    with pytest.raises(PlanError, match="no finding 'zzzz': no claim was ever broken"):
        found_by("zzzz", [])


@pytest.mark.parametrize(
    ("change", "status", "same", "says"),
    [
        ({}, 1, True, "came back, byte for byte"),
        ({"digest": "other"}, 1, False, "came back, in another history than that night's (quorate 1 then, 9 now)"),
        ({"digest": "other", "broken": (), "outcome": "ok"}, 0, False, "did not come back: the run came to ok, with another history"),
        ({"digest": "other", "broken": (), "outcome": "vacuous"}, 2, False, "did not come back: the run came to vacuous"),
        ({"broken": (), "outcome": "ok"}, 0, True, "did not come back: the history is that of the night, byte for byte, and is judged otherwise"),
        ({"broken": (("linearizable", "lost-write", ""),)}, 1, True, "did not come back"),
        ({"configuration": "store mode=y", "digest": "other"}, 1, False, "did not come back"),
        ({"digest": "", "broken": (), "outcome": "crash"}, 255, False, "could not be made again: crash"),
    ],
)  # fmt: skip
def test_what_is_said_of_the_example_made_again(
    change: dict[str, object], status: int, same: bool, says: str
) -> None:
    found = only(runs(0, 1, 4))
    again = Replayed(found, msgspec.structs.replace(found.example, **change))
    assert (again.status, again.same_bytes) == (status, same)
    assert again.told(VERSIONS, "9").startswith(says)
    assert again.came_back == again.as_json(VERSIONS, "9")["came_back"] == says.startswith("came back")
    assert "then" not in again.told(VERSIONS, "1")
