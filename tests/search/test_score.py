from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from torch import Tensor

import recordings
from detectors import architecture, saved_detector
from recordings import LENGTHS, RATE, answer, files
from search.score import main
from search.scoring.scorer import Scorer
from search.scoring.together import score_files
from search.scoring.windowing import Windowing
from trainables import features
from trainables.corpora.corpus import Corpus, Utterance
from trainables.features import store
from trainables.features.split import Split
from trainables.models.chain import Chain
from trainables.storage.checkpoint import Detector, load_detector
from trainables.trial.training import scores


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file for each of `LENGTHS`."""
    return recordings.make(tmp_path_factory.mktemp("audio"))


class WindowExtractor(Chain):
    """Keeps what it is fed; its logits are the features' mean and its opposite."""

    def forward(self, x: Tensor) -> Tensor:
        self.given = x
        mean = x.mean(dim=tuple(range(1, x.ndim)))
        return torch.stack([-mean, mean], dim=1)


def in_the_store(audio: Path, front_end: str, cache: Path) -> Split:
    """The files as a dev split."""
    paths = sorted(audio.iterdir())
    utterances = tuple(Utterance(path.stem, path, number % 2, "-", "-") for number, path in enumerate(paths))
    corpus = Corpus("some", audio, {"train": (), "dev": utterances, "eval": ()})
    return store.open_split(store.build(corpus, front_end, cache, splits=("dev",)), "dev")


@pytest.mark.parametrize("front_end", features.NAMES)
def test_a_detector_is_fed_what_the_feature_store_holds(front_end: str, audio: Path, tmp_path: Path) -> None:
    extractor = WindowExtractor()
    card = {"front_end": front_end, "seconds": 4.0, "threshold": 0.0}
    scorer = Scorer(Detector(architecture("resnet18"), extractor, card), Windowing("first"))
    found = [one.score for one in score_files(scorer, files(audio), workers=1)]
    expected = in_the_store(audio, front_end, tmp_path).batch(range(len(found)))
    np.testing.assert_array_equal(extractor.given, expected)
    assert found == pytest.approx([2 * row.mean() for row in expected], abs=1e-6)


def test_files_score_as_they_do_in_the_feature_store(audio: Path, tmp_path: Path) -> None:
    loaded = load_detector(saved_detector(tmp_path / "detector"))
    expected = scores(loaded.module, in_the_store(audio, "log_mel", tmp_path))
    assert len(set(expected)) == len(LENGTHS)
    found = [one.score for one in score_files(Scorer(loaded, Windowing("first")), files(audio))]
    assert found == pytest.approx(expected.tolist(), rel=0, abs=1e-5)


def test_of_first_windows_only_the_first_seconds_count_and_short_files_repeat(
    audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long, _ = soundfile.read(audio / "long.flac", dtype="int16")
    short, _ = soundfile.read(audio / "short.flac", dtype="int16")
    soundfile.write(tmp_path / "cut.wav", long[: 4 * RATE], RATE, subtype="PCM_16")
    soundfile.write(tmp_path / "four times.wav", np.tile(short, 4), RATE, subtype="PCM_16")
    stereo = np.stack([long, long], axis=1)
    soundfile.write(tmp_path / "stereo.wav", stereo, RATE, subtype="PCM_16")
    pairs = [("long.flac", "cut.wav"), ("short.flac", "four times.wav"), ("long.flac", "stereo.wav")]
    named = [str(folder / name) for pair in pairs for folder, name in zip((audio, tmp_path), pair, strict=True)]
    place = str(saved_detector(tmp_path / "detector"))
    found = [one["score"] for one in answer(capsys, place, *named, "--windows", "first")]
    assert found[0::2] == pytest.approx(found[1::2], abs=1e-5)
    assert found[0] != pytest.approx(found[2], abs=1e-3)
    whole = [one["score"] for one in answer(capsys, place, *named)]
    assert whole[0] != pytest.approx(whole[1], abs=1e-3)
    assert whole[1:4] == pytest.approx(found[1:4], abs=1e-5)


def test_a_score_at_the_threshold_is_bona_fide(audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, str(saved_detector(tmp_path / "first")), *files(audio))
    middle = sorted(one["score"] for one in found)[2]
    again = answer(capsys, str(saved_detector(tmp_path / "second", threshold=middle)), *files(audio))
    for one in again:
        assert one["threshold"] == middle
        assert one["verdict"] == ("bona fide" if one["score"] >= middle else "spoof")
    assert sorted(one["verdict"] for one in again) == ["bona fide"] * 2 + ["spoof"] * 2


def test_wrong_files_are_reported_and_the_rest_goes_on(
    audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.wav").write_text("not audio")
    (tmp_path / "empty.flac").touch()
    soundfile.write(tmp_path / "nothing.wav", np.zeros(0), RATE)
    soundfile.write(tmp_path / "silent.wav", np.zeros(5 * RATE), RATE)
    soundfile.write(tmp_path / "nan.wav", np.full(RATE, np.nan), RATE, subtype="FLOAT")
    names = ("text.wav", "empty.flac", "nothing.wav", "silent.wav", "nan.wav", "missing.flac", "x" * 300, "\udcff.wav")
    wrong = [str(tmp_path / name) for name in names]
    named = [*wrong[:2], str(audio / "exact.flac"), *wrong[2:], str(audio / "other.flac")]
    place = str(saved_detector(tmp_path / "detector"))
    found = answer(capsys, place, *named)
    assert [one["file"] for one in found] == named
    assert [one["file"] for one in found if "error" in one] == wrong
    assert all(one["file"] in one["error"] for one in found if "error" in one)
    assert [one["file"] for one in found if "score" in one] == [str(audio / "exact.flac"), str(audio / "other.flac")]

    assert main([place, *named]) == 1
    shown = capsys.readouterr()
    assert shown.err.count("\n") == len(wrong) + 1
    assert shown.err.endswith("8 of 10 could not be scored\n")
    assert [line.split()[-1] for line in shown.out.splitlines() if ".flac" in line] == [
        one["file"] for one in found if "score" in one
    ]
    assert main([place, str(audio / "exact.flac")]) == 0
    assert capsys.readouterr().err == ""
    assert main([place, wrong[0]]) == 1
    assert capsys.readouterr().out == ""


def test_file_names_are_shown_as_they_are(audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = str(tmp_path / "[red]what :smile: a name.flac")
    Path(name).write_bytes((audio / "exact.flac").read_bytes())
    assert main([str(saved_detector(tmp_path / "detector")), name]) == 0
    assert name in capsys.readouterr().out


def test_simulated_speech_is_told(audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = saved_detector(tmp_path / "detector", corpus={"name": "synthetic", "note": "simulated speech"})
    assert {one["note"] for one in answer(capsys, str(place), *files(audio))} == {"simulated speech"}
    assert main([str(place), *files(audio)]) == 0
    assert "trained on simulated speech" in capsys.readouterr().out


def test_a_detector_may_be_in_a_storage(audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = saved_detector(tmp_path / "detector")
    there = answer(capsys, place.as_uri(), *files(audio))
    assert there == answer(capsys, str(place), *files(audio))
    assert main([(tmp_path / "nothing").as_uri(), *files(audio)]) == 2
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"threshold": None}, "must say threshold, seconds and front_end: KeyError('threshold')"),
        ({"front_end": "sonar"}, "front end must be one of"),
        ({"seconds": 0.0}, "segment must last"),
        ({"calibration": {"slope": 0.0, "intercept": 0.0}}, "a finite slope above 0 and a finite intercept; got 0.0"),
        ({"calibration": {"slope": 1.0}}, "must have slope and intercept: KeyError('intercept')"),
        ({"calibration": {"slope": float("nan"), "intercept": 0.0}}, "a finite slope above 0"),
        ({"calibration": 2.0}, "the calibration of a detector's card must have slope and intercept"),
    ],
)
def test_a_card_that_does_not_say_how_is_refused(
    changed: Mapping[str, Any], message: str, audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(saved_detector(tmp_path / "detector", **changed)), *files(audio)]) == 2
    assert message in capsys.readouterr().err


def test_a_damaged_detector_is_refused(audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = saved_detector(tmp_path / "detector")
    weights = place / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert main([str(place), *files(audio)]) == 2
    assert "is damaged" in capsys.readouterr().err
    assert main([str(tmp_path / "nothing"), *files(audio)]) == 2
    assert "nothing" in capsys.readouterr().err


def test_a_folder_that_may_not_be_entered_is_no_traceback(
    audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Root may enter all: what another user is told is pretended."""
    place, real = str(saved_detector(tmp_path / "detector")), os.stat

    def stat(path: Any, *given: Any, **named: Any) -> os.stat_result:
        if "closed" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *given, **named)

    monkeypatch.setattr("os.stat", stat)
    assert main([place, "/closed/one.wav"]) == 1
    assert "/closed/one.wav cannot be read (Permission denied)" in capsys.readouterr().err
    assert main(["/closed/detector", str(audio / "exact.flac")]) == 2
    assert "/closed/detector" in capsys.readouterr().err


def test_a_front_is_told_with_its_detectors(tmp_path: Path, audio: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (10, 2):
        saved_detector(tmp_path / "front" / "detectors" / str(number))
    for place in (tmp_path / "front", tmp_path / "front" / "detectors"):
        assert main([str(place), *files(audio)]) == 2
        said = capsys.readouterr().err
        assert f"{place} holds several" in said
        assert said.index("detectors/2,") < said.index("detectors/10")


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_scores_are_written_as_they_are_shown(
    suffix: str, audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, odd = str(saved_detector(tmp_path / "detector")), f"{tmp_path}/\udcff.flac"
    Path(odd).write_bytes((audio / "exact.flac").read_bytes())
    named = [*files(audio), odd, str(tmp_path / "missing")]
    shown = answer(capsys, place, *named)
    assert main([place, *named, "--to", str(tmp_path / "new" / f"scores.{suffix}")]) == 1
    assert capsys.readouterr().out.splitlines()[0].startswith("5 scores in ")
    path = tmp_path / "new" / f"scores.{suffix}"
    if suffix == "jsonl":
        assert [json.loads(line) for line in path.read_text().splitlines()] == shown
        return
    rows = list(csv.DictReader(path.open())) if suffix == "csv" else pq.read_table(path).to_pylist()
    assert [row["file"] for row in rows] == [one["file"].replace("\udcff", "\\xff") for one in shown]
    assert [float(row["score"]) for row in rows[:5]] == [one["score"] for one in shown[:5]]
    assert [row["error"] or None for row in rows] == [one.get("error") for one in shown]
    assert main([place, *named, "--to", str(tmp_path / "scores.txt")]) == 2
    assert "--to must end in .jsonl, .csv, .parquet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--hop", "0"], "hop must be at least"),
        (["--hop", "5"], "hop must be at most"),
        (["--hop", "inf"], "hop must be at least"),
    ],
)
def test_impossible_hops_are_refused(
    options: list[str], said: str, audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(saved_detector(tmp_path / "detector")), *files(audio), *options]) == 2
    assert said in capsys.readouterr().err


def test_scores_go_where_standard_output_does_though_a_bar_is_on_the_terminal(
    audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    place = str(saved_detector(tmp_path / "detector"))
    assert main([place, *files(audio), "--json"]) == 0
    shown = capsys.readouterr()
    assert [json.loads(line)["file"] for line in shown.out.splitlines()] == files(audio)
    assert "scoring" in shown.err
