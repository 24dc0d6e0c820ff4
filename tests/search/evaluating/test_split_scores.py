from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from detectors import saved_detector
from search.evaluating import scores
from search.evaluating.detectors import find_detectors
from search.evaluating.scores import score_split
from search.scoring.scored import Scored, WindowScore
from search.scoring.scorer import Scorer
from search.scoring.together import score_files
from trainables.corpora.corpus import Corpus, CorpusError, Utterance
from trainables.errors import DropinError

RATE = 16_000
NO_AUDIO = b"no audio"


def corpus_of(folder: Path, files: int, bad: Sequence[int] = (), skipped: tuple[str, ...] = ()) -> Corpus:
    """Noise, every second file bona fide; the files of the numbers `bad` are no audio, and of many only they exist."""
    folder.mkdir(exist_ok=True)
    utterances = []
    for number in range(files):
        path = folder / f"{number}.wav"
        if number in bad:
            path.write_bytes(NO_AUDIO)
        elif files < 10:
            soundfile.write(path, 0.1 * np.random.default_rng(number).standard_normal(800), RATE)
        utterances.append(Utterance(str(number), path, number % 2, "-", "-" if number % 2 else "A01"))
    return Corpus("some", folder, {"train": (), "dev": (), "eval": tuple(utterances)}, skipped)


DETECTORS: list[Any] = [None, None]
"""Two of them, whose scores are `pretended`."""


@pytest.fixture(scope="module")
def scorers(tmp_path_factory: pytest.TempPathFactory) -> list[Scorer]:
    return [one.scorer for one in find_detectors([saved_detector(tmp_path_factory.mktemp("one") / "detector")])]


def pretended(monkeypatch: pytest.MonkeyPatch, *given: Sequence[float | None]) -> None:
    """Each detector gives these scores, and none where there is no signal."""

    def scored(_: object, files: Sequence[Path], *, workers: object) -> Iterator[list[Scored]]:
        for place, file in enumerate(files):
            found = [row[place] for row in given]
            unreadable = file.is_file() and file.read_bytes() == NO_AUDIO
            heard = () if unreadable else (WindowScore(0.0, 4.0, math.nan),)
            error = f"{file} {'cannot be read' if unreadable else 'has no signal'}"
            yield [Scored(str(file), one, None if one is not None else error, heard) for one in found]

    monkeypatch.setattr(scores, "score_together", scored)


def test_a_score_is_that_which_the_detector_gives_the_file(tmp_path: Path, scorers: list[Scorer]) -> None:
    corpus, told = corpus_of(tmp_path / "audio", 6), list[tuple[int, int]]()
    found = score_split(corpus, "eval", scorers, progress=lambda what, done, total: told.append((done, total)))
    expected = [one.score for one in score_files(scorers[0], [str(one.path) for one in corpus.splits["eval"]])]
    assert found.scores.shape == (1, 6)
    assert found.scores[0] == pytest.approx(expected, abs=1e-5)
    assert len(set(found.scores[0])) == 6
    assert found.labels.tolist() == [0, 1] * 3
    assert (told[0], told[-1]) == ((0, 6), (6, 6))


def test_files_that_cannot_be_read_are_told_all_at_once(tmp_path: Path, scorers: list[Scorer]) -> None:
    corpus = corpus_of(tmp_path / "audio", 8, bad=(2, 5))
    with pytest.raises(CorpusError, match="--skip-bad-files") as raised:
        score_split(corpus, "eval", scorers)
    assert [str(tmp_path / "audio" / f"{number}.wav") in fault for number, fault in
            zip((2, 5), raised.value.faults, strict=True)] == [True, True]  # fmt: skip
    with pytest.raises(CorpusError, match=r"2 of 8 .* more than 1%"):
        score_split(corpus, "eval", scorers, skip_bad_files=True)


def test_a_few_files_that_cannot_be_read_may_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = corpus_of(tmp_path / "audio", 200, bad=(7,))
    given = [None if number == 7 else float(number) for number in range(200)]
    pretended(monkeypatch, given, given)
    found = score_split(corpus, "eval", DETECTORS, skip_bad_files=True)
    assert found.scores.shape == (2, 199)
    assert [one.name for one in found.utterances] == [str(number) for number in range(200) if number != 7]
    assert found.scores[1].tolist() == [float(one.name) for one in found.utterances]
    assert found.labels.tolist() == [one.label for one in found.utterances]
    assert (len(found.unreadable), found.without_score) == (1, ())
    # Those that were left out when the corpus was read count as well.
    before = corpus_of(tmp_path / "audio", 200, bad=(7,), skipped=("one", "two"))
    with pytest.raises(CorpusError, match="more than 1%"):
        score_split(before, "eval", DETECTORS, skip_bad_files=True)


def test_what_has_no_score_is_counted_by_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = corpus_of(tmp_path / "audio", 6)
    pretended(monkeypatch, [0.0, None, 2.0, None, None, 5.0], [0.0, None, 2.0, 3.0, 4.0, 5.0])
    found = score_split(corpus, "eval", DETECTORS)
    assert [found.missing(number) for number in (0, 1)] == [{"bonafide": 2, "spoof": 1}, {"bonafide": 1, "spoof": 0}]
    assert len(found.utterances) == 6
    assert [line.endswith("has no signal") for line in found.without_score] == [True] * 3
    pretended(monkeypatch, [0.0, None, 2.0, None, 4.0, None], [0.0] * 6)
    with pytest.raises(DropinError, match="of what has a score, has 0 and 3"):
        score_split(corpus, "eval", DETECTORS)


def test_silence_has_no_score_and_is_no_file_that_cannot_be_read(tmp_path: Path, scorers: list[Scorer]) -> None:
    corpus = corpus_of(tmp_path / "audio", 6)
    for number in (1, 4):
        soundfile.write(tmp_path / "audio" / f"{number}.wav", np.zeros(800), RATE)
    found = score_split(corpus, "eval", scorers)
    assert np.isnan(found.scores[0]).tolist() == [False, True, False, False, True, False]
    assert found.missing(0) == {"bonafide": 1, "spoof": 1}
    assert (len(found.without_score), found.unreadable) == (2, ())
    assert all("no signal" in line for line in found.without_score)


def test_what_is_unusual_about_a_file_is_told(tmp_path: Path, scorers: list[Scorer]) -> None:
    corpus = corpus_of(tmp_path / "audio", 4)
    path = tmp_path / "audio" / "2.wav"
    channel = 0.1 * np.random.default_rng(0).standard_normal(800)
    soundfile.write(path, np.stack([channel, -channel], axis=1), RATE)
    found = score_split(corpus, "eval", scorers)
    assert not np.isnan(found.scores).any()
    assert len(found.notes) == 1
    assert found.notes[0].startswith(f"{path}: ")


def test_a_split_needs_both_classes(tmp_path: Path) -> None:
    with pytest.raises(DropinError, match="eval of corpus some has 0 and 1: choose another split or corpus"):
        score_split(corpus_of(tmp_path / "audio", 1), "eval", DETECTORS)
    with pytest.raises(DropinError, match="dev of corpus some has 0 and 0"):
        score_split(corpus_of(tmp_path / "audio", 1), "dev", DETECTORS)
