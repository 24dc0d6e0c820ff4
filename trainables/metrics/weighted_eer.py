"""The objective: errors of a detector weighed by its size."""

from __future__ import annotations

import math


def weighted_eer(eer: float, size: int, size_base: int, n_bonafide: int, n_spoof: int, size_weight: float) -> float:
    """EER, corrected for the resolution of the split, times the relative size to a power.

        weighted EER = (EER + 1 / (2 min(n_bonafide, n_spoof))) * (size / size_base) ** size_weight

    The added term is half an error in the smaller class, the least that the split can tell apart from nothing. Without
    it a detector with no error on dev would score 0 at every size, and size would be worthless just where detectors
    are good. The product makes the exchange relative: with ``size_weight`` 0.1, twice the parameters must pay by
    about 7 % fewer errors (``2 ** -0.1``), at every level of EER alike; 0 leaves size out.

    Args:
        eer: EER on the dev split, a fraction in [0, 1].
        size: parameters of the final detector.
        size_base: parameters of the base that the run started from.
        n_bonafide: bona fide utterances in the split.
        n_spoof: spoofs in the split.
        size_weight: exponent, at least 0.

    Returns:
        A number above 0, lower is better; at the size of the base it is the EER plus the half error.

    Raises:
        ValueError: a value out of its range, NaN included.
    """
    if not 0 <= eer <= 1:
        raise ValueError(f"EER must be a fraction in [0, 1]; got {eer}")
    for name, count in {"size": size, "size_base": size_base, "n_bonafide": n_bonafide, "n_spoof": n_spoof}.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1; got {count}")
    if not (math.isfinite(size_weight) and size_weight >= 0):
        raise ValueError(f"size weight must be a finite number of at least 0; got {size_weight}")
    half_error = 1 / (2 * min(n_bonafide, n_spoof))
    return float((eer + half_error) * (size / size_base) ** size_weight)
