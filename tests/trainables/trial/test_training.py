"""An epoch of training, worked by hand on modules of a few numbers."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from detectors import architecture
from trainables import models
from trainables.trial.training import LOSSES, Diverged, scores, select_device, use_bf16_autocast
from two_numbers import CPU, Rows, epoch, linear, rows


def test_the_loss_is_the_mean_over_utterances_not_batches() -> None:
    split = rows(5)
    expected = functional.cross_entropy(torch.tensor(split.features), torch.tensor(split.labels))
    assert epoch(linear(), split).loss == pytest.approx(float(expected), rel=1e-6)
    assert [len(batch) for batch in split.indices] == [3, 2]


def test_cross_entropy_and_hinge_closed_form() -> None:
    logits, labels = torch.tensor([[0.0, 2.0], [1.5, 1.0], [0.0, 0.25]]), torch.tensor([1, 0, 0])
    expected = np.mean([np.log(1 + np.exp(-2.0)), np.log(1 + np.exp(-0.5)), np.log(1 + np.exp(0.25))])
    assert float(LOSSES["cross_entropy"](logits, labels)) == pytest.approx(expected)
    # Half of the violation of a margin of 1.
    assert float(LOSSES["hinge"](logits, labels)) == pytest.approx((0 + 0.5 + 1.25) / 2 / 3)
    assert {models.load(name).RECIPE["loss"] for name in models.NAMES} <= set(LOSSES)


@pytest.mark.parametrize(("count", "left_out"), [(6, 0), (7, 1), (8, 0)])
def test_a_last_batch_of_one_is_left_out(count: int, left_out: int) -> None:
    split = rows(count)
    found = epoch(linear(), split)
    seen = list(itertools.chain(*split.indices))
    assert len(seen) == len(set(seen)) == count - left_out
    expected = functional.cross_entropy(torch.tensor(split.features[seen]), torch.tensor(split.labels[seen]))
    assert found.loss == pytest.approx(float(expected), rel=1e-6)


def test_which_one_is_left_out_changes_with_the_epoch() -> None:
    split, order = rows(4), np.random.default_rng(0)
    left_out = set()
    for _ in range(20):
        split.indices.clear()
        epoch(linear(), split, order=order)
        left_out |= set(range(4)) - set(split.indices[0])
    assert left_out == {0, 1, 2, 3}


def test_batches_of_one_leave_nothing_out() -> None:
    split = rows(3)
    epoch(linear(), split, batch_size=1)
    assert sorted(split.indices) == [[0], [1], [2]]


def test_the_order_is_the_generators() -> None:
    split = rows(6)
    epoch(linear(), split, order=np.random.default_rng(9))
    assert list(itertools.chain(*split.indices)) == np.random.default_rng(9).permutation(6).tolist()


def test_too_few_utterances_are_refused() -> None:
    with pytest.raises(ValueError, match="has 1 utterances: too few for one batch of at least 2"):
        epoch(linear(), rows(1))


def test_a_step_follows_the_gradient() -> None:
    """One utterance x = (3, 4) of class 1 at W = 0: the gradient is (1/2 - y) x^T, of norm 5 / sqrt 2."""
    gradient = np.outer([0.5, -0.5], [3.0, 4.0])
    norm = 5 / np.sqrt(2)
    for clip, expected in ((0.0, gradient), (1.0, gradient / norm), (2.0, 2 * gradient / norm), (4.0, gradient)):
        module = linear([[0.0, 0.0], [0.0, 0.0]])
        epoch(module, Rows([[3.0, 4.0]], [1]), 0.1, batch_size=1, clip=clip)
        np.testing.assert_allclose(module.weight.detach(), -0.1 * expected, rtol=1e-4)


def test_gradients_do_not_add_up_over_steps() -> None:
    """Two batches of the same utterance; the gradient of the second is taken where the first step led."""
    module, split = linear([[0.0, 0.0], [0.0, 0.0]]), Rows([[1.0, 0.0], [1.0, 0.0]], [1, 1])
    epoch(module, split, 1.0, batch_size=1)
    first = 0.5
    second = first + 1 / (1 + np.exp(2 * first))  # logits are -first and first
    np.testing.assert_allclose(module.weight.detach(), [[-second, 0], [second, 0]], rtol=1e-5)


def test_only_what_requires_gradients_is_clipped_and_moves() -> None:
    old, new = linear(), linear([[2.0, 0.0], [0.0, 2.0]])
    module = nn.Sequential(old, new)
    old.weight.requires_grad_(False)
    epoch(module, rows(6), 1.0, clip=1e-3)
    assert torch.equal(old.weight, torch.eye(2))
    moved = (new.weight.detach() - 2 * torch.eye(2)).norm()
    assert 0 < moved <= 2 * 1e-3 * 1.001  # two steps
    assert module.training


def test_autocast_computes_in_bfloat16_and_weights_stay_float32() -> None:
    """1 + 2^-10 is 1 in bfloat16, which keeps 8 bits of it: the gradient is that of a logit of 1."""
    module = linear([[0.0, 0.0], [1 + 2**-10, 0.0]])
    dtypes = []

    def forward(x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = module(x)
        dtypes.append(logits.dtype)
        return logits

    split = Rows([[1.0, 0.0], [1.0, 0.0]], [0, 0])
    epoch(module, split, 0.5, autocast=True, forward=forward)
    epoch(linear(), split, 0.5, forward=module)
    assert dtypes == [torch.bfloat16]
    assert module.weight.dtype == torch.float32
    step = 0.5 / (1 + np.exp(-1.0))
    np.testing.assert_allclose(module.weight.detach()[1, 0], 1 + 2**-10 - step, rtol=3e-3)
    assert scores(module, split).dtype == np.float64  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("supported", "capabilities"),
    [
        (False, {}),
        (False, {"amx_bf16": False, "avx512_bf16": False, "avx512_f": True}),
        (True, {"amx_bf16": True}),
        (True, {"amx_bf16": False, "avx512_bf16": True}),
    ],
)
def test_auto_precision_is_bfloat16_on_supporting_hardware_for_detectors_that_gain(
    supported: bool, capabilities: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: capabilities)
    convolutions, recurrent = (architecture(model).build() for model in ("resnet18", "grnn"))
    assert use_bf16_autocast("auto", CPU, convolutions) == supported
    assert not use_bf16_autocast("auto", CPU, recurrent)
    for module in (convolutions, recurrent):
        assert use_bf16_autocast("bfloat16", CPU, module)
        assert not use_bf16_autocast("float32", CPU, module)


class LimitedMemory:
    """A forward pass that raises `torch.OutOfMemoryError` for more than `limit` utterances."""

    def __init__(self, module: nn.Module, limit: int) -> None:
        self.module, self.limit, self.sizes = module, limit, list[int]()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(x))
        if len(x) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        logits: torch.Tensor = self.module(x)
        return logits


def test_gradients_are_accumulated_over_micro_batches_when_out_of_memory(caplog: pytest.LogCaptureFixture) -> None:
    """The same gradients as of whole batches; later batches are split as well."""
    split, whole, parted = rows(16), linear(), linear()
    small = LimitedMemory(parted, 2)
    costs = [
        epoch(whole, split, 0.5, batch_size=8),
        epoch(parted, split, 0.5, batch_size=8, forward=small),
    ]
    assert small.sizes == [8, 4, *[2] * 8]
    assert costs[0].loss == pytest.approx(costs[1].loss)
    torch.testing.assert_close(whole.weight, parted.weight)
    assert "splitting batches of 8 into 4 micro-batches" in caplog.text


def test_micro_batches_that_do_not_fit_raise() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        epoch(linear(), rows(16), batch_size=8, forward=LimitedMemory(linear(), 1))


def test_random_crop_uses_the_generator_of_the_order() -> None:
    split, order = rows(6), np.random.default_rng(0)
    epoch(linear(), split, order=order, random_crop=True)
    assert split.generators == [order, order]
    epoch(linear(), split, order=order)
    assert split.generators[2:] == [None, None]


def test_costs_are_means_over_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that advances by 1 whenever it is read: at the start, and five times in each of two steps."""
    clock = itertools.count()
    monkeypatch.setattr("trainables.trial.training.time", SimpleNamespace(perf_counter=lambda: float(next(clock))))
    cost = epoch(linear(), rows(6))
    assert (cost.seconds_data, cost.seconds_forward, cost.seconds_backward, cost.seconds_step) == (1.0, 1.0, 1.0, 5.0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_no_number_ends_training(value: float) -> None:
    split, module = rows(6), linear()
    split.features[:] = value
    with pytest.raises(Diverged, match="at step 0: lower the learning rate"):
        epoch(module, split, 0.1)
    assert torch.equal(module.weight, torch.eye(2))


@pytest.mark.parametrize("available", [False, True])
def test_a_gpu_is_selected_if_available_and_allowed(available: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert select_device().type == select_device(gpu=True).type == ("cuda" if available else "cpu")
    assert select_device(gpu=False).type == "cpu"


def test_frozen_norms_keep_their_statistics_in_training() -> None:
    norm, top = nn.BatchNorm1d(2), linear()
    for parameter in norm.parameters():
        parameter.requires_grad_(False)
    epoch(nn.Sequential(norm, top), rows(6), 0.1)
    assert torch.equal(norm.get_buffer("running_mean"), torch.zeros(2))
    assert not torch.equal(top.weight, torch.eye(2))
