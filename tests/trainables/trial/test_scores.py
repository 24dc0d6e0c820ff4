"""The scoring of a split, worked by hand on modules of a few numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from trainables.features.batches import batches
from trainables.trial.training import Diverged, scores
from two_numbers import CPU, Rows, linear, rows


def test_scores_are_finer_than_bfloat16() -> None:
    """Whatever a detector is trained in: 200 utterances that bfloat16 cannot tell apart have 200 scores."""
    features = [[1 + number / 2**16, 0.0] for number in range(200)]
    assert len(np.unique(scores(linear(), Rows(features, [0] * 200)))) == 200  # type: ignore[arg-type]


def test_batches_come_in_order() -> None:
    split = rows(7)
    found = list(batches(split, [6, 0, 3, 2, 1], 2, CPU))
    assert split.indices == [[6, 0], [3, 2], [1]]
    assert [y.tolist() for _, y in found] == [[0, 0], [1, 0], [1]]
    assert all(x.dtype == torch.float32 and y.dtype == torch.int64 for x, y in found)
    np.testing.assert_array_equal(found[1][0], split.features[[3, 2]])


def test_scores_are_log_odds() -> None:
    features = [[0.0, 0.0], [1.0, 3.0], [2.0, -1.0], [0.0, 1000.0], [0.0, 1001.0]]
    found = scores(linear(), Rows(features, [0] * 5))  # type: ignore[arg-type]
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [0, 2, -3, 1000, 1001])  # P(bona fide) rounds to 1 for the last two
    p = torch.softmax(torch.tensor(features[:3], dtype=torch.float64), dim=1)[:, 1].numpy()
    np.testing.assert_allclose(found[:3], np.log(p / (1 - p)), atol=1e-12)


def test_scores_do_not_depend_on_the_batch_size() -> None:
    split = rows(7)
    module = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))
    module.train()
    module(torch.randn(16, 2))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    whole = scores(module, split)
    for size in (1, 3, 7):
        np.testing.assert_allclose(scores(module, split, batch_size=size), whole, atol=1e-6)
    assert split.indices[1:8] == [[number] for number in range(7)]
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def test_scores_take_no_random_window() -> None:
    split = rows(3)
    scores(linear(), split)
    assert split.generators == [None]


def test_scores_that_are_no_numbers_are_refused() -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(Diverged, match="scores are not finite"):
            scores(linear(), Rows([[0.0, 1.0], [0.0, value]], [0, 1]))  # type: ignore[arg-type]


def test_an_empty_split_has_no_scores() -> None:
    assert scores(linear(), Rows([], [])).shape == (0,)  # type: ignore[arg-type]
