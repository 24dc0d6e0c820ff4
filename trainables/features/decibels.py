"""Power in bands as decibels of zero mean and unit variance, whatever the level of the recording."""

from __future__ import annotations

import torch

RANGE_DB = 80.0


def standardised_decibels(power: torch.Tensor) -> torch.Tensor:
    """``10 log10`` of the power, cut off 80 dB below the segment's maximum, standardised over all bands and frames.

    The cut-off follows the maximum, so that the result does not change with level, and digital silence, which some
    synthesisers leave and no microphone does, does not dominate mean and variance.

    Args:
        power: ``[bands, frames]``, not negative.

    Returns:
        ``[bands, frames]`` of mean 0 and variance 1; all zero where the power is the same everywhere (silence). Power
        that is not finite gives levels that are not.
    """
    loudest = power.amax()
    if loudest == 0:
        return torch.zeros_like(power)
    levels = 10 * torch.log10(torch.clamp(power / loudest, min=10 ** (-RANGE_DB / 10)))
    deviation, mean = torch.std_mean(levels, correction=0)
    if deviation == 0:
        return torch.zeros_like(power)
    return (levels - mean) / deviation
