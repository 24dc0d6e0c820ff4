"""Band power in decibels with zero mean and unit variance, independent of the recording's level."""

from __future__ import annotations

import torch

RANGE_DB = 80.0


def standardised_decibels(power: torch.Tensor) -> torch.Tensor:
    """``10 log10`` of the power, clamped at 80 dB below the segment's maximum, standardised over all bands and frames.

    The clamp is relative to the maximum, so that the result does not depend on the level. It keeps digital silence,
    which some synthesisers produce and no microphone does, from dominating mean and variance.

    Args:
        power: ``[bands, frames]``, not negative.

    Returns:
        ``[bands, frames]`` of mean 0 and variance 1; all zero if the power is constant (silence). Not finite if the
        power is not.
    """
    loudest = power.amax()
    if loudest == 0:
        return torch.zeros_like(power)
    levels = 10 * torch.log10(torch.clamp(power / loudest, min=10 ** (-RANGE_DB / 10)))
    deviation, mean = torch.std_mean(levels, correction=0)
    if deviation == 0:
        return torch.zeros_like(power)
    return (levels - mean) / deviation
