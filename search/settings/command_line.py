"""The options of ``search.run``: what the command line takes, and what holds where nothing is said."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import spaces
from search.settings.arguments import address, key_value, name_or_uri, number, path_or_uri, run_name, whole
from trainables import corpora, models
from trainables.printable import printable

SAMPLERS = ("tpe", "nsga2", "gp", "random")
OBJECTIVES = ("weighted", "pareto")
STOPPING = ("halving", "none")
DEFAULT_OPTIONS: Mapping[str, Mapping[str, Any]] = {"resnet18": {"width": 16}, "wav2vec2": {"checkpoint": "tiny"}}
"""Options of a model where the search's default is not the model's own: sizes that a CPU can train."""
DEFAULT_TRIALS, DEFAULT_EPOCHS, DEFAULT_BASE_EPOCHS = 24, 8, 8
DEFAULT_ACTIVATIONS_GB = 20.0
DEFAULT_GROWTH_CACHE_GB = 1.0
DEFAULT_PRUNINGS_PER_GROWTH = 4
PRECISIONS = ("auto", "float32", "bfloat16")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {printable(message)}\n(see {self.prog} --help)\n")


def parser() -> argparse.ArgumentParser:
    """What the command takes. Options that are not given are left out of what it parses."""
    made = _Parser(
        prog="python -m search.run",
        description="Search for detectors that neuron growth makes better or smaller; ends in a front of EER and size.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    what = made.add_argument_group("what to search")
    what.add_argument("--space", choices=spaces.names(), help="what trials may do (default: plasticity)")
    what.add_argument("--model", choices=models.NAMES, help="detector to grow (default: resnet18)")
    what.add_argument(
        "--model-option",
        action="append",
        type=key_value,
        metavar="KEY=VALUE",
        help="a setting of the model, repeatable (default: "
        + "; ".join(f"{m}: {k}={v}" for m, o in DEFAULT_OPTIONS.items() for k, v in o.items())
        + ")",
    )
    what.add_argument("--corpus", choices=corpora.NAMES, help="speech to learn from (default: demo)")
    what.add_argument("--corpus-root", type=Path, metavar="DIR", help="where the corpus lies, if it is not a built one")
    what.add_argument("--skip-bad-files", action="store_true", help="go on without up to 1 %% of unreadable files")
    what.add_argument("--random-crop", action="store_true", help="crop long utterances at random in training")
    how = made.add_argument_group("how to search")
    how.add_argument(
        "--trials",
        type=whole(1),
        metavar="N",
        help=f"trials in all, recipes included (default: {DEFAULT_TRIALS}, or no limit where --minutes is given)",
    )
    how.add_argument("--minutes", type=number(above=0), metavar="M", help="stop so long after the first trial began")
    how.add_argument("--epochs", type=whole(2), metavar="N", help=f"epochs of a trial (default: {DEFAULT_EPOCHS})")
    how.add_argument(
        "--base-epochs", type=whole(1), metavar="N", help=f"epochs of the base (default: {DEFAULT_BASE_EPOCHS})"
    )
    how.add_argument(
        "--objective",
        choices=OBJECTIVES,
        help="what is made small: the weighted EER, or EER and size as two objectives (default: weighted)",
    )
    how.add_argument(
        "--size-weight",
        type=number(at_least=0),
        metavar="W",
        help="the weighted EER is EER * (size / base size)^W (default: 0.1)",
    )
    how.add_argument("--max-parameters", type=whole(1), metavar="N", help="refuse trials that would end larger")
    how.add_argument("--sampler", choices=SAMPLERS, help="how Optuna chooses (default: tpe)")
    how.add_argument(
        "--stopping", choices=STOPPING, help="end trials early that others surpass at the same point (default: halving)"
    )
    how.add_argument(
        "--prunings-per-growth",
        type=whole(1),
        metavar="N",
        help="of a grown stage that leads to the front, try so many final widths, each with the criterion that costs "
        f"least on dev (default: {DEFAULT_PRUNINGS_PER_GROWTH}; 1: only what is planned)",
    )
    how.add_argument(
        "--warm-start",
        type=path_or_uri,
        nargs="+",
        metavar="RUN",
        help="earlier runs, folders or URIs, whose finished trials to learn from",
    )
    how.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="of training steps (default: auto, bfloat16 where the hardware is made for it); scores are float32",
    )
    how.add_argument("--seed", type=whole(0), metavar="N", help="seed of everything random (default: 0)")
    how.add_argument(
        "--confirm", type=whole(1), metavar="N", help="in the end train the front anew with N fresh seeds; see confirm"
    )
    how.add_argument("--controls", action="store_true", help="with --confirm, also what the front is compared with")
    where = made.add_argument_group("where")
    where.add_argument(
        "--storage",
        type=path_or_uri,
        metavar="DIR",
        help="folder of runs (default: runs), or s3://BUCKET/PREFIX, gs://BUCKET/PREFIX: then the run is in the cache "
        "and its copy there, and the nodes of a cluster need no common file system",
    )
    where.add_argument("--name", type=run_name, help="the run's folder in it (default: from the time and the options)")
    where.add_argument(
        "--resume",
        type=name_or_uri,
        metavar="RUN",
        help="go on with a run: its folder or URI, or its name in --storage",
    )
    where.add_argument("--cache", type=Path, metavar="DIR", help="folder of corpora, features and bases (DROPIN_CACHE)")
    where.add_argument(
        "--activations-gb",
        type=number(at_least=0),
        metavar="GB",
        help="how much of the cache outputs of frozen layers may fill; 0 keeps none (default: 20)",
    )
    where.add_argument(
        "--growth-cache-gb",
        type=number(at_least=0),
        metavar="GB",
        help=f"how much of the run's folder grown stages may fill while it runs (default: {DEFAULT_GROWTH_CACHE_GB:g})",
    )
    where.add_argument("--address", type=address, help="an existing cluster: auto or HOST:PORT (default: this machine)")
    where.add_argument("--cpus-per-trial", type=whole(1), metavar="N", help="CPU cores a trial (default: 1)")
    where.add_argument(
        "--gpus-per-trial", type=number(at_least=0), metavar="N", help="GPUs a trial (default: 1 where there are any)"
    )
    where.add_argument(
        "--monitor",
        action="store_true",
        help="charts over time: run Prometheus and Grafana beside the search, as far as they are installed (on a "
        "cluster: on its head node)",
    )
    return made
