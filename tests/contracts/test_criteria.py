"""What every criterion has to keep, on every model."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from detectors import architecture, features, growable, trained_like
from trainables import criteria, models
from trainables.surgery.grow import grow

BOTH = [(model, criterion) for model in models.NAMES for criterion in criteria.NAMES]


def ranked(model: str, criterion: str, seed: int = 0) -> tuple[dict[str, Tensor], criteria.Evidence]:
    """Scores of all neurons of a detector grown at every site."""
    arch = grow(architecture(model), dict(growable(architecture(model))))
    sites = arch.sites()
    evidence = criteria.Evidence(
        trained_like(arch),
        sites,
        {name: torch.arange(site.width) < sum(architecture(model).widths[name]) for name, site in sites.items()},
        [(features(model, seed=s), torch.tensor([0, 1, 0, 1])) for s in (1, 2)],
        torch.nn.functional.cross_entropy,
        torch.Generator().manual_seed(seed),
    )
    return criteria.load(criterion).scores(evidence), evidence


@pytest.mark.parametrize(("model", "criterion"), BOTH)
def test_every_neuron_has_a_finite_score(model: str, criterion: str) -> None:
    scores, evidence = ranked(model, criterion)
    assert {name: len(values) for name, values in scores.items()} == {n: s.width for n, s in evidence.sites.items()}
    assert all(torch.isfinite(values).all() for values in scores.values())
    assert any(len(values.unique()) > 1 for values in scores.values())


@pytest.mark.parametrize(("model", "criterion"), BOTH)
def test_ranking_changes_nothing_and_repeats(model: str, criterion: str) -> None:
    scores, evidence = ranked(model, criterion)
    state = trained_like(grow(architecture(model), dict(growable(architecture(model))))).state_dict()
    assert all(torch.equal(value, state[key]) for key, value in evidence.module.state_dict().items())
    assert all(parameter.grad is None for parameter in evidence.module.parameters())
    again = ranked(model, criterion)[0]
    assert all(torch.equal(scores[name], again[name]) for name in scores)


@pytest.mark.parametrize("model", models.NAMES)
def test_a_neuron_that_does_nothing_goes_first(model: str) -> None:
    """Zero all that a neuron owns: magnitude, taylor and activation must score it lowest."""
    for criterion in ("magnitude", "taylor", "activation"):
        arch = architecture(model)
        module = trained_like(arch)
        state = module.state_dict()
        sites = {name: site for name, site in arch.sites().items() if site.width > 1}
        for site in sites.values():
            for slot in site.groups[0].slots:
                if slot.axis is not None and slot.role in ("producer", "norm") and "running_var" not in slot.key:
                    lines = state[slot.key].movedim(slot.axis, 0)
                    lines.view(slot.blocks, site.width, slot.each, *lines.shape[1:])[:, 1] = 0
        module.load_state_dict(state)
        batches = [(features(model), torch.tensor([0, 1, 0, 1]))]
        original = {name: torch.ones(site.width, dtype=torch.bool) for name, site in sites.items()}
        evidence = criteria.Evidence(
            module, sites, original, batches, torch.nn.functional.cross_entropy, torch.Generator()
        )
        for name, values in criteria.load(criterion).scores(evidence).items():
            assert values[1] == values.min(), (criterion, name)
            assert values.max() > values[1], (criterion, name)


def test_original_keeps_the_base() -> None:
    scores, _ = ranked("resnet18", "original")
    for name, values in scores.items():
        base = sum(architecture("resnet18").widths[name])
        assert criteria.choose(values, [len(values)], [base]) == list(range(base))


def test_choose_closed_form() -> None:
    scores = torch.tensor([3.0, 1.0, 2.0, 2.0, 9.0, 0.0])
    assert criteria.choose(scores, [6], [3]) == [0, 2, 4]
    assert criteria.choose(scores, [4, 2], [2, 1]) == [0, 2, 4]
    assert criteria.choose(scores, [4, 2], [0, 2]) == [4, 5]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.data())
def test_choose_keeps_the_best_and_prefers_the_older(values: list[int], data: st.DataObject) -> None:
    count = data.draw(st.integers(0, len(values)))
    kept = criteria.choose(torch.tensor(values, dtype=torch.float32), [len(values)], [count])
    best = sorted(range(len(values)), key=lambda i: (-values[i], i))[:count]
    assert kept == sorted(best)


def test_bad_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        criteria.choose(torch.tensor([1.0, float("nan")]), [2], [1])
    with pytest.raises(ValueError, match="cannot keep 3 of 2"):
        criteria.choose(torch.tensor([1.0, 2.0]), [2], [3])
    with pytest.raises(ValueError, match="criterion must be one of"):
        criteria.load("luck")
