"""Pareto dominance, fronts and hypervolume of points whose every coordinate is to be made small. numpy, moocore.

A point a dominates b when ``a_j <= b_j`` for every j and ``a_j < b_j`` for at least one. Two objectives, the case of
EER against size, take O(n log n); more take simple exact algorithms for a few thousand points.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
WORST_EER = 0.5
"""That of guessing: where the hypervolume of detectors ends."""
SMALLEST = 1000
"""So small a part of the base counts as the smallest detector when hypervolumes are given as shares."""


def dominates(a: npt.ArrayLike, b: npt.ArrayLike) -> bool:
    """Whether point a [d] is nowhere worse than point b [d] and somewhere better; equal points do not dominate.

    Raises:
        ValueError: not two points of one dimension, or a coordinate that is not finite.
    """
    first, second = _checked(np.asarray(a)[np.newaxis]), _checked(np.asarray(b)[np.newaxis])
    if first.shape != second.shape:
        raise ValueError(f"points must have one number of coordinates; got {first.shape[1]} and {second.shape[1]}")
    return bool((first <= second).all() and (first < second).any())


def front(points: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Mask of the points that no other point dominates; of equal points only the first is in.

    Args:
        points: [n, d], n >= 0, d >= 1.

    Returns:
        Mask [n], True for members of the front.

    Raises:
        ValueError: not [n, d], or a coordinate that is not finite (NaN included).
    """
    values = _checked(points)
    mask = np.zeros(len(values), dtype=np.bool_)
    # Lexicographic order, stable: whoever dominates a point or is its first equal comes before it.
    order = np.lexsort(values.T[::-1])
    ordered = values[order]
    if values.shape[1] == 2:
        lowest_before = np.minimum.accumulate(np.append(np.inf, ordered[:, 1]))[:-1]
        mask[order] = ordered[:, 1] < lowest_before
        return mask
    members = np.empty_like(ordered)
    count = 0
    for index, point in zip(order, ordered, strict=True):
        if not (members[:count] <= point).all(axis=1).any():
            members[count] = point
            count += 1
            mask[index] = True
    return mask


def ranks(points: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Non-dominated sorting: 0 for the front, 1 for the front of what is left without it, and so on.

    The rank is the length of the longest chain of points, each dominating the next, that ends at the point
    (K. Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE TEVC 2002, section III A).
    Equal points share a rank.

    Args:
        points: [n, d], n >= 0, d >= 1.

    Returns:
        Ranks [n], from 0.

    Raises:
        ValueError: not [n, d], or a coordinate that is not finite (NaN included).
    """
    values, inverse = np.unique(_checked(points), axis=0, return_inverse=True)
    found = np.zeros(len(values), dtype=np.int64)
    if values.shape[1] == 1:
        found = np.arange(len(values))
    elif values.shape[1] == 2:
        # In lexicographic order a front dominates the point at hand iff its lowest second coordinate so far is not
        # above the point's; those lowest values ascend from front to front, so the rank is found by bisection.
        lowest: list[float] = []
        for index, height in enumerate(values[:, 1].tolist()):
            rank = bisect_right(lowest, height)
            lowest[rank : rank + 1] = [height]
            found[index] = rank
    else:
        left = np.arange(len(values))
        rank = 0
        while len(left):
            mask = front(values[left])
            found[left[mask]] = rank
            left = left[~mask]
            rank += 1
    return found[inverse.reshape(-1)]


def hypervolume(points: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Volume of the region between the front and a reference point: what at least one point dominates.

        HV = volume of the union over points p of the boxes [p_1, r_1] x ... x [p_d, r_d]

    (E. Zitzler and L. Thiele, "Multiobjective Evolutionary Algorithms", IEEE TEVC 1999). Exact, by moocore: O(n log n)
    with two or three objectives.

    Args:
        points: [n, d], n >= 0, d >= 1; points that are not better than the reference in every coordinate add nothing.
        reference: [d].

    Returns:
        The volume, at least 0, in the product of the coordinates' units.

    Raises:
        ValueError: not [n, d] and [d], or a coordinate that is not finite (NaN included).
    """
    values, corner = _checked(points), _checked(np.asarray(reference)[np.newaxis])[0]
    if values.shape[1] != len(corner):
        raise ValueError(f"points and reference must agree on d; got points of {values.shape[1]}, {len(corner)}")
    import moocore  # here, since it takes longer to import than numpy, and only the report and the gauges need it

    return float(moocore.hypervolume(values, ref=corner))


def share(detectors: npt.ArrayLike, size_base: int) -> float:
    """Hypervolume of detectors in EER and log10 of size, as a share of what could be dominated at best.

    It ends at `WORST_EER` and twice the base's size, and is 1 where no errors are made at a `SMALLEST`th of the base's
    size; smaller detectors may pass that. One that is worse in either adds nothing.

    Args:
        detectors: ``[n, 2]``, EER as a fraction and number of parameters, at least 1.
        size_base: the base's number of parameters.

    Raises:
        ValueError: see `hypervolume`.
    """
    points = np.array(detectors, dtype=float).reshape(-1, 2)
    if not len(points):
        return 0.0
    points[:, 1] = np.log10(points[:, 1])
    volume = hypervolume(points, (WORST_EER, np.log10(2 * size_base)))
    return float(volume / (WORST_EER * np.log10(2 * SMALLEST)))


def _checked(points: npt.ArrayLike) -> Points:
    values = np.asarray(points, dtype=np.float64)
    if values.ndim != 2 or not values.shape[1]:
        raise ValueError(f"points must be an array [n, d] with d >= 1; got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"coordinates must be finite; got {values[~np.isfinite(values).all(axis=1)][:3].tolist()}")
    return values
