from __future__ import annotations

import io
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from search.evaluating import tables
from search.evaluating.conditions import read_conditions
from search.evaluating.measures import measure, measure_by
from search.evaluating.result import EvaluationResult
from search.evaluating.scores import SplitScores
from search.reporting import evaluations
from search.reporting.evaluations import CorpusEvaluation, EvaluatedCorpus, EvaluatedDetector
from trainables.corpora.corpus import Utterance
from trainables.errors import DropinError

UTTERANCES = [
    Utterance(f"u{number}", Path("x"), int(number % 3 == 0), "-", "-" if number % 3 == 0 else f"A0{number % 3}",
              {"codec": "a|b" if number % 2 else "<none>"})
    for number in range(30)
]  # fmt: skip
LABELS = np.array([one.label for one in UTTERANCES])


def made(detectors: int = 2) -> EvaluationResult:
    """Detectors of random scores."""
    scores = np.random.default_rng(0).normal(size=(detectors, 30)) + LABELS
    scores[0, 4] = np.nan
    conditions = read_conditions(UTTERANCES, ["attack", "codec"])
    evaluated = tuple(
        EvaluatedDetector(
            f"front/detectors/{number}", f"{number:064x}", 1000 * (number + 1), "one", number or None, 0.25,
            measure(row, LABELS, 0.25), measure_by(row, LABELS, 0.25, conditions),
        )
        for number, row in enumerate(scores)
    )  # fmt: skip
    corpus = EvaluatedCorpus("some_corpus", "0a", "a *note*", "eval", None)
    facts = tuple({"calibrated": False, "without_score": {"bonafide": 0, "spoof": 1 - n}} for n in range(detectors))
    evaluation = CorpusEvaluation(corpus, "first", evaluated)
    return EvaluationResult(evaluation, SplitScores(UTTERANCES, LABELS, scores), facts, {}, ("one | note",))


def test_a_folder_says_what_the_object_says(tmp_path: Path) -> None:
    result, target = made(), tmp_path / "deep" / "evaluation"
    result.save(target, scores="2021")
    files = ["0.txt", "1.txt", "det.png", "evaluation.json", "evaluation.md", "evaluation.parquet"]
    assert sorted(path.name for path in target.rglob("*") if path.is_file()) == files
    assert evaluations.read(target) == result.evaluation
    document = json.loads((target / "evaluation.json").read_text())
    assert document["notes"] == ["one | note"]
    assert [one["without_score"]["spoof"] for one in document["detectors"]] == [1, 0]
    assert pq.read_table(target / "evaluation.parquet").equals(result.table)
    assert (target / "det.png").stat().st_size > 10_000
    assert len((target / "scores" / "0.txt").read_text().splitlines()) == 29


def test_the_table_has_a_row_for_each_detector_condition_and_value() -> None:
    result = made()
    rows = result.table.to_pylist()
    assert [(row["condition"], row["value"]) for row in rows[:5]] == [
        *((None, None), ("attack", "A01"), ("attack", "A02"), ("codec", "<none>"), ("codec", "a|b")),
    ]
    assert len(rows) == 10
    for row in rows:
        (one,) = (one for one in result.evaluation.detectors if one.detector == row["detector"])
        found = one.pooled if row["condition"] is None else one.by[row["condition"]][row["value"]]
        for name, value in asdict(found).items():
            if name == "interval":
                assert (row["eer_low"], row["eer_high"]) == value
            else:
                assert row[name] == value
        assert (row["sha256"], row["size"], row["trial"]) == (one.sha256, one.size, one.trial)


def test_an_earlier_evaluation_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "evaluation"
    made().save(target, scores="5")
    made(1).save(target)
    assert len(evaluations.read(target).detectors) == 1
    assert not (target / "scores").exists()
    (target / "thesis.txt").write_text("precious")
    with pytest.raises(DropinError, match=r"an evaluation replaces only an earlier one; .* also has thesis\.txt"):
        made().save(target)
    assert len(evaluations.read(target).detectors) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["evaluation"]


def test_markdown_has_every_number_and_escapes_names() -> None:
    evaluation = made().evaluation
    text = tables.markdown(evaluation, ["one | note"])
    for words in ("# Detectors on some\\_corpus, eval", "> a \\*note\\*", "- one \\| note", "| a\\|b |", "&lt;none>"):
        assert words in text, words
    for one in evaluation.detectors:
        found = one.pooled
        assert found.eer is not None
        assert f"| {one.size:,} | {100 * found.eer:.2f} | {tables.interval(found)} | {found.min_dcf:.4f} |" in text
        assert all(tables.percent(values.eer) in text for by in one.by.values() for values in by.values())
    assert "min t-DCF" not in text
    tandem = replace(evaluation.detectors[0], pooled=replace(evaluation.detectors[0].pooled, min_tdcf=0.125))
    with_tandem = tables.markdown(replace(evaluation, detectors=(tandem, evaluation.detectors[1])), [])
    assert "| min t-DCF |" in with_tandem
    assert "| 0.1250 |" in with_tandem


def shown(result: EvaluationResult, width: int) -> list[str]:
    file = io.StringIO()
    tables.show(result.evaluation, Console(file=file, width=width, highlight=False))
    return file.getvalue().splitlines()


def test_the_terminal_shows_the_best_of_many_and_says_so() -> None:
    lines = shown(made(tables.MOST_DETECTORS + 2), 300)
    for name in ("attack", "codec"):
        assert f"{name}: 2 detectors with a higher EER are in the files of --to" in lines
    (head,) = (line for line in lines if line.startswith(" attack"))
    assert head.count("EER %") == tables.MOST_DETECTORS
    assert sum(line.startswith(f" {number} ") for line in lines for number in range(10)) == tables.MOST_DETECTORS + 2


@pytest.mark.parametrize("width", [40, 80, 300])
def test_a_narrow_terminal_loses_no_number(width: int) -> None:
    result = made()
    lines = shown(result, width)
    # At 80 columns a line of the table is a line of the terminal; at 40 the terminal breaks it.
    assert max(map(len, lines)) <= max(width, 80)
    for one in result.evaluation.detectors:
        found = one.pooled
        row = next(line.split() for line in lines if f" {one.size:,} " in line)
        for value in (found.eer, found.hter, found.misses, found.false_alarms):
            assert tables.percent(value) in row
        for value in (found.min_dcf, found.actual_dcf, found.cllr):
            assert tables.cost(value) in row
