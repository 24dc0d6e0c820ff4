"""Which parameters of the space set the best trials apart from the others, by PED-ANOVA.

S. Watanabe, A. Bansal, F. Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary
Subspaces", IJCAI 2023, as Optuna has it. The best tenth is compared with all, but no fewer than `BEST` trials.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import optuna
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from search.page.figure import Figure, axis, figure, plain
from search.tuning.study import NAME

BEST = 5
LEAST = 4 * BEST
"""With fewer complete trials nothing is said."""
SHOWN = 15
OBJECTIVES: Mapping[str, tuple[str, ...]] = {"weighted": ("weighted EER",), "pareto": ("EER", "parameters")}
"""What the values of a trial are in the study of a run, by its ``--objective``."""


@dataclass(frozen=True)
class Importance:
    """What was found.

    Attributes:
        trials: complete trials of the study; those of recipes are not in it.
        shares: by objective the share of every parameter, the largest first; they add up to 1.
        missing: why there are no shares, a sentence, or nothing.
    """

    trials: int
    shares: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    missing: str = ""


def importance(journal: Path, objective: str) -> Importance:
    """Evaluate the study of a run, which is only read.

    Args:
        journal: the study's file.
        objective: a name of `OBJECTIVES`.
    """
    if not journal.exists():
        return Importance(0, missing="The run has no study.journal.")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.load_study(study_name=NAME, storage=JournalStorage(JournalFileBackend(str(journal))))
    except (KeyError, ValueError, OSError) as error:
        return Importance(0, missing=f"The run's study.journal cannot be read: {error}.")
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < LEAST:
        text = f"It takes {LEAST} complete trials of the sampler to say what mattered; the run has {len(complete)}."
        return Importance(len(complete), missing=text)
    evaluator = PedAnovaImportanceEvaluator(target_quantile=max(0.1, BEST / len(complete)))
    found = {}
    for place, name in enumerate(OBJECTIVES[objective]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that low values are the good ones, and parameters that few trials have
            scores = evaluator.evaluate(study, target=_value(place))
        total = sum(scores.values())
        if total > 0:
            ordered = sorted(scores.items(), key=lambda one: (-one[1], one[0]))
            found[name] = {parameter: score / total for parameter, score in ordered}
    missing = "" if found else "No parameter sets the best trials apart from the others."
    return Importance(len(complete), found, missing)


def _value(place: int) -> Callable[[FrozenTrial], float]:
    return lambda trial: trial.values[place]


def importance_figures(found: Importance) -> dict[str, Figure]:
    """Bars by objective, the largest on top."""
    figures = {}
    for name, shares in found.shares.items():
        largest = list(shares.items())[:SHOWN]
        trace = {
            "type": "bar",
            "orientation": "h",
            "y": [plain(parameter) for parameter, _ in largest],
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
