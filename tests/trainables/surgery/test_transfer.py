"""Selection and concatenation of tensors along slots."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.models.site import Slot
from trainables.surgery.transfer import Move, Take, Transfer


def test_take_closed_form() -> None:
    tensor = torch.arange(12.0).view(12, 1)
    rows = Take(Slot("w", 0, "producer"), (0, 11)).apply(tensor)
    assert rows.flatten().tolist() == [0, 11]
    heads = Take(Slot("w", 0, "producer", each=3), (1, 3)).apply(tensor)
    assert heads.flatten().tolist() == [3, 4, 5, 9, 10, 11]
    gates = Take(Slot("w", 0, "producer", blocks=3), (0, 2)).apply(tensor)
    assert gates.flatten().tolist() == [0, 2, 4, 6, 8, 10]


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 3), st.integers(0, 2), st.data())
def test_take_equals_indexing(blocks: int, width: int, each: int, axis: int, data: st.DataObject) -> None:
    index = sorted(data.draw(st.sets(st.integers(0, width - 1), min_size=1)))
    shape = [2, 3, 2]
    shape[axis] = blocks * width * each
    tensor = torch.randn(shape)
    found = Take(Slot("w", axis, "producer", blocks, each), tuple(index)).apply(tensor)
    lines = tensor.movedim(axis, 0).reshape(blocks, width, each, -1)
    expected = lines[:, index].reshape(-1, lines.shape[-1])
    assert torch.equal(found.movedim(axis, 0).reshape(expected.shape), expected)


def test_apply_concatenates_and_renames_without_changing_the_source() -> None:
    slot = Slot("a", 0, "producer")
    move = Move("merged", (("a", (Take(slot, (1,)),)), ("b", ())), axis=0)
    transfer = Transfer((move, Move("other", (("c", ()),)), Move("absent", (("d", ()),))))
    tensors = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3.0]), "c": torch.tensor([4.0])}
    moved = transfer.apply(tensors)
    assert {key: value.tolist() for key, value in moved.items()} == {"merged": [2.0, 3.0], "other": [4.0]}
    moved["other"][0] = -1
    assert tensors["c"].item() == 4.0
