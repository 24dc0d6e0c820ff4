"""Faults of a corpus: all are raised at once, and `skip_bad_files` skips bad files only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from trainables.corpora.corpus import CorpusError, Utterance
from trainables.corpora.listing import Listing


def listing_of(root: Path, good: int, bad: int, *, bad_label: int = 0) -> Listing:
    """A listing with `good` train utterances of both classes, `bad` ones without a file, and a minimal dev split."""
    soundfile.write(root / "good.wav", np.zeros(100), 16000)
    listing = Listing("test", root)
    for number in range(good):
        label = number % 2
        listing.add("train", Utterance(f"g{number}", root / "good.wav", label, "s", "-A"[1 - label]), root / "list", 1)
    for number in range(bad):
        one = Utterance(f"b{number}", root / f"b{number}.wav", bad_label, "s", "A")
        listing.add("train", one, root / "list", number + 1)
    listing.add("dev", Utterance("d0", root / "good.wav", 0, "s", "A"), root / "list", 90)
    listing.add("dev", Utterance("d1", root / "good.wav", 1, "s", "-"), root / "list", 91)
    return listing


REQUIRED = ("train", "dev")


@pytest.mark.parametrize(("good", "bad"), [(196, 2), (98, 0), (97, 1)])
def test_up_to_one_percent_is_skipped_and_listed(tmp_path: Path, good: int, bad: int) -> None:
    corpus = listing_of(tmp_path, good, bad).corpus(required=REQUIRED, skip_bad_files=True)
    assert len(corpus.splits["train"]) == good
    assert corpus.skipped == tuple(f"list:{number + 1}: b{number}.wav is missing" for number in range(bad))


@pytest.mark.parametrize(("good", "bad"), [(195, 3), (96, 1), (4, 4)])
def test_more_than_one_percent_is_refused(tmp_path: Path, good: int, bad: int) -> None:
    with pytest.raises(
        CorpusError, match=rf"{bad} of {good + bad + 2} utterances .* at most 1% may be skipped"
    ) as info:
        listing_of(tmp_path, good, bad).corpus(required=REQUIRED, skip_bad_files=True)
    assert len(info.value.faults) == bad


def test_nothing_is_skipped_by_default(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="skip_bad_files would leave these utterances out") as info:
        listing_of(tmp_path, 300, 1).corpus(required=REQUIRED)
    assert info.value.faults == ("list:1: b0.wav is missing",)


def test_no_other_fault_is_skipped(tmp_path: Path) -> None:
    listing = listing_of(tmp_path, 300, 1)
    listing.fault(tmp_path / "list", "odd", 7)
    with pytest.raises(CorpusError) as info:
        listing.corpus(required=REQUIRED, skip_bad_files=True)
    assert info.value.faults == ("list:7: odd",)


def test_skipping_must_leave_both_classes(tmp_path: Path) -> None:
    listing = listing_of(tmp_path, 300, 0)
    for name, label in (("e0", 0), ("e1", 1)):
        file = "good.wav" if label else "gone.wav"
        listing.add("eval", Utterance(name, tmp_path / file, label, "s", "-A"[1 - label]), tmp_path / "list", 5)
    with pytest.raises(CorpusError, match="eval: a split needs both classes; it has no spoof utterance"):
        listing.corpus(required=REQUIRED, skip_bad_files=True)


def test_an_utterance_may_be_listed_once_in_all_splits(tmp_path: Path) -> None:
    listing = listing_of(tmp_path, 4, 0)
    listing.add("dev", Utterance("g0", tmp_path / "good.wav", 0, "s", "A"), tmp_path / "other", 3)
    with pytest.raises(CorpusError) as info:
        listing.corpus(required=REQUIRED)
    assert info.value.faults == ("other:3: duplicate utterance g0, first in list:1",)


def test_empty_splits_are_faults_only_where_required(tmp_path: Path) -> None:
    assert listing_of(tmp_path, 4, 0).corpus(required=REQUIRED).splits["eval"] == ()
    with pytest.raises(CorpusError) as info:
        listing_of(tmp_path, 4, 0).corpus()
    assert info.value.faults == ("eval: a split needs both classes; it has no bona fide and no spoof utterance",)


def test_files_of_a_missing_folder_are_one_fault(tmp_path: Path) -> None:
    listing = listing_of(tmp_path, 4, 0)
    assert listing.check_folder(tmp_path)
    assert not listing.check_folder(tmp_path / "lost")
    for number in range(3):
        listing.add("train", Utterance(f"l{number}", tmp_path / "lost" / "x", 1, "s", "-"), tmp_path / "list", number)
    with pytest.raises(CorpusError) as info:
        listing.corpus(required=REQUIRED)
    assert info.value.faults == ("lost: no such folder",)


def test_progress_has_the_number_of_checked_files(tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    listing_of(tmp_path, 150, 0).corpus(required=REQUIRED, progress=lambda *call: calls.append(call))
    assert [done for _, done, _ in calls] == [64, 128, 152]
    assert {(task, total) for task, _, total in calls} == {("checking audio files", 152)}
