"""Several detectors at once: what each gives alone, in order, in this process and in others."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from detectors import architecture, trained_like
from search.scoring import together, window_extraction, workers
from search.scoring.scored import Scored
from search.scoring.scorer import Scorer
from search.scoring.together import score_files, score_together, score_waveform
from search.scoring.window_extraction import Source
from search.scoring.windowing import Windowing
from trainables.audio import decoding, reading
from trainables.errors import DropinError
from trainables.features.windows import Extraction
from trainables.storage.checkpoint import Detector

RATE = 16_000
FRONT_ENDS = {"resnet18": "log_mel", "grnn": "lfcc"}


def scorer(model: str = "resnet18", windowing: Windowing | None = None, seed: int = 0, **card: Any) -> Scorer:
    arch = architecture(model)
    facts = {"front_end": FRONT_ENDS[model], "seconds": 1.0, "threshold": 0.0, **card}
    return Scorer(Detector(arch, trained_like(arch, seed), facts), windowing)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Recordings of 0.5 to 4 seconds, and one that is none."""
    folder = tmp_path_factory.mktemp("files")
    paths = [folder / f"{number}.wav" for number in range(9)]
    for number, path in enumerate(paths):
        soundfile.write(path, noise(0.5 * (1 + number), number), RATE, subtype="PCM_16")
    paths[4].write_text("no audio")
    return [str(path) for path in paths]


def near(found: list[Scored], expected: list[Scored]) -> None:
    assert [(one.file, one.error, one.notes) for one in found] == [(one.file, one.error, one.notes) for one in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(
            [list(window) for window in one.windows], [list(window) for window in other.windows], atol=1e-5
        )
        assert one.score == pytest.approx(other.score, abs=1e-5)


# Closed form


def test_the_score_of_a_recording_is_pooled_from_its_calibrated_windows(tmp_path: Path) -> None:
    waveform = noise(2.2)
    soundfile.write(tmp_path / "one.wav", waveform, RATE, subtype="FLOAT")
    plain = scorer()
    rows = Extraction("log_mel", RATE, RATE).rows
    starts = (0, 8000, 16_000, 19_200)
    odds = plain.log_odds(np.concatenate([rows(waveform[start : start + RATE], RATE) for start in starts]))
    calibration = {"slope": 2.0, "intercept": -3.0, "prior": 0.5}
    for windowing, pooled in ((Windowing(), np.mean), (Windowing(pooling="max_spoof"), np.min)):
        [one] = score_files(scorer(windowing=windowing), [tmp_path / "one.wav"])
        assert one.score == pytest.approx(pooled(odds), abs=1e-5)
        assert [(window.start, window.end) for window in one.windows] == [(s / RATE, s / RATE + 1) for s in starts]
        [one] = score_files(scorer(windowing=windowing, calibration=calibration), [tmp_path / "one.wav"])
        assert one.score == pytest.approx(pooled(2 * odds - 3), abs=1e-5)
    [first] = score_files(scorer(windowing=Windowing("first")), [tmp_path / "one.wav"])
    assert first.score == pytest.approx(odds[0], abs=1e-5)


def test_windows_without_a_signal_have_no_score_and_recordings_of_them_no_verdict(tmp_path: Path) -> None:
    silence, speech = np.zeros(2 * RATE, np.float32), noise(1.0)
    for name, samples in {
        "before": np.concatenate([silence, speech]),
        "speech": speech,
        "silent": silence,
        "constant": np.full(RATE, 0.25, np.float32),
        "dither": np.random.default_rng(0).integers(-1, 2, RATE).astype(np.float32) / 2**15,
    }.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, RATE, subtype="FLOAT")
    names = [tmp_path / f"{name}.wav" for name in ("before", "speech", "silent", "constant", "dither")]
    found = list(score_files(scorer(windowing=Windowing(hop=1.0)), names))
    assert [math.isnan(window.score) for window in found[0].windows] == [True, True, False]
    assert found[0].score == pytest.approx(found[1].score, abs=1e-5)
    assert [one.score for one in found[2:]] == [None] * 3
    assert all(f"{one.file} has no signal" in str(one.error) for one in found[2:])
    found = list(score_files(scorer(windowing=Windowing("first")), names))
    assert [one.score is None for one in found] == [True, False, True, True, True]
    assert "its first 1 s have no signal" in str(found[0].error)
    with pytest.raises(DropinError, match="the waveform has no signal"):
        score_waveform(scorer(), silence, RATE)


def test_only_speech_counts_where_that_is_asked_for(tmp_path: Path) -> None:
    speech = [noise(0.5, 1), noise(1.0, 2)]
    waveform = np.concatenate([speech[0], 1e-4 * noise(3.0, 3), speech[1]])
    soundfile.write(tmp_path / "gap.wav", waveform, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "speech.wav", np.concatenate(speech), RATE, subtype="FLOAT")
    only = scorer(windowing=Windowing(speech_only=True))
    [gap] = score_files(only, [tmp_path / "gap.wav"])
    [plain] = score_files(scorer(), [tmp_path / "speech.wav"])
    assert gap.score == pytest.approx(plain.score, abs=1e-5)
    assert [(window.start, window.end) for window in gap.windows] == [(0.0, 4.0), (3.5, 4.5)]
    [first] = score_files(scorer(windowing=Windowing("first", speech_only=True)), [tmp_path / "gap.wav"])
    assert first.score == pytest.approx(gap.windows[0].score, abs=1e-5)
    assert score_waveform(only, waveform, RATE).score == pytest.approx(gap.score, abs=1e-5)


def test_a_file_is_decoded_once_and_transformed_once_per_front_end(
    files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []
    transformed: list[str] = []
    real, rows = reading.opened, Extraction.rows

    def counted(path: Path) -> Any:
        opened.append(path)
        return real(path)

    def counted_rows(self: Extraction, *given: Any) -> np.ndarray:
        transformed.append(self.front_end)
        return rows(self, *given)

    monkeypatch.setattr(reading, "opened", counted)
    monkeypatch.setattr(Extraction, "rows", counted_rows)
    all_three = [scorer("resnet18"), scorer("grnn"), scorer("resnet18", seed=1)]
    [results] = score_together(all_three, files[3:4], workers=1)
    assert [one.score is not None for one in results] == [True] * 3
    assert opened == [Path(files[3])]
    assert sorted(transformed) == ["lfcc"] * 3 + ["log_mel"] * 3


# Property


def test_together_is_each_alone_in_order(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "CHUNK_FILES", 4)
    monkeypatch.setattr(window_extraction, "PIECE_WINDOWS", 2)
    several = [
        scorer("resnet18"),
        scorer("grnn", Windowing(hop=0.3)),
        scorer("grnn", Windowing("first"), seed=3),
        scorer("resnet18", seed=1, calibration={"slope": 0.5, "intercept": 1.0, "prior": 0.5}),
    ]
    found = list(score_together(several, iter(files), workers=1))
    assert len(found) == len(files)
    for column, one in enumerate(several):
        near([row[column] for row in found], list(score_files(one, files, workers=1)))
    assert [row[0].error is None for row in found] == [number != 4 for number in range(9)]
    assert "4.wav" in str(found[4][0].error)


def test_processes_give_the_same_as_one(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "CHUNK_FILES", 2)
    several = [scorer("resnet18", seed=2), scorer("grnn")]
    expected = list(score_together(several, files, workers=1))
    begun: list[int] = []
    real = together.Pool.is_ready

    def is_ready(self: workers.Pool) -> bool:  # so that this process does not do all before the others are there
        begun.append(1)
        while not real(self):
            multiprocessing.connection.wait([self._receiver], 1)
        return True

    monkeypatch.setattr(together.Pool, "is_ready", is_ready)
    found = list(score_together(several, files, workers=2))
    assert begun
    for one, other in zip(found, expected, strict=True):
        near(one, other)
    assert not multiprocessing.active_children()


class SentHere(workers.Work):
    """Work of which the messages are kept."""

    def __init__(self, scorers: Sequence[Scorer]) -> None:
        self.specs = list(dict.fromkeys(one.spec for one in scorers))
        self.tasks = multiprocessing.get_context("spawn").Queue()
        self.tasks.put(())
        self._batch_scorer, self._extractor = None, None
        self.sent: list[Any] = []

    def _send(self, message: object) -> None:
        self.sent.append(message)


class NoProcesses:
    """A pool whose work is done in this process: as with a GPU, workers extract windows and the caller scores."""

    def __init__(self, scorers: Sequence[Scorer], processes: int) -> None:
        self._work = SentHere(scorers)
        self._sent = self._work.sent
        self._work.prepare()

    def __enter__(self) -> NoProcesses:
        return self

    def __exit__(self, *_: object) -> None:
        assert not self._sent

    def is_ready(self) -> bool:
        return isinstance(self._sent.pop(0), workers.Ready)

    def submit(self, number: int, chunk: list[Source]) -> None:
        self._work._carry_out(number, chunk)

    def receive(self) -> Any:
        return self._sent.pop(0)


def test_features_that_workers_send_are_scored_here(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "CHUNK_FILES", 2)
    monkeypatch.setattr(together, "Pool", NoProcesses)
    several = [scorer("resnet18"), scorer("grnn", Windowing("first"))]
    expected = list(score_together(several, files, workers=1))
    for one, other in zip(score_together(several, files, workers=2), expected, strict=True):
        near(one, other)


def test_names_are_taken_as_they_are_needed(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "CHUNK_FILES", 2)
    taken: list[str] = []

    def names() -> Iterator[str]:
        for name in files * 10:
            taken.append(name)
            yield name

    found = score_together([scorer()], names(), workers=1)
    next(found)
    assert len(taken) == 2
    found.close()  # type: ignore[attr-defined]


def test_long_files_are_chunks_of_their_own() -> None:
    sizes = [2**20] * 40 + [2**30] * 2 + [5]
    sources = [Source(str(number), Path(str(number)), size=size) for number, size in enumerate(sizes)]
    chunks = list(together._chunks(iter(sources)))
    assert [one for chunk in chunks for one in chunk] == sources
    assert [len(chunk) for chunk in chunks] == [8] * 5 + [1, 1, 1]
    small = [Source("a", Path("a"))] * 70
    assert [len(chunk) for chunk in together._chunks(iter(small))] == [32, 32, 6]


def test_long_recordings_come_in_small_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "long.wav", np.tile(noise(10.0), 6), RATE, subtype="PCM_16")
    monkeypatch.setattr(decoding, "AT_ONCE", 0)
    spec = scorer(windowing=Windowing(hop=0.25)).spec
    pieces = list(window_extraction.WindowExtractor([spec]).pieces(Source("long", tmp_path / "long.wav"), []))
    assert max(len(piece.rows) for piece in pieces) == window_extraction.PIECE_WINDOWS
    assert sum(len(piece.rows) for piece in pieces) == 4 * 59 + 1


# Bad input


def test_what_cannot_be_scored_together(files: list[str]) -> None:
    with pytest.raises(DropinError, match="scorers must be at least one"):
        score_together([], files)
    with pytest.raises(DropinError, match="workers must be at least 1; got 0"):
        score_together([scorer()], files, workers=0)


def test_a_score_that_is_not_finite_names_the_file_and_spares_others(files: list[str]) -> None:
    good, broken = scorer(), scorer(seed=1)
    with torch.no_grad():
        next(broken.detector.module.parameters()).fill_(float("nan"))
    [[one, other]] = score_together([good, broken], files[:1], workers=1)
    assert one.score is not None
    assert other.error == f"{files[0]}: its score is not finite; the detector cannot be used for it"


def test_a_name_that_is_no_text_is_heard(files: list[str], tmp_path: Path) -> None:
    odd = f"{tmp_path}/\udcff.wav"
    Path(odd).write_bytes(Path(files[0]).read_bytes())
    [one, plain] = score_files(scorer(), [odd, files[0]])
    assert one == replace(plain, file=odd)
