"""A run's folder made by hand: a small simulated corpus, tiny untrained detectors, and a log of trials."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from answers import budget_of
from detectors import trained_like
from search.runs import run_folder
from search.runs.record import Record
from search.runs.trial_log import TrialLog
from search.settings.command_line import parse
from search.settings.options import Settings
from search.tuning import space_check
from spaces import recipes
from trainables import corpora
from trainables.corpora import asvspoof2019, synthetic
from trainables.features import store
from trainables.metrics.eer import eer_of
from trainables.models.architecture import Architecture
from trainables.storage.checkpoint import save_detector
from trainables.trial.plan import Plan
from trainables.trial.training import scores

UTTERANCES = {"train": 5, "dev": 12, "eval": 10}
EERS = {0: 0.30, 1: 0.28, 2: 0.25, 3: 0.10}
"""What the log says of paper, control, a smaller detector and a larger one; the last two are the front."""
FAILED, STOPPED = 4, 5


def make(place: Path, *, with_eval: bool = True) -> Path:
    """Make corpus, cache and run below `place`; returns the run's folder, ``place/runs/one``."""
    synthetic.write(place / "corpus", utterances=UTTERANCES)
    if not with_eval:
        tree = place / "corpus" / "LA"
        shutil.rmtree(tree / "ASVspoof2019_LA_eval")
        asvspoof2019.protocol(tree, "LA", "eval").unlink()
    settings = parse(
        [
            *("--corpus", "asvspoof2019-la", "--corpus-root", str(place / "corpus"), "--model-option", "width=4"),
            *("--storage", str(place / "runs"), "--name", "one", "--cache", str(place / "cache"), "--trials", "6"),
        ]
    )
    folder = settings.run_folder
    folder.mkdir(parents=True)
    (folder / "settings.json").write_text(settings.to_json())
    corpus = corpora.read(settings.corpus, settings.corpus_root, cache=settings.cache)
    run_folder.write_corpus(folder, corpus)
    card = {
        "front_end": "log_mel",
        "seconds": 4.0,
        "corpus": {"name": corpus.name, "digest": corpus.digest(), "note": ""},
    }

    arch = Architecture.create(settings.model, settings.model_option)
    module = trained_like(arch)
    dev = store.open_split(store.build(corpus, "log_mel", settings.cache, splits=("dev",)), "dev")
    eer, threshold = eer_of(scores(module, dev), dev.labels)
    facts: dict[str, Any] = {"eer_dev": eer, "threshold": threshold, "epoch": 1, "epochs": 1, "seed": 0}
    save_detector(folder / "base", arch, module.state_dict(), {**card, **facts})

    log = TrialLog(folder / "trials.jsonl")
    for number, (name, plan) in enumerate(plans(settings, arch).items()):
        final = Plan.from_config(plan, arch).final
        grown = trained_like(final, seed=number + 1)
        threshold = float(np.median(scores(grown, dev)))
        facts = {"eer_dev": EERS[number], "threshold": threshold, "epoch": 2, "epochs": 6, "seed": 0, "plan": plan}
        save_detector(
            folder / "detectors" / str(number), final, grown.state_dict(), {**card, **facts, "number": number}
        )
        log.append(
            Record(
                number,
                "COMPLETE",
                name if number < 3 else None,
                plan,
                eer=EERS[number],
                size=final.size(),
                weighted_eer=EERS[number],
                epochs=6,
                seconds=1.5,
                total_widths=final.total_widths(),
            )
        )
    log.append(Record(FAILED, "FAIL", None, plan, error="Diverged: the loss is nan"))
    log.append(Record(STOPPED, "PRUNED", None, plan, eer=0.01, size=10, epochs=1))
    return folder


def plans(settings: Settings, arch: Architecture) -> dict[str, dict[str, Any]]:
    """The paper's plan, the control, one that ends smaller and one that ends larger than the base."""
    sites = space_check.site_infos(arch)
    budget = budget_of(6, batch_size=4)
    fixed = recipes.recipes(settings.space, settings.model, sites, budget)
    smaller = {**fixed["paper"], "grow": {}, "final": {"layer4.0": 8, "layer4.1": 8}, "criterion": "taylor"}
    larger = {**fixed["paper"], "grow": {"layer1.0": 4, "layer4.1": 16}, "final": {"layer4.1": 40}}
    return {"paper": fixed["paper"], "control": fixed["control"], "initial-half": smaller, "larger": larger}


def rewrite_settings(folder: Path, **changed: object) -> None:
    """Change what a run's settings.json says."""
    path = folder / "settings.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
