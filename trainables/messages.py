"""What crosses between search and worker, as plain dicts: a trial's configuration, and the result of each epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict


class Job(TypedDict):
    """What is the same for all trials of a run.

    Attributes:
        base, features: the base detector and the feature folder: paths, or URIs where nodes share no file system.
        storage: URI of the run where nodes share no file system, else ``None``.
        cache: the search's cache.
        activations: folder of cached frozen-layer activations.
        activations_limit: bytes that they may take.
        run_folder: where detectors are written and growth checkpoints kept, where nodes share a file system.
        size_weight: exponent of the size in the weighted EER.
        size_base: parameters of the base.
        seed: of the run.
        random_crop: train on random windows of long utterances.
        precision: ``auto``, ``float32`` or ``bfloat16``.
        prunings_per_growth: with more than 1, post-growth checkpoints are kept and criteria chosen at cuts.
        growth_cache_limit: bytes that post-growth checkpoints may take.
        threads: CPU threads of a trial.
        gpu: whether a trial may take the GPU that it sees.
    """

    base: str
    features: str
    storage: str | None
    cache: str
    activations: str
    activations_limit: int
    run_folder: str
    size_weight: float
    size_base: int
    seed: int
    random_crop: bool
    precision: str
    prunings_per_growth: int
    growth_cache_limit: int
    threads: int
    gpu: bool


class Suggestion(TypedDict, total=False):
    """What the study of a search knows of a trial, and its record keeps, so that a study can be made from the log.

    Attributes:
        parameters: the point of the space that the trial is.
        attributes: ``asked``, how many trials had been asked for before; ``pruning_of``, the number of the trial whose
            grown stage it cuts otherwise, if there is one; ``system``, what samplers note of a trial: constraints, and
            its generation.
    """

    parameters: Mapping[str, Any]
    attributes: Mapping[str, Any]


class TrialConfig(Suggestion):
    """The configuration of a trial, as Ray Tune hands it over; a recipe is no suggestion.

    Attributes:
        job: what is the same for all trials; tests of the search leave parts of it out.
        plan: the plan dict, see `trainables.trial.plan`.
        number: the trial's number in its run.
        name: what people call it.
        recipe: the recipe's name, or ``None``.
        exempt: exempt from early stopping, and from choosing the criterion at cuts.
    """

    job: Job
    plan: Mapping[str, Any]
    number: int
    name: str
    recipe: str | None
    exempt: bool


class TrialProgress(TypedDict):
    """How far a trial is, in every result.

    Attributes:
        epoch, epochs: epochs done, of so many.
        size: parameters of the final detector.
        last_change, last_cut: epochs before the last growth or cut, and before the last cut; 0 where there is none.
        work_done: share of the work that is over, in [0, 1].
        done: whether it is the last result.
    """

    epoch: int
    epochs: int
    size: int
    last_change: int
    last_cut: int
    work_done: float
    done: bool


class EpochResult(TypedDict, total=False):
    """What an epoch of a plan gives. EERs are fractions, on dev; times are seconds.

    Attributes:
        stage: name of the plan's stage.
        eer, threshold: of the detector after this epoch.
        loss: mean training loss of the epoch.
        trainable_parameters: how many parameters the epoch trained.
        cached_links: links whose outputs were read from the activation cache.
        seconds_step, seconds_forward, seconds_backward, seconds_data: mean of a training step and its parts.
    """

    stage: str
    eer: float
    threshold: float
    loss: float
    trainable_parameters: int
    cached_links: int
    seconds_step: float
    seconds_forward: float
    seconds_backward: float
    seconds_data: float


class TrialResult(EpochResult, TrialProgress, total=False):
    """The result that a trial reports after an epoch.

    Attributes:
        weighted_eer: of the detector after this epoch.
        best_eer, best_weighted_eer, best_epoch, best_eer_interval: of the detector that is kept.
        seconds_parts: seconds of the trial so far by what they were spent on.
        from_growth_cache: whether the trial began from a cached post-growth checkpoint.
        criterion: by which neurons are or were cut.
        total_widths: neurons by site of the final detector.
        failed: why the trial cannot go on: loss or scores are not finite. EERs and loss are NaN then.
    """

    weighted_eer: float
    best_eer: float
    best_weighted_eer: float
    best_epoch: int
    best_eer_interval: tuple[float, float]
    seconds_parts: Mapping[str, float]
    from_growth_cache: bool
    criterion: str
    total_widths: Mapping[str, int]
    failed: str
