"""Build of the corpus: download of packages, synthesis of all utterances in parallel, and an atomic rename at the end.

An interrupted build leaves its folder ``….partial``, and the next one continues it.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import filelock
import numpy as np
import torch

from trainables.audio.reading import write_flac
from trainables.corpora import asvspoof2019
from trainables.corpora.corpus import SPLITS, Unavailable
from trainables.corpora.demo import recipe, speech, spoofs
from trainables.corpora.demo.channel import decode_g722, record, to_int16, transmit
from trainables.corpora.demo.packages import Packages
from trainables.corpora.demo.recipe import Job
from trainables.corpora.demo.synthesizers import SynthesisError
from trainables.progress import Progress

ABOUT = "about.json"
SOURCES = "sources.txt"
_PLAN = "plan.json"
_README = """Demo corpus: {counts}

16 kHz mono FLAC in the tree of ASVspoof 2019 LA, made by this project from the packages of a Linux distribution.
Bona fide speech: the Asterisk core sounds in English and Spanish by Allison Smith (copyright Digium), in Russian by
IvrvoiceRU and in Italian by Carlo Flora, all CC BY-SA 3.0 or CC BY 3.0 as Debian's copyright files say. Every file here
is changed: cut, levelled, coded; the spoofs are synthetic speech that says or imitates those prompts. To pass the
corpus on, keep these names and the licence CC BY-SA 3.0.

sources.txt tells which prompt each utterance says: name, attack, language, prompt.

{attacks}
{note}
"""


def folder(cache: Path) -> Path:
    """The folder of the corpus of the current recipe, below the cache."""
    settings = json.dumps([recipe.VERSION, recipe.BONA_FIDE, recipe.SPOOFS, recipe.LANGUAGES])
    return cache / "corpora" / f"demo-{hashlib.sha256(settings.encode()).hexdigest()[:12]}"


def build(cache: Path, progress: Progress) -> Path:
    """Build the corpus unless it is in the cache.

    Returns:
        Its folder.

    Raises:
        Unavailable: the packages of human speech are not available.
    """
    final = folder(cache)
    if final.is_dir():
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{final}.lock"):
        if not final.is_dir():
            work = final.with_name(f"{final.name}.partial")
            work.mkdir(exist_ok=True)
            try:
                _make(work, progress)
            except Unavailable:
                shutil.rmtree(work, ignore_errors=True)
                raise
            shutil.rmtree(work / "packages", ignore_errors=True)
            (work / _PLAN).unlink()
            os.replace(work, final)
    return final


def _make(work: Path, progress: Progress) -> None:
    roots, versions, missing = _fetch(work / "packages", progress)
    prompts = {language: speech.prompts(roots[group.name], language) for language, group in speech.GROUPS.items()}
    available = []
    for attack in (*recipe.ATTACKS["seen"], *recipe.ATTACKS["unseen"]):
        fault = spoofs.missing(attack, roots, prompts[attack.languages[0]][0])
        if fault is None:
            available.append(attack)
        else:
            missing.append(f"without {attack.name} ({fault})")
    try:
        jobs = recipe.jobs(prompts, available)
    except ValueError as error:
        raise Unavailable(str(error)) from error
    _discard_other_plan(work, [versions, [(job.name, job.attack, job.prompt.key) for job in jobs]])
    made = _render_all(work, jobs, roots, progress)
    if len(made) < len(jobs):
        missing.append(f"without {len(jobs) - len(made)} utterances that could not be made")
    _write_protocols(work, made)
    note = "; ".join(["small demonstration corpus, results do not compare with published ones", *missing])
    counts = ", ".join(
        f"{split} {sum(job.split == split and job.attack == '-' for job in made)} bona fide and "
        f"{sum(job.split == split and job.attack != '-' for job in made)} spoof"
        for split in SPLITS
    )
    attacks = "\n".join(f"{attack.name} {attack.summary}" for attack in available)
    (work / "README.txt").write_text(_README.format(counts=counts, attacks=attacks, note=note), encoding="utf-8")
    sources = "".join(f"{job.name} {job.attack} {job.prompt.language} {job.prompt.key}\n" for job in made)
    (work / SOURCES).write_text(sources, encoding="utf-8")
    (work / ABOUT).write_text(json.dumps({"note": note, "packages": versions}, indent=1), encoding="utf-8")


def _fetch(folder: Path, progress: Progress) -> tuple[dict[str, Path], list[str], list[str]]:
    """The root folder of each group of packages, their versions, and the reasons for unavailable ones."""
    packages = Packages(folder)
    roots: dict[str, Path] = {}
    versions: list[str] = []
    missing: list[str] = []
    groups = (*speech.GROUPS.values(), *spoofs.PROGRAMS)
    for number, group in enumerate(groups):
        progress("fetching speech packages", number, len(groups))
        try:
            roots[group.name] = packages.provide(group)
            versions += packages.versions(group)
        except Unavailable as error:
            if group not in spoofs.PROGRAMS:
                raise
            missing.append(str(error))
    progress("fetching speech packages", len(groups), len(groups))
    return roots, versions, missing


def _discard_other_plan(work: Path, plan: object) -> None:
    """Delete the audio of an interrupted build if its plan was another one."""
    path = work / _PLAN
    text = json.dumps(plan)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        shutil.rmtree(work / "LA", ignore_errors=True)
        path.write_text(text, encoding="utf-8")


def _render_all(work: Path, jobs: Sequence[Job], roots: Mapping[str, Path], progress: Progress) -> list[Job]:
    """Make all utterances that do not exist yet; returns those that exist at the end."""
    for split in SPLITS:
        asvspoof2019.audio_folder(work / "LA", "LA", split).mkdir(parents=True, exist_ok=True)
    made = []
    # Spawned, because a fork of a process with torch's threads may hang.
    pool = ProcessPoolExecutor(workers(), multiprocessing.get_context("spawn"), initializer=_start_worker)
    try:
        results = pool.map(partial(_render, tree=work / "LA", roots=dict(roots)), jobs, chunksize=4)
        for number, (job, done) in enumerate(zip(jobs, results, strict=True), 1):
            if done:
                made.append(job)
            progress("making speech", number, len(jobs))
    finally:
        pool.shutdown(cancel_futures=True)
    return made


def _render(job: Job, tree: Path, roots: Mapping[str, Path]) -> bool:
    """Make one utterance unless it exists; ``False`` if its program fails on its text."""
    path = asvspoof2019.audio_folder(tree, "LA", job.split) / f"{job.name}.flac"
    if path.exists():
        return True
    try:
        audio = transmit(source(job, roots), gain_db=recipe.number_of("level", job.name) % 601 / 100 - 3)
    except (SynthesisError, ValueError):
        return False
    unfinished = path.with_suffix(".unfinished")
    write_flac(unfinished, to_int16(audio))
    os.replace(unfinished, path)
    return True


def source(job: Job, roots: Mapping[str, Path]) -> np.ndarray:
    """Input of the channel: the recorded prompt, or a spoof recorded in the same way.

    Returns:
        float32 ``[samples]`` at 16 kHz.
    """
    if job.attack == "-":
        return decode_g722(job.prompt.path.read_bytes())
    return record(spoofs.spoof(job.attack, job.prompt, roots))


def _write_protocols(work: Path, jobs: Sequence[Job]) -> None:
    for split in SPLITS:
        path = asvspoof2019.protocol(work / "LA", "LA", split)
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [
            f"{job.speaker} {job.name} - {job.attack} {'bonafide' if job.attack == '-' else 'spoof'}\n"
            for job in jobs
            if job.split == split
        ]
        path.write_text("".join(lines), encoding="utf-8")


def workers() -> int:
    """Number of processes: one for each CPU that this process may use, at most eight."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, 8)


def _start_worker() -> None:
    torch.set_num_threads(1)
    # Ctrl-C also reaches the parent, which ends its workers; they need no traceback of their own.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
