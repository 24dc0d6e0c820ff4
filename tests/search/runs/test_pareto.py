"""Fronts, ranks and hypervolume: hand-worked, by brute force, fronts and ranks against moocore."""

from __future__ import annotations

from itertools import product
from random import Random

import moocore
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from search.runs.pareto import dominates, front, hypervolume, ranks, share

Points = npt.NDArray[np.float64]


def clouds(least: int = 0, most: int = 25, high: int = 6) -> st.SearchStrategy[Points]:
    """Points on a small grid: ties in one coordinate and duplicates are the rule."""
    shapes = st.tuples(st.integers(least, most), st.integers(1, 4))
    return shapes.flatmap(lambda shape: arrays(np.float64, shape, elements=st.integers(0, high).map(float)))


def ranks_of_moocore(points: Points) -> list[int]:
    found = moocore.pareto_rank(points)
    return [int(rank) for rank in found - found.min()]  # releases before 0.2 count from 1


def volume_by_slices(points: Points, reference: Points) -> float:
    """The hypervolume by its definition: slices along the last coordinate, each as thick as to the next point."""
    inside = points[(points < reference).all(axis=1)]
    if not len(inside):
        return 0.0
    if len(reference) == 1:
        return float(reference[0] - inside.min())
    members = inside[front(inside)]
    members = members[np.argsort(members[:, -1])]
    thickness = np.diff(np.append(members[:, -1], reference[-1]))
    if len(reference) == 2:
        widths = reference[0] - np.minimum.accumulate(members[:, 0])
        return float((widths * thickness).sum())
    return sum(
        volume_by_slices(members[: index + 1, :-1], reference[:-1]) * float(thick)
        for index, thick in enumerate(thickness)
        if thick > 0
    )


SQUARE = np.array([[1, 4], [2, 2], [4, 1], [2, 2], [3, 3], [1, 5]], dtype=np.float64)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1, 2], [1, 3], True),
        ([1, 2], [2, 3], True),
        ([1, 2], [1, 2], False),
        ([1, 3], [2, 2], False),
        ([2, 3], [1, 2], False),
        ([0.1], [0.2], True),
    ],
)
def test_dominates_hand_worked(a: list[float], b: list[float], expected: bool) -> None:
    assert dominates(a, b) is expected


def test_front_and_ranks_hand_worked() -> None:
    assert front(SQUARE).tolist() == [True, True, True, False, False, False]
    assert ranks(SQUARE).tolist() == [0, 0, 0, 0, 1, 1]


def test_ranks_of_a_chain_and_of_an_antichain() -> None:
    steps = np.arange(50.0)
    assert ranks(np.stack([steps, steps], axis=1)[::-1]).tolist() == list(range(49, -1, -1))
    assert not ranks(np.stack([steps, -steps], axis=1)).any()


def test_hypervolume_hand_worked() -> None:
    # Up to (5, 5): columns of width 1 from x = 1, 2 from 2 and 1 from 4, with heights 1, 3 and 4.
    assert hypervolume(SQUARE, [5, 5]) == 1 * 1 + 2 * 3 + 1 * 4
    assert hypervolume([[1, 2, 3]], [3, 5, 7]) == 2 * 3 * 4
    assert hypervolume([[0, 0, 1], [0, 1, 0], [1, 0, 0]], [2, 2, 2]) == 3 * 4 - 3 * 2 + 1
    assert hypervolume([[3.0], [1.5]], [4.0]) == 2.5


def test_points_beyond_the_reference_add_nothing() -> None:
    assert hypervolume([[5, 0], [0, 7], [1, 1]], [5, 5]) == 16
    assert hypervolume([[5, 5]], [5, 5]) == 0
    assert hypervolume(np.empty((0, 2)), [5, 5]) == 0


def test_no_points_have_an_empty_front() -> None:
    for dimensions in (1, 2, 3):
        assert front(np.empty((0, dimensions))).shape == ranks(np.empty((0, dimensions))).shape == (0,)


@settings(deadline=None)
@given(clouds())
def test_front_by_brute_force(points: Points) -> None:
    expected = [
        not any(dominates(other, point) for other in points) and not (points[:index] == point).all(axis=1).any()
        for index, point in enumerate(points)
    ]
    assert front(points).tolist() == expected


@settings(deadline=None)
@given(clouds(most=15))
def test_rank_is_the_longest_chain_of_dominators(points: Points) -> None:
    found = ranks(points)
    for point, rank in zip(points, found, strict=True):
        above = [int(found[i]) for i, other in enumerate(points) if dominates(other, point)]
        assert rank == max(above, default=-1) + 1


@settings(deadline=None)
@given(clouds(most=12, high=4))
def test_hypervolume_by_counting_grid_cells(points: Points) -> None:
    dimensions = points.shape[1]
    cells = sum(bool((points <= np.array(cell)).all(axis=1).any()) for cell in product(range(4), repeat=dimensions))
    assert hypervolume(points, [4] * dimensions) == cells


@pytest.mark.parametrize("dimensions", [2, 3, 4])
@pytest.mark.parametrize("n", [1, 60, 400])
def test_agrees_with_moocore(n: int, dimensions: int) -> None:
    rng = np.random.default_rng(n)
    for points in (rng.random((n, dimensions)), rng.integers(0, 9, (n, dimensions)) / 9):
        mask = front(points)
        assert mask.tolist() == moocore.is_nondominated(points).tolist()
        members = points[mask][:60]
        reference = np.full(dimensions, 0.9)
        assert hypervolume(members, reference) == pytest.approx(volume_by_slices(members, reference), rel=1e-12)
        assert ranks(points).tolist() == ranks_of_moocore(points)


def test_ten_thousand_trials_of_two_objectives() -> None:
    points = np.random.default_rng(0).random((10_000, 2)) * [1.0, 1e7]
    assert front(points).tolist() == moocore.is_nondominated(points).tolist()
    assert ranks(points).tolist() == ranks_of_moocore(points)
    reference = np.array([1.0, 1e7])
    assert hypervolume(points, reference) == pytest.approx(volume_by_slices(points, reference), rel=1e-12)


@settings(deadline=None)
@given(clouds(least=1), st.randoms())
def test_order_changes_neither_hypervolume_nor_the_members(points: Points, random: Random) -> None:
    shuffled = points[random.sample(range(len(points)), len(points))]
    reference = [7.0] * points.shape[1]
    assert sorted(map(tuple, points[front(points)])) == sorted(map(tuple, shuffled[front(shuffled)]))
    assert hypervolume(points, reference) == pytest.approx(hypervolume(shuffled, reference))
    assert hypervolume(points[front(points)], reference) == pytest.approx(hypervolume(points, reference))


def test_a_zero_with_a_sign_is_zero() -> None:
    points = np.array([[0.0, 1.0], [-0.0, 1.0], [-0.0, 2.0], [0.0, 1.0]])
    assert ranks(points).tolist() == [0, 0, 1, 0]
    assert front(points).tolist() == [True, False, False, False]


@pytest.mark.parametrize("bad", [[[np.nan, 1]], [[1, np.inf]], [1, 2], [[[1, 2]]], np.empty((2, 0))])
def test_bad_points_are_refused(bad: npt.ArrayLike) -> None:
    for call in (front, ranks, lambda points: hypervolume(points, [2, 2])):
        with pytest.raises(ValueError, match=r"finite|\[n, d\]"):
            call(bad)


def test_mismatched_dimensions_are_refused() -> None:
    with pytest.raises(ValueError, match="one number of coordinates"):
        dominates([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="agree on d"):
        hypervolume([[1, 2]], [3])
    with pytest.raises(ValueError, match="finite"):
        dominates([1, np.nan], [1, 2])


@pytest.mark.parametrize(
    ("eer", "size", "expected"),
    [
        (0.0, 1000 / 1000, 1.0),
        (0.25, 1000 / 1000, 0.5),
        (0.0, 1000, np.log10(2) / np.log10(2000)),
        (0.5, 1000 / 1000, 0.0),
        (0.0, 2 * 1000, 0.0),
        (0.6, 3 * 1000, 0.0),
    ],
)
def test_the_share_of_one_detector(eer: float, size: float, expected: float) -> None:
    assert share([(eer, size)], 1000) == pytest.approx(expected)
    assert share([], 1000) == 0
