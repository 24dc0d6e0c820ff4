from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.reporting import evaluations
from search.reporting.evaluations import CorpusEvaluation, EvaluatedCorpus, EvaluatedDetector, Measures
from trainables.errors import DropinError

SHARE = st.floats(0, 1)
COST = st.none() | st.floats(0, 1e6)
COUNT = st.integers(0, 10**9)
NAME = st.text(max_size=20)
MEASURES = st.builds(
    Measures,
    eer=st.none() | SHARE,
    interval=st.none() | st.tuples(SHARE, SHARE).map(lambda ends: (min(ends), max(ends))),
    **dict.fromkeys(("min_dcf", "actual_dcf", "cllr", "min_cllr", "min_tdcf"), COST),
    **dict.fromkeys(("misses", "false_alarms", "hter"), st.none() | SHARE),
    bonafide=COUNT,
    spoof=COUNT,
)
DETECTORS = st.builds(
    EvaluatedDetector,
    detector=NAME,
    sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    size=st.integers(1, 10**12),
    run=st.none() | NAME,
    trial=st.none() | COUNT,
    threshold=st.floats(-1e9, 1e9),
    pooled=MEASURES,
    by=st.dictionaries(NAME, st.dictionaries(NAME, MEASURES, max_size=3), max_size=2),
)
EVALUATIONS = st.builds(
    CorpusEvaluation,
    corpus=st.builds(EvaluatedCorpus, NAME, NAME, NAME, NAME, st.none() | NAME),
    windows=st.sampled_from(["first", "all"]),
    detectors=st.lists(DETECTORS, max_size=3).map(tuple),
)


def measures(eer: float = 0.25) -> Measures:
    return Measures(eer, (0.125, 0.5), 0.75, 1.5, 0.5, 0.25, None, 0.125, 0.375, 0.25, 8, 16)


def evaluation() -> CorpusEvaluation:
    detector = EvaluatedDetector(
        "front/detectors/0", "0a" * 32, 1000, "one", 7, -0.5, measures(), {"attack": {"A07": measures(0.5)}}
    )
    return CorpusEvaluation(EvaluatedCorpus("in-the-wild", "ab", "", "eval"), "first", (detector,))


@settings(max_examples=40)
@given(made=EVALUATIONS)
def test_an_evaluation_is_read_as_it_was_written(made: CorpusEvaluation) -> None:
    assert evaluations.parse(made.to_json()) == made


def test_a_folder_is_read_and_fields_of_other_versions_are_left_out(tmp_path: Path) -> None:
    content = json.loads(evaluation().to_json())
    content["later"] = content["corpus"]["later"] = content["detectors"][0]["pooled"]["later"] = [1]
    del content["corpus"]["subset"]
    (tmp_path / "evaluation.json").write_text(json.dumps(content))
    assert evaluations.read(tmp_path) == evaluation()


def change(*keys: str | int, to: Any) -> Callable[[Any], None]:
    def changed(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = to

    return changed


FIRST = ("detectors", 0)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (change("windows", to=1), "the file: windows must be str; got 1"),
        (change("detectors", to={}), "detectors must be a list"),
        (change("detectors", to=[3]), r"detectors\[0\] must be a JSON object; got 3"),
        (change("corpus", to=None), "corpus must be a JSON object; got None"),
        (change("corpus", to={"name": "x"}), "corpus must have digest, note, split"),
        (change("corpus", "note", to="x" * 2001), "corpus: a name must have at most 2,000 characters; got 2,001"),
        (change(*FIRST, "sha256", to="0A" * 32), "sha256 must be 64 hexadecimal digits"),
        (change(*FIRST, "size", to=0), "size must be at least 1; got 0"),
        (change(*FIRST, "by", to=[]), r"detectors\[0\].by must be a JSON object"),
        (change(*FIRST, "by", "attack", to=1), r"detectors\[0\].by.attack must be a JSON object"),
        (change(*FIRST, "by", "attack", "A07", "eer", to="1 %"), "by.attack.A07: eer must be float | None; got '1 %'"),
        (change(*FIRST, "pooled", "eer", to=25), r"detectors\[0\].pooled: eer must be from 0 to 1; got 25"),
        (change(*FIRST, "pooled", "cllr", to=-0.5), "cllr must be at least 0; got -0.5"),
        (change(*FIRST, "pooled", "spoof", to=-1), "spoof must be at least 0; got -1"),
        (change(*FIRST, "pooled", "hter", to=float("nan")), "hter must be float | None; got nan"),
        (change(*FIRST, "pooled", "interval", to=[0.5, 0.25]), "interval must be two numbers from 0 to 1"),
        (change(*FIRST, "pooled", "interval", to=[0.5]), "interval must be two numbers from 0 to 1"),
        (change(*FIRST, "pooled", "interval", to=0.5), "interval must be tuple"),
    ],
)
def test_what_is_not_what_it_must_be_is_refused(broken: Callable[[Any], None], message: str, tmp_path: Path) -> None:
    content = json.loads(evaluation().to_json())
    broken(content)
    (tmp_path / "evaluation.json").write_text(json.dumps(content))
    with pytest.raises(
        DropinError, match=rf"^an evaluation must be a folder that search\.evaluate wrote; got .*\(.*{message}"
    ):
        evaluations.read(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must be JSON"),
        (b"[]", "the file must be a JSON object"),
        (b"\xff", "must be JSON"),
        (b"[" * 100_000, "must be JSON"),
    ],
)
def test_what_is_no_json_object_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_bytes(content)
    with pytest.raises(DropinError, match=message):
        evaluations.read(tmp_path)


def test_a_folder_without_the_file_or_with_one_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DropinError, match=r"it has no evaluation\.json"):
        evaluations.read(tmp_path)
    text = evaluation().to_json()
    (tmp_path / "evaluation.json").write_text(text)
    monkeypatch.setattr(evaluations, "MAX_BYTES", len(text) - 1)
    with pytest.raises(DropinError, match="has more than"):
        evaluations.read(tmp_path)
    monkeypatch.setattr(evaluations, "MAX_BYTES", len(text))
    assert evaluations.read(tmp_path) == evaluation()


def test_an_impossible_value_cannot_be_made_either() -> None:
    with pytest.raises(DropinError, match="misses must be from 0 to 1"):
        replace(measures(), misses=1.5)
    with pytest.raises(DropinError, match="eer must be"):
        Measures(**{**asdict(measures()), "eer": "low"})
