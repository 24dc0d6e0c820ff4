"""Gradmax against its closed form: top singular vectors of the correlation of gradient and input."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from detectors import architecture, features, trained_like
from trainables.growth.gradmax import top_directions
from trainables.growth.signal import correlations

LABELS = torch.tensor([0, 1, 0, 1])


def test_directions_are_the_top_right_singular_vectors() -> None:
    random = np.random.default_rng(0)
    u, _ = np.linalg.qr(random.normal(size=(7, 3)))
    v, _ = np.linalg.qr(random.normal(size=(5, 3)))
    matrix = torch.from_numpy(u @ np.diag([3.0, 2.0, 1.0]) @ v.T)
    found = top_directions(matrix, 2).double().numpy()
    np.testing.assert_allclose(np.abs(found @ v), np.eye(2, 3), atol=1e-5)


def test_directions_maximise_the_gradient() -> None:
    """No other orthonormal rows W give a larger || M W^T ||_F than the chosen ones."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(6, 8, generator=generator)
    best = (matrix @ top_directions(matrix, 3).T).norm()
    for _ in range(50):
        other, _ = torch.linalg.qr(torch.randn(8, 3, generator=generator))
        assert (matrix @ other).norm() <= best + 1e-5
    values = torch.linalg.svdvals(matrix)
    torch.testing.assert_close(best, values[:3].square().sum().sqrt())


def test_one_direction_is_the_first_of_several() -> None:
    matrix = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    [one], several = top_directions(matrix, 1), top_directions(matrix, 3)
    assert one.dot(several[0]).abs().item() == pytest.approx(1, abs=1e-5)


def test_fewer_directions_than_asked_at_full_rank() -> None:
    assert top_directions(torch.randn(2, 8), 5).shape == (2, 8)


def test_correlation_of_a_linear_unit_is_the_gradient_of_a_weight_there() -> None:
    """For y += A x beside a feed-forward unit, dL/dA at A = 0 is the sum of (dL/dy) x^T: the correlation itself."""
    arch = architecture("wav2vec2")
    module = trained_like(arch)
    site = arch.sites()["encoder.0.ff"]
    x = features("wav2vec2")
    found = correlations(module, [site], [(x, LABELS)], torch.nn.functional.cross_entropy)["encoder.0.ff"]
    hidden = found.shape[0]
    beside = torch.zeros(hidden, hidden, requires_grad=True)
    unit = module.get_submodule(site.unit)
    hook = unit.register_forward_hook(lambda _, inputs, output: output + inputs[0] @ beside.T)
    torch.nn.functional.cross_entropy(module(x), LABELS).backward()
    hook.remove()
    assert beside.grad is not None
    torch.testing.assert_close(found, beside.grad, atol=1e-6, rtol=1e-4)


def test_correlation_of_a_block_predicts_the_gradient_of_a_new_linear_channel() -> None:
    """A new channel without norm and ReLU, read through a zero kernel, has the gradient M w."""
    arch = architecture("resnet18")
    module = trained_like(arch)
    site = arch.sites()["layer2.0"]
    x = features("resnet18")
    found = correlations(module, [site], [(x, LABELS)], torch.nn.functional.cross_entropy)["layer2.0"]
    looking = torch.randn(1, 4, 3, 3)
    reading = torch.zeros(8, 1, 3, 3, requires_grad=True)

    def beside(_: object, inputs: tuple[list[torch.Tensor]], output: torch.Tensor) -> torch.Tensor:
        channel = torch.nn.functional.conv2d(inputs[0][0], looking, stride=2, padding=1)
        return output + torch.nn.functional.conv2d(channel, reading, padding=1)

    hook = module.get_submodule(site.unit).register_forward_hook(beside)
    torch.nn.functional.cross_entropy(module(x), LABELS).backward()
    hook.remove()
    assert reading.grad is not None
    # A place q of the channel feeds y at q - d through kernel offset d: patches of the gradient are the kernel flipped.
    predicted = (found @ looking.flatten()).view(8, 1, 3, 3).flip(2, 3)
    torch.testing.assert_close(predicted, reading.grad, atol=1e-6, rtol=1e-3)


def test_observing_leaves_no_trace() -> None:
    arch = architecture("grnn")
    module = trained_like(arch)
    module.train()
    frozen = next(iter(module.parameters()))
    frozen.requires_grad_(False)
    sites = list(arch.sites().values())
    found = correlations(module, sites, [(features("grnn"), LABELS)] * 2, torch.nn.functional.cross_entropy)
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        "gru.0": (6, 20),
        "gru.1": (5, 6),
        "gru.2": (4, 5),
    }
    assert module.training
    assert not frozen.requires_grad
    assert all(parameter.grad is None for parameter in module.parameters())
    assert not any(part._forward_hooks for part in module.modules())
