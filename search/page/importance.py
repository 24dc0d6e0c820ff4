"""Hyperparameter importance by PED-ANOVA: which parameters distinguish the best trials from all.

S. Watanabe, A. Bansal, F. Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary
Subspaces", IJCAI 2023, in Optuna's implementation. The best tenth, but at least `BEST` trials, is compared with all.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState

from search.page.figure import Figure, axis, escape, figure
from search.tuning.journal import Damaged
from search.tuning.study import load

BEST = 5
MIN_TRIALS = 4 * BEST
"""Completed trials below which importance is not evaluated."""
MAX_BARS = 15
OBJECTIVES: Mapping[str, tuple[str, ...]] = {"weighted": ("weighted EER",), "pareto": ("EER", "parameters")}
"""Names of the values of a study, by the run's ``--objective``."""


@dataclass(frozen=True)
class Importance:
    """Importance of the parameters of a study.

    Attributes:
        trials: completed trials of the study; recipes are not part of it.
        shares: by objective the importance of every parameter, the largest first, normalised to a sum of 1.
        missing: the reason why there are no shares, a sentence, or an empty text.
    """

    trials: int
    shares: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    missing: str = ""


def importance(journal: Path, objective: str) -> Importance:
    """Evaluate the study of a run; its journal is only read.

    Args:
        journal: file of the study.
        objective: a key of `OBJECTIVES`.
    """
    if not journal.exists():
        return Importance(0, missing="The run has no study.journal.")
    try:
        study = load(journal)
    except (Damaged, OSError) as error:
        return Importance(0, missing=f"The run's study.journal cannot be read: {error}.")
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < MIN_TRIALS:
        text = f"Importance needs {MIN_TRIALS} completed trials of the sampler; the run has {len(complete)}."
        return Importance(len(complete), missing=text)
    evaluator = PedAnovaImportanceEvaluator(target_quantile=max(0.1, BEST / len(complete)))
    normalised = {}
    for index, name in enumerate(OBJECTIVES[objective]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on the direction of a custom target, and on parameters of few trials
            scores = evaluator.evaluate(study, target=_value(index))
        total = sum(scores.values())
        if total > 0:
            ordered = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
            normalised[name] = {parameter: score / total for parameter, score in ordered}
    missing = "" if normalised else "No parameter distinguishes the best trials."
    return Importance(len(complete), normalised, missing)


def _value(index: int) -> Callable[[FrozenTrial], float]:
    return lambda trial: trial.values[index]


def importance_figures(evaluated: Importance) -> dict[str, Figure]:
    """A bar chart for each objective, the largest bar on top."""
    figures = {}
    for name, shares in evaluated.shares.items():
        largest = list(shares.items())[:MAX_BARS]
        trace = {
            "type": "bar",
            "orientation": "h",
            "y": [escape(parameter) for parameter, _ in largest],
            "x": [100 * share for _, share in largest],
            "marker": {"color": "--front"},
            "hovertemplate": "%{y}: %{x:.1f} %<extra></extra>",
        }
        figures[name] = figure(
            f"importance of parameters for {name}",
            [trace],
            axis(f"importance for {name}, %", rangemode="tozero"),
            axis("", type="category", autorange="reversed", showgrid=False),
            height=80 + 22 * len(largest),
        )
    return figures
