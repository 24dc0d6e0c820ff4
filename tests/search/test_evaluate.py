from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from sklearn.metrics import roc_curve

import asv_score_files
import finished_run
from search import evaluate, evaluate_detectors, export, open_run
from search.reporting import evaluations
from search.settings.corpus_options import CorpusSettings
from trainables import corpora
from trainables.errors import DropinError
from trainables.metrics.asv_scores import read_asv_scores
from trainables.metrics.tdcf import min_tdcf

Line = tuple[str, str, str, float]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds a run, its front and its corpus."""
    folder = tmp_path_factory.mktemp("place")
    run = finished_run.make(folder)
    asv_score_files.write_2019(folder / "corpus")
    assert export.main([str(run), "--to", str(folder / "front")]) == 0
    return folder


@pytest.fixture(scope="module")
def evaluated(place: Path) -> Path:
    """An evaluation of the front on the corpus that it was trained on, with scores."""
    given = ["--by", "attack,speaker", "--to", str(place / "evaluation"), "--scores"]
    assert evaluate.main([str(place / "front"), *corpus_of(place), *given]) == 0
    return place / "evaluation"


def corpus_of(place: Path) -> list[str]:
    return ["--corpus", "asvspoof2019-la", "--corpus-root", str(place / "corpus"), "--cache", str(place / "cache")]


def lines_of(file: Path) -> list[Line]:
    """Utterance, attack, key and score, as the challenge of 2019 has them."""
    found = [line.split(" ") for line in file.read_text().splitlines()]
    return [(name, attack, key, float(score)) for name, attack, key, score in found]


def rates(lines: Sequence[Line], threshold: float) -> tuple[float, float]:
    """Miss and false alarm rate, counted line by line."""
    bonafide = [score for *_, key, score in lines if key == "bonafide"]
    spoof = [score for *_, key, score in lines if key == "spoof"]
    return sum(s < threshold for s in bonafide) / len(bonafide), sum(s >= threshold for s in spoof) / len(spoof)


def plain_eer(lines: Sequence[Line]) -> float:
    """The mean of the two rates at the first threshold that brings them closest."""
    both = [rates(lines, threshold) for threshold in (*sorted({line[3] for line in lines}), math.inf)]
    miss, false_alarm = min(both, key=lambda pair: abs(pair[0] - pair[1]))
    return (miss + false_alarm) / 2


def roc_eers(lines: Sequence[Line]) -> list[float]:
    """The same by scikit-learn: of all thresholds that bring the rates equally close."""
    false_alarms, hits, _ = roc_curve(
        [key == "bonafide" for _, _, key, _ in lines], [line[3] for line in lines], drop_intermediate=False
    )
    gaps = np.abs(false_alarms - (1 - hits))
    return list((false_alarms + 1 - hits)[gaps <= gaps.min() + 1e-12] / 2)


def test_the_numbers_of_the_tables_follow_from_the_score_files(evaluated: Path) -> None:
    """Computed again from what --scores wrote, by plain Python and by scikit-learn."""
    rows = pq.read_table(evaluated / "evaluation.parquet").to_pylist()
    files = sorted((evaluated / "scores").iterdir())
    assert [file.name for file in files] == ["0.txt", "1.txt"]
    for number, file in enumerate(files):
        lines = lines_of(file)
        own = {(row["condition"], row["value"]): row for row in rows if row["detector"].endswith(f"/{number}")}
        attacks = sorted({attack for _, attack, key, _ in lines if key == "spoof"})
        assert [value for condition, value in own if condition == "attack"] == attacks
        parts: dict[tuple[str | None, str | None], list[Line]] = {(None, None): lines}
        for attack in attacks:
            parts["attack", attack] = [line for line in lines if line[1] in ("-", attack)]
        for part, of_it in parts.items():
            row = own[part]
            misses, false_alarms = rates(of_it, row["threshold"])
            assert row["eer"] == plain_eer(of_it)
            assert any(row["eer"] == pytest.approx(one, abs=1e-12) for one in roc_eers(of_it))
            assert (row["misses"], row["false_alarms"]) == (misses, false_alarms)
            assert row["hter"] == pytest.approx((misses + false_alarms) / 2)
            assert row["bonafide"] + row["spoof"] == len(of_it)
            # ASVspoof 5: 1.9 P_miss + P_fa, at the best threshold and at -ln 1.9.
            costs = [1.9 * miss + accepted for miss, accepted in
                     (rates(of_it, at) for at in (*(line[3] for line in of_it), math.inf))]  # fmt: skip
            assert row["min_dcf"] == pytest.approx(min(costs))
            miss, accepted = rates(of_it, -math.log(1.9))
            assert row["actual_dcf"] == pytest.approx(1.9 * miss + accepted)


def test_numbers_on_eval_are_those_of_the_export(place: Path, evaluated: Path) -> None:
    found = {row["detector"]: row for row in pq.read_table(place / "front" / "front.parquet").to_pylist()}
    for number, one in enumerate(evaluations.read(evaluated).detectors):
        row = found[f"detectors/{number}"]
        assert one.pooled.eer == row["eer_eval"]
        assert one.pooled.interval == (row["eer_eval_low"], row["eer_eval_high"])
        assert one.pooled.min_tdcf == pytest.approx(row["min_tdcf_eval"])
        assert (one.size, one.run, one.trial) == (row["size"], "one", row["trial"])
        for attack, measures in one.by["attack"].items():
            assert measures.eer == row[f"eer_eval_{attack}"]


def test_what_the_terminal_says(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = tmp_path / "scores.tsv"
    given = ["--split", "dev", "--by", "attack", "--scores", str(scores), "--scores-format", "5"]
    assert evaluate.main([str(place / "front" / "detectors" / "1"), *corpus_of(place), *given]) == 0
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if f"{place / 'front' / 'detectors' / '1'} " in line)
    card = json.loads((place / "front" / "detectors" / "1" / "detector.json").read_text())["card"]
    assert f"{100 * card['dev']['eer']:.2f}" in row
    assert any(line.split()[:1] == ["A01"] for line in out.splitlines())
    assert "its dev split is not unseen data, since weights and thresholds were chosen on it" in out
    assert f"scores: {scores}" in out
    assert scores.read_text().startswith("filename\tcm-score\nLA_D_")
    assert len(scores.read_text().splitlines()) == 1 + finished_run.UTTERANCES["dev"]


def test_an_evaluation_in_a_program(place: Path, evaluated: Path, tmp_path: Path) -> None:
    members = open_run(place / "runs" / "one").front.members
    options: dict[str, Any] = {"corpus": "asvspoof2019-la", "corpus_root": place / "corpus", "cache": place / "cache"}
    found = evaluate_detectors(members, by="attack", **options)
    expected = evaluations.read(evaluated)
    assert [one.sha256 for one in found.evaluation.detectors] == [one.sha256 for one in expected.detectors]
    assert found.evaluation.corpus == expected.corpus
    assert found.table.num_rows == 2 * (1 + len(expected.detectors[0].by["attack"]))
    assert "eval of asvspoof2019-la" in repr(found)
    assert found.notes[0].startswith("scores are log-odds and not calibrated")  # of a run, before its export
    found.save(tmp_path / "saved")
    assert evaluations.read(tmp_path / "saved") == found.evaluation
    (one,) = evaluate_detectors(members[0], split="dev", **options).write_scores(tmp_path / "one.txt", "2021")
    assert len(one.read_text().splitlines()) == finished_run.UTTERANCES["dev"]
    with pytest.raises(DropinError, match="split must be one of train, dev, eval; got 'test'"):
        evaluate_detectors(members, split="test", **options)
    with pytest.raises(DropinError, match="corpus must be one of"):
        evaluate_detectors(members, corpus="nothing")


@pytest.mark.usefixtures("evaluated")
def test_own_recordings_by_what_their_manifest_says(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Codecs of the eval split in a column, and the numbers of the tree that the files are from."""
    utterances = corpora.read("asvspoof2019-la", place / "corpus", cache=place / "cache", splits=("eval",)).splits[
        "eval"
    ]
    rows = []
    for n, one in enumerate(utterances):
        label, attack = ("real", "") if one.label else ("fake", one.attack)
        rows.append(f"{one.path},{label},eval,{attack},{'opus' if n % 3 else 'gsm'}")
    soundfile.write(place / "silent.wav", np.zeros(16_000), 16_000)
    rows.append(f"{place / 'silent.wav'},real,eval,,gsm")
    manifest = place / "mine.csv"
    manifest.write_text("\n".join(["file,label,split,attack,codec", *rows]))
    given = [
        "--corpus",
        "manifest",
        "--corpus-root",
        str(manifest),
        "--cache",
        str(place / "cache"),
        "--by",
        "codec,attack",
    ]
    assert evaluate.main([str(place / "front"), *given, "--to", str(place / "on mine")]) == 0
    out = capsys.readouterr().out
    assert "is not unseen data" not in out
    assert "note: without a score and not counted: 1 bona fide utterances and 0 spoofs; first" in out
    own, tree = evaluations.read(place / "on mine"), evaluations.read(place / "evaluation")
    for found, expected in zip(own.detectors, tree.detectors, strict=True):
        assert found.pooled == replace(expected.pooled, min_tdcf=None)
        assert found.by["attack"] == expected.by["attack"]
        counted = {codec: (of_it.bonafide, of_it.spoof) for codec, of_it in found.by["codec"].items()}
        labels = [(n % 3 > 0, one.label) for n, one in enumerate(utterances)]
        for codec, is_opus in (("gsm", False), ("opus", True)):
            assert counted[codec] == (labels.count((is_opus, 1)), labels.count((is_opus, 0)))


def test_min_tdcf_of_2021_comes_with_its_own_scores_of_speaker_verification(
    place: Path, evaluated: Path, tmp_path: Path
) -> None:
    """The eval split as ASVspoof 2021 has it: equal numbers, but for the cost, which has the form of 2021."""
    utterances = corpora.read("asvspoof2019-la", place / "corpus", cache=place / "cache", splits=("eval",)).splits[
        "eval"
    ]
    audio, keys = tmp_path / "ASVspoof2021_LA_eval" / "flac", tmp_path / "keys" / "LA" / "CM"
    for folder in (audio, keys):
        folder.mkdir(parents=True)
    lines = []
    for one in utterances:
        shutil.copy(one.path, audio)
        attack, key = (one.attack, "spoof") if one.attack != "-" else ("bonafide", "bonafide")
        lines.append(f"{one.speaker} {one.name} alaw ita_tx {attack} {key} notrim eval")
    (keys / "trial_metadata.txt").write_text("\n".join(lines))
    verifications = [line.split() for line in asv_score_files.SCORES_2019]
    asv = read_asv_scores(
        asv_score_files.write_2021(
            tmp_path,
            [f"S F_{number} {score}" for number, (_, _, score) in enumerate(verifications)],
            [f"S F_{n} alaw ita_tx {source} {key} notrim eval" for n, (source, key, _) in enumerate(verifications)],
        )
    )
    given = ["--corpus", "asvspoof2021-la", "--corpus-root", str(tmp_path), "--cache", str(place / "cache")]
    target = tmp_path / "out"
    command = [str(place / "front" / "detectors" / "0"), *given, "--by", "codec", "--to", str(target), "--scores"]
    assert evaluate.main(command) == 0
    [found], expected = evaluations.read(target).detectors, evaluations.read(evaluated).detectors[0]
    [scores] = (target / "scores").iterdir()
    by_key = {key: [line[3] for line in lines_of(scores) if line[2] == key] for key in ("bonafide", "spoof")}
    cost = min_tdcf(by_key["bonafide"], by_key["spoof"], asv)
    assert found.pooled.min_tdcf == pytest.approx(cost, abs=1e-12)
    assert replace(found.pooled, min_tdcf=expected.pooled.min_tdcf) == expected.pooled
    assert found.by["codec"]["alaw"] == replace(found.pooled, min_tdcf=None)


def test_scores_of_speaker_verification_that_are_of_no_use_are_told_before_any_scoring(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = Path(shutil.copytree(place / "corpus", tmp_path / "corpus"))
    path = asv_score_files.write_2019(copied)
    path.write_text("bonafide target 1\nbonafide nontarget 0\nA07 spoof -1\n")
    assert evaluate.main([str(place / "front"), *corpus_of(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert str(path) in shown.err
    assert "spoofs accepted 0" in shown.err
    assert "scoring eval" not in shown.out


def test_a_condition_that_there_is_not_is_told_before_any_scoring(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(place / "front"), *corpus_of(place), "--to", str(tmp_path / "out")]
    assert evaluate.main([*command, "--by", "attack,codec"]) == 1
    shown = capsys.readouterr()
    assert "attack, speaker; got codec: correct it" in shown.err
    assert "scoring eval" not in shown.out
    assert not (tmp_path / "out").exists()


def test_a_wrong_command_line_costs_nothing(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def untouched(*given: object, **named: object) -> None:
        raise AssertionError("the corpus was read")

    monkeypatch.setattr(CorpusSettings, "read_corpus", untouched)
    (tmp_path / "thesis.txt").write_text("precious")
    front, corpus = str(place / "front"), corpus_of(place)
    for given, said in (
        ([str(place / "runs" / "one"), *corpus], "is a run: export it by python -m search.export"),
        ([front], "--corpus must name what detectors are evaluated on"),
        ([front, "--corpus", "asvspoof2019-la"], "add --corpus-root PATH"),
        ([front, *corpus, "--subset", "eval"], "takes no --subset"),
        ([front, *corpus, "--to", str(tmp_path)], "an evaluation replaces only an earlier one"),
        ([front, *corpus, "--scores"], "add --to DIR"),
        ([front, *corpus, "--scores", str(tmp_path / "thesis.txt")], "must be a new or empty folder"),
    ):
        assert evaluate.main(given) == 2, given
        assert said in capsys.readouterr().err
    for given, said in (
        ([*corpus], "DETECTOR"),
        ([front, *corpus, "--split", "test"], "must be one of train, dev, eval"),
        ([front, *corpus, "--by", "attack,,codec"], "names with commas between them"),
        ([front, *corpus, "--scores-format", "2020"], "must be one of 2019, 2021, 5"),
    ):
        with pytest.raises(SystemExit, match="2"):
            evaluate.main(given)
        assert said in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_what_is_wrong_with_the_corpus_is_told_and_an_interrupt_leaves_nothing(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = Path(shutil.copytree(place / "corpus", tmp_path / "corpus"))
    damaged = sorted(copied.rglob("LA_E_*.flac"))[:2]
    for file in damaged:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    target = tmp_path / "out"
    given = [str(place / "front"), *corpus_of(tmp_path), "--to", str(target)]
    assert evaluate.main(given) == 1
    error = capsys.readouterr().err
    assert all(str(file.name) in error for file in damaged)
    monkeypatch.setattr("search.evaluate.evaluate", interrupted)
    assert evaluate.main(given) == 130
    assert "interrupted; nothing was written" in capsys.readouterr().err
    assert not target.exists()


def interrupted(*given: object) -> None:
    raise KeyboardInterrupt
