"""The GRNN: sizes, plain layers inside, what groups read, and what sites say about it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from trainables.models import grnn
from trainables.models.architecture import Architecture
from trainables.surgery.grow import grow, new_keys
from trainables.surgery.prune import prune

SMALL = {"layers": [6, 5, 4, 3]}
several_groups = st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=3), min_size=1, max_size=3)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def cepstra(batch: int = 3, time: int = 7) -> Tensor:
    return torch.randn(batch, time, grnn.COEFFICIENTS, generator=torch.Generator().manual_seed(0))


def architecture(groups: list[list[int]]) -> Architecture:
    base = Architecture.create("grnn", {"layers": [own[0] for own in groups]})
    return base.replace_widths({f"gru.{layer}": tuple(own) for layer, own in enumerate(groups)})


@pytest.mark.parametrize("layers", [[64, 64, 32, 32], [1], [7, 3]])
def test_size_is_that_of_plain_layers(layers: list[int]) -> None:
    reads = [20, *layers[:-1]]
    expected = sum(3 * n * (m + n) + 6 * n for m, n in zip(reads, layers, strict=True)) + 2 * layers[-1] + 2
    assert Architecture.create("grnn", {"layers": layers}).size() == expected


def test_sizes_of_the_paper() -> None:
    base = Architecture.create("grnn", {})
    third_bias = 3 * 64  # of the paper's hand-made cells, which plain GRUs do not have
    assert base.size() == 57_282
    assert grow(base, {"gru.1": 64}).size() == 100_866 - third_bias == 100_674


def test_base_is_a_stack_of_plain_gru_layers() -> None:
    model = Architecture.create("grnn", SMALL).build()
    state = model.state_dict()
    x = y = cepstra()
    for layer, (reads, units) in enumerate(zip([20, 6, 5, 4], [6, 5, 4, 3], strict=True)):
        plain = nn.GRU(reads, units, batch_first=True)
        part = f"gru.{layer}.parts.0"
        names = {"weight_ih_l0": "weight_ih.below0", "weight_hh_l0": "weight_hh"}
        names |= {"bias_ih_l0": "bias_ih", "bias_hh_l0": "bias_hh"}
        plain.load_state_dict({theirs: state[f"{part}.{ours}"] for theirs, ours in names.items()})
        y, _ = plain(y)
    expected = y[:, -1] @ state["head.parts.0.weight"].T + state["head.bias"]
    torch.testing.assert_close(model(x), expected, atol=1e-6, rtol=0)


def test_new_units_read_the_old_state_and_the_next_layer_reads_both() -> None:
    model = architecture([[4, 3, 2], [3]]).build()
    state = model.state_dict()
    x = cepstra()

    def cell(part: str, pieces: list[str], read: Tensor, own: Tensor) -> Tensor:
        """One step of one group, by the equations of a GRU."""
        weight = torch.cat([state[f"{part}.weight_ih.{piece}"] for piece in pieces], dim=1)
        new = read @ weight.T + state[f"{part}.bias_ih"]
        old = own @ state[f"{part}.weight_hh"].T + state[f"{part}.bias_hh"]
        (reset_x, update_x, value_x), (reset_h, update_h, value_h) = new.chunk(3, 1), old.chunk(3, 1)
        update = torch.sigmoid(update_x + update_h)
        value = torch.tanh(value_x + torch.sigmoid(reset_x + reset_h) * value_h)
        return (1 - update) * value + update * own

    first, second, third, above = (torch.zeros(3, units) for units in (4, 3, 2, 3))
    for t in range(x.shape[1]):
        old = (first, second)
        first = cell("gru.0.parts.0", ["below0"], x[:, t], first)
        second = cell("gru.0.parts.1", ["below0", "beside0"], torch.cat([x[:, t], old[0]], 1), second)
        third = cell("gru.0.parts.2", ["below0", "beside0", "beside1"], torch.cat([x[:, t], *old], 1), third)
        pieces = ["below0", "below1", "below2"]
        above = cell("gru.1.parts.0", pieces, torch.cat([first, second, third], 1), above)
    expected = above @ state["head.parts.0.weight"].T + state["head.bias"]
    torch.testing.assert_close(model(x), expected, atol=1e-6, rtol=0)


@settings(deadline=None, max_examples=20)
@given(several_groups)
def test_slots_name_each_tensor_of_a_group_and_the_size_of_its_axis(groups: list[list[int]]) -> None:
    arch = architecture(groups)
    state = arch.build().state_dict()
    named = set()
    for site in arch.sites().values():
        for group in site.groups:
            for slot in group.slots:
                assert slot.axis is not None
                assert state[slot.key].shape[slot.axis] == slot.blocks * group.width * slot.each, slot
            named |= set(group.keys())
            assert set(group.incoming) <= set(group.keys("producer"))
        names = [[key.split(".", 4)[4] for key in group.keys("producer")] for group in site.groups]
        assert all(later[: len(names[0])] == names[0] for later in names), "producers correspond by position"
    assert named == set(state) - {"head.bias"}


@settings(deadline=None, max_examples=20)
@given(several_groups, st.data())
def test_growth_only_adds_tensors(groups: list[list[int]], data: st.DataObject) -> None:
    arch = architecture(groups)
    grown = grow(arch, {f"gru.{data.draw(st.integers(0, len(groups) - 1))}": data.draw(st.integers(1, 3))})
    old, new = arch.build().state_dict(), grown.build().state_dict()
    assert {key: new[key].shape for key in old} == {key: tensor.shape for key, tensor in old.items()}
    assert len(new) > len(old)


@settings(deadline=None, max_examples=20)
@given(several_groups, st.data())
def test_a_group_that_nothing_reads_can_go_and_the_others_move_up(groups: list[list[int]], data: st.DataObject) -> None:
    """Zero the columns that read a group, wherever it stands: the function is that without the group."""
    groups[0].append(2)
    gone = data.draw(st.integers(0, len(groups[0]) - 1))
    arch = architecture(groups)
    model = arch.build()
    state = model.state_dict()
    for key in arch.sites()["gru.0"].groups[gone].keys("consumer"):
        state[key].zero_()
    x = cepstra()
    start = sum(groups[0][:gone])
    stay = [i for i in range(sum(groups[0])) if not start <= i < start + groups[0][gone]]
    smaller, transfer = prune(arch, {"gru.0": stay})
    reduced = smaller.build()
    reduced.load_state_dict(transfer.apply(state))
    torch.testing.assert_close(reduced(x), model(x), atol=1e-6, rtol=0)


@pytest.mark.parametrize("layer", range(4))
def test_silent_growth_leaves_the_function(layer: int) -> None:
    base = Architecture.create("grnn", SMALL)
    grown = grow(grow(base, {f"gru.{layer}": 3}), {f"gru.{layer}": 2})
    old, new = base.build(), grown.build()
    new.load_state_dict({**new.state_dict(), **old.state_dict()})
    x = cepstra()
    assert not torch.allclose(new(x), old(x), atol=1e-3)
    for group in grown.sites()[f"gru.{layer}"].groups[1:]:
        for key in group.keys("consumer"):
            new.state_dict()[key].zero_()
    torch.testing.assert_close(new(x), old(x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("layer", range(4))
def test_frozen_growth_walks_only_what_is_new_and_above(layer: int) -> None:
    base = Architecture.create("grnn", SMALL)
    grown = grow(base, {f"gru.{layer}": 3})
    model = grown.build()
    fresh = set(new_keys(base, grown))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in fresh)
    tracked: dict[str, bool] = {}
    for name, module in model.named_modules():
        if isinstance(module, grnn.Units):
            module.register_forward_hook(lambda _m, _i, out, name=name: tracked.update({name: out.requires_grad}))
    model(cepstra()).sum().backward()
    with_gradient = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert with_gradient == fresh
    expected = {f"gru.{below}.parts.0": below > layer for below in range(4)}
    assert tracked == {**expected, f"gru.{layer}.parts.1": True}


def test_ten_growths_keep_the_order_of_the_groups() -> None:
    keys = architecture([[1] * 12, [1]]).keys()
    pieces = [key for key in keys if key.startswith("gru.1.parts.0.weight_ih")]
    assert pieces == [f"gru.1.parts.0.weight_ih.below{group}" for group in range(12)]


def test_architecture_survives_json() -> None:
    arch = grow(Architecture.create("grnn", SMALL), {"gru.1": 2})
    assert Architecture.from_json(arch.to_json()) == arch


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA, where evaluation mode could forbid gradients")
@pytest.mark.filterwarnings("ignore:RNN module weights are not part of single contiguous chunk")
def test_cuda_gives_the_same_and_gradients_in_evaluation_mode() -> None:
    model = architecture([[6, 2], [4]]).build().eval()
    expected = model(cepstra())
    logits = model.cuda()(cepstra().cuda())
    torch.testing.assert_close(logits.cpu(), expected, atol=1e-3, rtol=0)
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("layers", [[], [0], [4.0], [True], "64", 64, None])
def test_impossible_layers_are_refused(layers: object) -> None:
    with pytest.raises(ValueError, match=r"layers must be a list of 1 to 256 whole numbers"):
        grnn.resolve({"layers": layers})


def test_unknown_option_is_refused() -> None:
    with pytest.raises(ValueError, match="no option width; it takes layers"):
        grnn.resolve({"width": 3})
