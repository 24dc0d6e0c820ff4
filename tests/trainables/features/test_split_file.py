"""The file of a split: round trip, memory-mapped views, and refusal of damaged files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from trainables.corpora.corpus import Utterance
from trainables.features.split import RECORD_BATCH_BYTES, Split, SplitWriter

WIDTH = RECORD_BATCH_BYTES // 4 // 3  # float32, so that three rows fill a record batch
SETTINGS: dict[str, Any] = {"front_end": "none", "shape": [1, WIDTH], "dtype": "float32"}


def utterance(number: int) -> Utterance:
    return Utterance(f"U{number}", Path(f"/U{number}.flac"), number % 2, f"S{number % 3}", "-" if number % 2 else "A02")


def value(number: int, window: int) -> float:
    return 100.0 * number + window


def write(path: Path, windows: Sequence[int], settings: dict[str, Any] = SETTINGS, skipped: Sequence[str] = ()) -> Path:
    """Utterance i gets ``windows[i]`` windows, each filled with its own `value`."""
    with SplitWriter(path, settings) as writer:
        for number, count in enumerate(windows):
            rows = np.array([value(number, window) for window in range(count)], settings["dtype"])
            shape = (count, *settings["shape"])
            writer.add(utterance(number), np.broadcast_to(rows.reshape(-1, *[1] * (len(shape) - 1)), shape))
        writer.finish(skipped)
    return path


# Closed forms


@pytest.mark.parametrize("windows", [[1], [1] * 3, [1] * 7, [1, 5, 1, 2], [9]])
def test_round_trip(tmp_path: Path, windows: list[int]) -> None:
    split = Split(write(tmp_path / "train.arrow", windows, skipped=["a.wav: is empty"]))
    numbers = range(len(windows))
    assert len(split) == len(windows)
    assert split.settings == SETTINGS
    assert split.shape == (1, WIDTH)
    assert split.skipped == ("a.wav: is empty",)
    assert split.labels.dtype == np.int64
    assert split.labels.tolist() == [number % 2 for number in numbers]
    assert split.names.tolist() == [f"U{number}" for number in numbers]
    assert split.speakers.tolist() == [f"S{number % 3}" for number in numbers]
    assert split.attacks.tolist() == [utterance(number).attack for number in numbers]
    batch = split.batch(numbers)
    assert batch.dtype == np.float32
    assert batch.shape == (len(windows), 1, WIDTH)
    assert (batch == np.array([value(number, 0) for number in numbers])[:, None, None]).all()


def test_attacks_select_by_comparison(tmp_path: Path) -> None:
    split = Split(write(tmp_path / "dev.arrow", [1] * 4))
    assert np.flatnonzero(split.attacks == "A02").tolist() == [0, 2]


def test_a_batch_is_in_the_order_asked_for_with_repetitions(tmp_path: Path) -> None:
    split = Split(write(tmp_path / "train.arrow", [2, 1, 3, 1, 1, 4]))
    batch = split.batch(np.array([5, 0, 3, 0, 2]))
    assert batch[:, 0, 0].tolist() == [500, 0, 300, 0, 200]


def test_a_generator_draws_every_window_and_no_other(tmp_path: Path) -> None:
    split = Split(write(tmp_path / "train.arrow", [3, 1, 5], {"shape": [1, 2], "dtype": "float32"}))
    rng = np.random.default_rng(0)
    drawn = np.concatenate([split.batch([0, 1, 2], rng)[:, 0, 0] for _ in range(60)])
    assert set(drawn) == {0, 1, 2, 100, 200, 201, 202, 203, 204}
    again = np.random.default_rng(3), np.random.default_rng(3)
    assert (split.batch([2, 0, 2], again[0]) == split.batch([2, 0, 2], again[1])).all()


def test_integers_are_standardised(tmp_path: Path) -> None:
    path = tmp_path / "dev.arrow"
    rows = np.arange(-50, 50, dtype=np.int16)[None]
    with SplitWriter(path, {"shape": [100], "dtype": "int16"}) as writer:
        writer.add(utterance(0), rows)
        writer.finish([])
    batch = Split(path).batch([0])
    assert batch.dtype == np.float32
    np.testing.assert_allclose(batch, (rows + 0.5) / rows.std(), rtol=1e-5)


def test_float16_is_converted_to_float32(tmp_path: Path) -> None:
    path = tmp_path / "dev.arrow"
    rows = np.array([[0.1, -65504, 6e-8, 0], [1, 2, 3, np.float16(1) / 3]], np.float16)
    with SplitWriter(path, {"shape": [2, 2], "dtype": "float16"}) as writer:
        for number, row in enumerate(rows):
            writer.add(utterance(number), row.reshape(1, 2, 2))
        writer.finish([])
    batch = Split(path).batch([1, 0])
    assert batch.dtype == np.float32
    assert (batch == rows[[1, 0]].astype(np.float32).reshape(2, 2, 2)).all()
    batch[:] = 0  # the caller's own


# No copies


def test_opening_copies_no_features(tmp_path: Path) -> None:
    path = write(tmp_path / "train.arrow", [1] * 7)
    before = pa.total_allocated_bytes()
    split = Split(path)
    assert pa.total_allocated_bytes() - before < 10_000
    assert [len(rows) for rows in split._rows] == [3, 3, 1]
    for rows in split._rows:
        assert not rows.flags.owndata
        assert not rows.flags.writeable


def test_a_batch_is_the_callers_own(tmp_path: Path) -> None:
    split = Split(write(tmp_path / "train.arrow", [1, 1]))
    split.batch([0, 1])[:] = -1
    assert split.batch([0, 1])[:, 0, 0].tolist() == [0, 100]
    with pytest.raises(ValueError, match="read-only"):
        split.labels[0] = 5


def test_a_mapped_split_outlives_the_name_of_its_file(tmp_path: Path) -> None:
    path = write(tmp_path / "train.arrow", [1] * 4)
    split = Split(path)
    write(tmp_path / "new.arrow", [1]).replace(path)
    assert split.batch([3])[0, 0, 0] == 300


# Bad input


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.9999])
def test_a_cut_off_file_is_refused(tmp_path: Path, share: float) -> None:
    whole = write(tmp_path / "whole.arrow", [1] * 7).read_bytes()
    path = tmp_path / "train.arrow"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"must be an intact feature file.*build the features again"):
        Split(path)


def test_a_file_whose_footer_is_overwritten_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "train.arrow", [1] * 2)
    damaged = bytearray(path.read_bytes())
    damaged[-300:-20] = bytes(280)
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match="must be an intact feature file"):
        Split(path)


@pytest.mark.parametrize("utterances", [0, 1, 3])
def test_a_file_that_was_not_finished_is_refused(tmp_path: Path, utterances: int) -> None:
    path = tmp_path / "train.arrow"
    with SplitWriter(path, SETTINGS) as writer:
        for number in range(utterances):
            writer.add(utterance(number), np.zeros((1, 1, WIDTH), np.float32))
    with pytest.raises(ValueError, match="must be an intact feature file"):
        Split(path)


def test_a_split_without_utterances_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lacks rows"):
        Split(write(tmp_path / "train.arrow", []))


def test_another_arrow_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.arrow"
    batch = pa.RecordBatch.from_pydict({"a": [1, 2]})
    with pa.ipc.new_file(str(path), batch.schema) as writer:
        writer.write_batch(batch)
    with pytest.raises(ValueError, match="must be an intact feature file"):
        Split(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"train\.arrow"):
        Split(tmp_path / "train.arrow")


def test_an_utterance_that_is_not_there_is_refused(tmp_path: Path) -> None:
    split = Split(write(tmp_path / "train.arrow", [1, 1]))
    with pytest.raises(IndexError):
        split.batch([2])
