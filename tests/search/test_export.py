from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import asv_score_files
import finished_run
import project_file
from search import export, score
from search.runs import results
from search.runs.trial_log import TrialLog, read
from trainables import corpora
from trainables.metrics.asv_scores import read_asv_scores
from trainables.metrics.eer import eer
from trainables.metrics.size import parameters
from trainables.metrics.tdcf import min_tdcf
from trainables.storage.checkpoint import load_detector
from trainables.storage.run_paths import RunPaths


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds a run, its corpus and its cache."""
    folder = tmp_path_factory.mktemp("place")
    finished_run.make(folder)
    return folder


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    return place / "runs" / "one"


@pytest.fixture(scope="module")
def front(place: Path, run: Path) -> Path:
    """An export of the run, with scores of a speaker verification on eval."""
    asv_score_files.write_2019(place / "corpus")
    assert export.main([str(run), "--to", str(place / "front")]) == 0
    return place / "front"


@pytest.fixture
def copied(run: Path, front: Path, tmp_path: Path) -> Path:
    """A copy of the run's folder that a test may damage; corpus and cache are the original's."""
    return Path(shutil.copytree(run, tmp_path / "copied"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def scored(detector: Path, root: Path, split: str, capsys: pytest.CaptureFixture[str]) -> tuple[np.ndarray, list[str]]:
    """Scores of a split's files by ``search.score``, and each one's attack."""
    utterances = corpora.read("asvspoof2019-la", root, cache=root).splits[split]
    capsys.readouterr()
    command = [str(detector), "--json", "--windows", "first", *(str(one.path) for one in utterances)]
    assert score.main(command) == 0
    files = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["file"] for one in files] == [str(one.path) for one in utterances]
    return np.array([one["score"] for one in files]), [one.attack for one in utterances]


def test_an_export_holds_the_front_from_small_to_large(front: Path, run: Path) -> None:
    assert sorted(path.name for path in (front / "detectors").iterdir()) == ["0", "1"]
    assert sorted(path.name for path in front.iterdir()) == [
        *("detectors", "export.json", "front.csv", "front.parquet", "front.png"),
    ]
    rows = pq.read_table(front / "front.parquet").to_pylist()
    assert [(row["role"], row["name"], row["trial"], row["recipe"]) for row in rows] == [
        ("front", "0", 2, "initial-half"),
        ("front", "1", 3, None),
        ("recipe", "paper", 0, "paper"),
        ("recipe", "control", 1, "control"),
        ("base", "base", None, None),
    ]
    assert [row["detector"] for row in rows] == ["detectors/0", "detectors/1", None, None, None]
    assert [row["eer_dev"] for row in rows[:4]] == [0.25, 0.10, 0.30, 0.28]
    assert rows[0]["size"] < rows[2]["size"] == rows[3]["size"] == rows[4]["size"] < rows[1]["size"]
    for row, number in zip(rows[:2], (2, 3), strict=True):
        exported, original = load_detector(front / row["detector"]), load_detector(run / "detectors" / str(number))
        assert exported.arch == original.arch
        assert parameters(exported.module) == row["size"]
        for key, value in original.module.state_dict().items():
            assert value.equal(exported.module.state_dict()[key])
        assert exported.card["threshold"] == row["threshold"] == 0
        assert exported.card["eer_threshold"] == row["eer_threshold"]
        assert json.loads(row["plan"]) == original.card["plan"]


def test_csv_and_parquet_say_the_same(front: Path) -> None:
    rows = pq.read_table(front / "front.parquet")
    types = dict(zip(rows.schema.names, rows.schema.types, strict=True))
    options = pa.csv.ConvertOptions(
        column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=True
    )
    read = pa.csv.read_csv(
        front / "front.csv", convert_options=options, parse_options=pa.csv.ParseOptions(newlines_in_values=True)
    )
    assert read.to_pydict() == rows.to_pydict()


@pytest.mark.parametrize("number", [0, 1])
def test_the_exported_detector_finds_on_the_files_what_the_tables_say(
    number: int, front: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = pq.read_table(front / "front.parquet").to_pylist()[number]
    card = load_detector(front / "detectors" / str(number)).card
    for split in ("dev", "eval"):
        found, attacks = scored(front / "detectors" / str(number), place / "corpus", split, capsys)
        bonafide = found[[attack == "-" for attack in attacks]]
        spoof = found[[attack != "-" for attack in attacks]]
        assert eer(bonafide, spoof)[0] == card[split]["eer"]
        for attack in set(attacks) - {"-"}:
            expected, _ = eer(bonafide, found[[one == attack for one in attacks]])
            assert row[f"eer_{split}_{attack}"] == card[split]["by_attack"][attack] == expected
    assert row["eer_eval"] == card["eval"]["eer"]
    # A score at the threshold itself may fall to either side of it by the last bit.
    assert row["misses_eval"] == pytest.approx(np.mean(bonafide < row["threshold"]), abs=1.01 / len(bonafide))
    assert row["false_alarms_eval"] == pytest.approx(np.mean(spoof >= row["threshold"]), abs=1.01 / len(spoof))
    assert row["hter_eval"] == (row["misses_eval"] + row["false_alarms_eval"]) / 2
    asv = read_asv_scores(next((place / "corpus" / "LA").rglob("*asv.eval*")))
    assert row["min_tdcf_eval"] == pytest.approx(min_tdcf(bonafide, spoof, asv))
    assert row["min_tdcf_dev"] is None


def test_the_card_is_for_people(front: Path) -> None:
    row = pq.read_table(front / "front.parquet").to_pylist()[0]
    text = (front / "detectors" / "0" / "card.md").read_text()
    for words in (
        f"{row['size']:,} parameters",
        "Trial 2 (initial-half) of run one; number 0 on its front of 2",
        f"| EER | 25.00 % | {100 * row['eer_eval']:.2f} % |",
        f"| 95 % interval | {100 * row['eer_dev_low']:.2f} % to {100 * row['eer_dev_high']:.2f} % |",
        f"| min t-DCF | - | {row['min_tdcf_eval']:.4f} |",
        "score >= 0.0000, the threshold of a log-likelihood ratio",
        "where the prior of bona fide speech is 0.5",
        f"The EER threshold on dev is {row['eer_threshold']:.4f}",
        f"score = {row['calibration_slope']:.6g} x (logit",
        f"| Cllr before calibration, bits | {row['cllr_dev_before']:.4f} | {row['cllr_eval_before']:.4f} |",
        f"| Cllr, bits | {row['cllr_dev']:.4f} | {row['cllr_eval']:.4f} |",
        f"| actual DCF | {row['actual_dcf_dev']:.4f} | {row['actual_dcf_eval']:.4f} |",
        f"| min DCF | {row['min_dcf_dev']:.4f} | {row['min_dcf_eval']:.4f} |",
        f"the rates are {100 * row['misses_eval_before']:.2f} % and {100 * row['false_alarms_eval_before']:.2f} %",
        "of dev after calibration are in-sample",
        "| layer4.0 | 32 | 8 |",
        "cut layer4.0 and layer4.1 to 8 neurons (smallest effect on the loss first)",
        "corpus asvspoof2019-la, digest `",
        "seed 0, weights of epoch 2 of 6",
    ):
        assert words in text, words
    attacks = [name.removeprefix("eer_eval_") for name in row if name.startswith("eer_eval_A")]
    assert attacks
    for attack in attacks:
        assert f"| {attack} | - | {100 * row[f'eer_eval_{attack}']:.2f} % |" in text


def test_an_earlier_export_is_replaced_and_leaves_nothing(copied: Path, front: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / "front"
    shutil.copytree(front, target)
    lines = (copied / "trials.jsonl").read_text().splitlines(keepends=True)
    (copied / "trials.jsonl").write_text("".join(lines[:3]))  # without the larger one, the front has one member
    assert export.main([str(copied), "--to", str(target)]) == 0
    assert [path.name for path in (target / "detectors").iterdir()] == ["0"]
    assert [path.name for path in target.parent.iterdir()] == ["front"]


def test_an_unfinished_run_is_exported_as_far_as_it_is(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (copied / "trials.jsonl").read_text().splitlines(keepends=True)
    (copied / "trials.jsonl").write_text("".join(lines[:2]) + lines[2][:40])
    assert export.main([str(copied), "--to", str(tmp_path / "out")]) == 0
    assert "2 of 6 trials ended so far" in capsys.readouterr().out
    rows = pq.read_table(tmp_path / "out" / "front.parquet").to_pylist()
    assert [(row["role"], row["recipe"]) for row in rows] == [("front", "control"), ("recipe", "paper"), ("base", None)]


def test_of_equal_trials_the_front_has_the_one_that_the_run_has(copied: Path, tmp_path: Path) -> None:
    records = read(copied / "trials.jsonl")
    (copied / "trials.jsonl").unlink()
    log = TrialLog(copied / "trials.jsonl")
    for number in (1, 0):  # control ended first
        log.append(replace(records[number], eer=0.25))
    results.write_tables(RunPaths(copied), list(log.records.values()))
    assert export.main([str(copied), "--to", str(tmp_path / "out")]) == 0
    rows = pq.read_table(tmp_path / "out" / "front.parquet").to_pylist()
    assert rows[0]["trial"] == pq.read_table(copied / "front.parquet").to_pylist()[0]["number"]


def test_what_is_there_for_comparison_may_be_gone(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(copied / "detectors" / "0")
    shutil.rmtree(copied / "base")
    assert export.main([str(copied), "--to", str(tmp_path / "out")]) == 0
    assert "paper is not scored" in capsys.readouterr().out
    rows = {row["name"]: row for row in pq.read_table(tmp_path / "out" / "front.parquet").to_pylist()}
    assert set(rows) == {"0", "1", "paper", "control"}
    assert (rows["paper"]["eer_dev"], rows["paper"]["eer_eval"], rows["paper"]["macs"]) == (0.30, None, None)


def test_a_corpus_without_eval_leaves_its_columns_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = finished_run.make(tmp_path, with_eval=False)
    assert export.main([str(run), "--to", str(tmp_path / "out")]) == 0
    assert "has no eval split" in capsys.readouterr().out
    rows = pq.read_table(tmp_path / "out" / "front.parquet")
    assert not any(name.startswith("eer_eval_A") for name in rows.column_names)
    for name in ("eer_eval", "eer_eval_low", "eer_eval_high", "min_tdcf_eval", "misses_eval", "false_alarms_eval"):
        assert rows[name].null_count == len(rows)
    assert rows["macs"].null_count == 0
    assert "The corpus has no eval split" in (tmp_path / "out" / "detectors" / "1" / "card.md").read_text()


def test_the_corpus_may_move_but_not_change_and_another_dev_eer_is_told(
    copied: Path, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = shutil.copytree(place / "corpus", tmp_path / "moved")
    finished_run.rewrite_settings(copied, corpus_root=str(tmp_path / "gone"))
    command = [str(copied), "--to", str(tmp_path / "out")]
    assert export.main(command) == 1
    assert "gone" in capsys.readouterr().err
    assert export.main([*command, "--corpus-root", str(moved)]) == 0
    out = capsys.readouterr().out
    assert "1: the dev EER was 10.00 % in the run and is" in out
    assert "base: the dev EER was" not in out
    before = contents(tmp_path / "out")
    next(moved.rglob("LA_E_*.flac")).write_bytes(next(moved.rglob("LA_D_*.flac")).read_bytes())
    assert export.main([*command, "--corpus-root", str(moved)]) == 1
    assert "a front must be scored on the corpus of its run" in capsys.readouterr().err
    assert contents(tmp_path / "out") == before


def test_a_damaged_detector_is_named_and_an_earlier_export_stays(
    copied: Path, front: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = Path(shutil.copytree(front, tmp_path / "out" / "front"))
    weights = copied / "detectors" / "3" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert export.main([str(copied), "--to", str(target)]) == 1
    assert f"{weights} is damaged" in capsys.readouterr().err
    assert contents(target) == contents(front)
    assert [path.name for path in target.parent.iterdir()] == ["front"]


def test_what_is_not_a_run_or_not_a_place_is_refused(
    run: Path, front: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*command: str) -> str:
        capsys.readouterr()
        assert export.main(list(command)) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    assert "has no settings.json" in said(str(tmp_path / "none"), "--to", str(tmp_path / "out"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    assert "has other files" in said(str(run), "--to", str(tmp_path / "mine"))
    assert "has other files" in said(str(run), "--to", str(run))
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"
    assert not (tmp_path / "out").exists()


def test_a_run_without_a_front_says_why(copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (copied / "trials.jsonl").read_text().splitlines(keepends=True)
    (copied / "trials.jsonl").write_text(lines[finished_run.FAILED])
    assert export.main([str(copied), "--to", str(tmp_path / "out")]) == 1
    assert "the first failed with: Diverged: the loss is nan" in capsys.readouterr().err
    (copied / "trials.jsonl").unlink()
    assert export.main([str(copied), "--to", str(tmp_path / "out")]) == 1
    assert "no trial completed" in capsys.readouterr().err
    (copied / "corpus.json").unlink()
    assert export.main([str(copied), "--to", str(tmp_path / "out")]) == 2
    assert "has not read its corpus yet" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_export_score_and_evaluate_start_without_ray_and_optuna() -> None:
    code = "import sys, search.export, search.score, search.evaluate; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=project_file.ROOT, capture_output=True, text=True
    )
    assert not {"ray", "optuna", "pandas", "transformers", "scipy", "sklearn"} & set(done.stdout.split())


def test_what_was_stopped_early_is_not_in_the_picture(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its EER is that of an epoch: of the six trials of the log four ran to their end."""
    drawn: list[tuple[int, float]] = []
    monkeypatch.setattr(
        "search.reporting.export.draw_front", lambda path, entries, trials, caption: drawn.extend(trials)
    )
    assert export.main([str(copied), "--to", str(tmp_path / "out")]) == 0
    assert [eer for _, eer in drawn] == list(finished_run.EERS.values())
