"""Knossos as a second opinion: where KNOSSOS_CLASSPATH is set it judges, and agrees with us; what is missing is named everywhere."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from test_fuzz_search import random_history, recorded

from checkers import History, Op, Type, Verdict
from checkers.formats import load
from checkers.formats.edn import parse
from checkers.knossos import FUNCTIONS, VARIABLE, _history, _sent, check_knossos, class_path
from checkers.linearizable import EngineError, check_object
from checkers.notation import parse_drawing as drawn
from checkers.search import Budget, check_model

SHARED = Path(__file__).parents[3] / "shared" / "data"
asked = pytest.mark.skipif(
    not os.environ.get(VARIABLE), reason=f"{VARIABLE} is not set: no Knossos to ask (docs/knossos.md)"
)
files = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the folder ../shared/data with the histories is absent"
)


def sub_history(history: History, calls: tuple[int, ...]) -> History:
    """These calls, and what completes them by the return of the last."""
    ends = [(call, history.completion(call)) for call in calls]
    keep = set(calls) | {end.index for _, end in ends if end is not None}
    return History.from_ops(
        Op(-1, op.time_ns, op.process, op.type, op.f, op.key, op.value, op.error)
        for op in history
        if op.index in keep
    )


# ---- what is missing is named ----------------------------------------------------------------------------------------


def test_the_variable_must_be_set() -> None:
    with pytest.raises(EngineError, match=f"{VARIABLE} is not set; name the jars"):
        class_path(None)


def test_what_it_names_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "a.jar").touch()
    assert class_path(f"{tmp_path}/*{os.pathsep}{tmp_path}") == [f"{tmp_path}/a.jar", str(tmp_path)]
    with pytest.raises(EngineError, match=r"names .*absent\.jar, which is not there"):
        class_path(f"{tmp_path}{os.pathsep}{tmp_path / 'absent.jar'}")


def test_a_model_without_a_counterpart_is_refused() -> None:
    with pytest.raises(EngineError, match="not asked about 'queue'; it judges register, cas-register, mutex"):
        check_object(History.from_ops([]), "queue", engine="knossos")


def test_without_jpype1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setitem(sys.modules, "jpype", None)
    with pytest.raises(
        EngineError, match=r"needs jpype1, which is not installed; install quorate\[knossos\]"
    ):
        check_knossos(History.from_ops([]), "register", Budget(memory_mb=17))


def outside(tmp_path: Path, **environment: str) -> str:
    """What a process of its own says, with that environment: a Java machine cannot be started twice."""
    (tmp_path / "h.jsonl").write_text("")
    command = [
        sys.executable, "-c", "import sys; from harness.cli import main; sys.exit(main())",
        "check", str(tmp_path / "h.jsonl"), "--engine", "knossos",
    ]  # fmt: skip
    answer = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
    assert answer.returncode == 254, answer.stderr
    return " ".join(answer.stderr.split())


def test_without_java(tmp_path: Path) -> None:
    pytest.importorskip("jpype")
    library = tmp_path / "lib" / "server" / "libjvm.so"
    library.parent.mkdir(parents=True)
    library.write_text("no library")
    said = outside(tmp_path, JAVA_HOME=str(tmp_path), **{VARIABLE: str(tmp_path)})
    assert "needs Java, which cannot be started" in said
    assert "install a Java 17 runtime" in said


def test_without_clojure(tmp_path: Path) -> None:
    jpype = pytest.importorskip("jpype")
    try:
        jpype.getDefaultJVMPath()
    except jpype.JVMNotFoundException:
        pytest.skip("no Java here")
    said = outside(tmp_path, **{VARIABLE: str(tmp_path)})
    assert f"{VARIABLE} lacks Clojure" in said
    assert "docs/knossos.md" in said


# ---- what is sent ----------------------------------------------------------------------------------------------------


def sent(history: History, model: str) -> list[dict[str, object]]:
    calls = [op.index for op in history if op.type is Type.INVOKE]
    [records] = parse(_history([one for at in calls if (one := _sent(history, model, at)) is not None]))
    return records


def test_at_one_instant_calls_come_first_and_each_has_its_process() -> None:
    history = History.from_ops(
        [
            Op(-1, 0, 0, Type.INVOKE, "write", None, 1),
            Op(-1, 5, 0, Type.OK, "write", None, 1),
            Op(-1, 5, 0, Type.INVOKE, "read"),
            Op(-1, 9, 0, Type.OK, "read", None, None),
        ]
    )
    shown = [
        (record["type"], record["process"], record["index"], record["value"])
        for record in sent(history, "register")
    ]
    assert shown == [("invoke", 0, 0, "1"), ("invoke", 2, 2, "null"), ("ok", 0, 1, "1"), ("ok", 2, 3, "null")]


def test_what_failed_and_reads_without_an_answer_are_not_sent() -> None:
    history = drawn("A: |--w 1--| |--w 2--x |--r ?- - -")
    assert [record["value"] for record in sent(history, "register")] == ["1", "1"]


# ---- what it says ----------------------------------------------------------------------------------------------------


@asked
def test_verdict_time_and_final_config() -> None:
    history = drawn("A: |--w 1--|         |--r 2--|\nB:          |--w 3--|")
    result = check_object(history, "cas-register", engine="knossos")
    assert (result.verdict, result.stats["path"]) == (Verdict.INVALID, "knossos")
    [part] = result.parts.values()
    assert part.stats["seconds"] > 0
    assert [config["state"] for config in part.stats["configs"]] == ["3"]
    assert "read -> 2" in result.reason
    assert "end in 3" in result.reason


@asked
@files
@pytest.mark.parametrize("folder", ["cas-register/bad", "mutex/bad", "cas-register/good"])
def test_its_own_examples(folder: str) -> None:
    for file in sorted((SHARED / "knossos" / folder).glob("*.edn"))[:20]:
        history, model = load(file), folder.partition("/")[0]
        result = check_knossos(history, model)
        assert result.verdict is (Verdict.VALID if "good" in folder else Verdict.INVALID), file
        if result.certificate is not None:
            core = sub_history(history, tuple(result.certificate.ops))
            assert check_model(core, model).verdict is Verdict.INVALID, file


@asked
@files
def test_first_values_of_a_multi_register() -> None:
    [file] = (SHARED / "knossos" / "multi-register" / "good").glob("*.edn")
    assert check_knossos(load(file), "multi-register", initial={"x": 0, "y": 0}).verdict is Verdict.VALID
    assert check_knossos(load(file), "multi-register").verdict is Verdict.INVALID


@asked
def test_no_time_is_unknown() -> None:
    result = check_knossos(drawn("A: |--w 1--| |--r 1--|"), "register", Budget(deadline_ms=0))
    assert result.verdict is Verdict.UNKNOWN
    assert result.parts["'x'"].stats["cause"] == "timeout"


@asked
@pytest.mark.slow
@pytest.mark.parametrize("model", FUNCTIONS)
def test_it_agrees_with_our_search(model: str) -> None:
    rng, verdicts = random.Random(f"knossos {model}"), []
    histories = [random_history(rng, model) for _ in range(int(os.environ.get("QUORATE_KNOSSOS", "100")))]
    history = recorded(histories)
    ours, theirs = check_model(history, model), check_knossos(history, model)
    assert ours.parts.keys() == theirs.parts.keys()
    for key, part in theirs.parts.items():
        assert part.verdict is ours.parts[key].verdict, histories[int(key)]
        verdicts.append(part.verdict)
        if part.certificate is not None:
            core = sub_history(history, tuple(part.certificate.ops))
            assert check_model(core, model).verdict is Verdict.INVALID, histories[int(key)]
    assert min(verdicts.count(Verdict.VALID), verdicts.count(Verdict.INVALID)) > len(verdicts) // 10
