"""Faults of a corpus: all are raised at once, and `skip_bad_files` skips bad files only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from trainables.corpora.corpus import CorpusError, Utterance
from trainables.corpora.reading.listing import Listing
from trainables.corpora.tally import Tally


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
    with pytest.raises(CorpusError, match="--skip-bad-files would leave these utterances out") as info:
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


def test_many_faults_of_a_kind_are_one_line(tmp_path: Path) -> None:
    listing = listing_of(tmp_path, 4, 7)
    for number in range(300):
        listing.fault(tmp_path / "list", f"key must be a or b; got {number}", number + 1)
    for number in range(5):
        listing.fault(tmp_path / "other", f"key must be a or b; got {number}", number + 1)
    with pytest.raises(CorpusError) as info:
        listing.corpus(required=REQUIRED)
    assert info.value.faults == (
        "list:1: key must be a or b; got 0 (and 299 more lines like it)",
        *(f"other:{number + 1}: key must be a or b; got {number}" for number in range(5)),
        "list:1: b0.wav is missing (and 6 more lines like it)",
    )


def test_counts_and_a_line_for_each_split(tmp_path: Path) -> None:
    listing = listing_of(tmp_path, 300, 2)
    (tmp_path / "b1.wav").touch()
    corpus = listing.corpus(required=REQUIRED, skip_bad_files=True)
    assert corpus.counts == {
        "train": {"bona fide": Tally(150), "spoof": Tally(150, {"is missing": 1, "is empty": 1})},
        "dev": {"bona fide": Tally(1), "spoof": Tally(1)},
    }
    assert corpus.notes == (
        "train: bona fide 150 found, 150 read; spoof 152 found, 150 read, 2 left out (1 is missing; 1 is empty)",
        "dev: bona fide 1 found, 1 read; spoof 1 found, 1 read",
    )


@pytest.mark.parametrize(("spoofs", "fault"), [(0, False), (1, False), (2, True), (100, True)])
def test_a_class_must_not_lose_more_files_than_the_other(tmp_path: Path, spoofs: int, fault: bool) -> None:
    def listing() -> Listing:
        made = listing_of(tmp_path, 198, 0)
        for _ in range(spoofs):
            made.leave_out("train", 0, ".m4a")
        return made

    corpus = listing().corpus(required=REQUIRED, skip_bad_files=True)
    assert corpus.counts["train"]["spoof"].found == 99 + spoofs
    if not fault:
        assert listing().corpus(required=REQUIRED).counts == corpus.counts
        return
    with pytest.raises(CorpusError) as info:
        listing().corpus(required=REQUIRED)
    (found,) = info.value.faults
    assert found.startswith("train: the classes must lose the same share of their files, within 1%; 0.0% of bona fide")
    assert found.endswith(
        "are left out: convert these files, to FLAC for example, or go on without them by --skip-bad-files"
    )


def test_classes_that_lose_the_same_share_are_no_fault(tmp_path: Path) -> None:
    listing = listing_of(tmp_path, 4, 0)
    for label in (0, 1):
        listing.leave_out("train", label, ".m4a")
    assert listing.corpus(required=REQUIRED).counts["train"]["bona fide"] == Tally(2, {".m4a": 1})


def test_conditions_are_text_as_well(tmp_path: Path) -> None:
    listing = listing_of(tmp_path, 4, 0)
    one = Utterance("x", tmp_path / "good.wav", 1, "s", "-", {"codec": "a\x1bb", "language": "en"})
    listing.add("train", one, tmp_path / "list", 9)
    with pytest.raises(CorpusError) as info:
        listing.corpus(required=REQUIRED)
    assert info.value.faults == ("list:9: codec must be text without control characters; got 'a\\x1bb'",)


def test_files_with_a_header_that_does_not_fit_are_read_and_noted_once(tmp_path: Path) -> None:
    listing = Listing("some", tmp_path)
    for number in range(4):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, np.ones(100) / 2, 16000)
        if number:
            content = bytearray(path.read_bytes())
            content[40:44] = bytes(4)
            path.write_bytes(content)
        listing.add("eval", Utterance(str(number), path, number % 2, "-", "-" if number % 2 else "A"), path)
    corpus = listing.corpus(required=["eval"])
    assert len(corpus.splits["eval"]) == 4
    claims = "its header claims 0 bytes of samples, and it has 200; all of these are read"
    assert corpus.notes[0] == f"1.wav: {claims} (files with a header that does not fit: 3)"
    assert len(corpus.notes) == 2
