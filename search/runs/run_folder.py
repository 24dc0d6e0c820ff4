"""The files by which a run explains itself: versions.json and corpus.json, and how such files are written."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

from trainables.corpora.corpus import Corpus
from trainables.storage.run_paths import RunPaths

DISTRIBUTIONS = ("torch", "torchaudio", "ray", "optuna", "transformers", "numpy", "pyarrow", "soundfile", "safetensors")


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def write_versions(folder: Path) -> None:
    """Write versions.json: Python, the platform and the packages that results depend on."""
    found = {"python": platform.python_version(), "platform": platform.platform(), "machine": platform.machine()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    write_text(RunPaths(folder).versions, json.dumps({**found, "command": sys.argv}, indent=2))


def corpus_digest(folder: Path) -> str | None:
    """The digest in corpus.json; ``None`` where there is no such file yet."""
    path = RunPaths(folder).corpus
    return str(json.loads(path.read_text(encoding="utf-8"))["digest"]) if path.exists() else None


def write_corpus(folder: Path, corpus: Corpus) -> None:
    """Write corpus.json: what the corpus is, its digest, its counts, what was unusual, and what was left out."""
    counts: dict[str, Any] = {}
    for split, utterances in corpus.splits.items():
        labels = Counter(one.label for one in utterances)
        counts[split] = {
            "bona_fide": labels[1],
            "spoof": labels[0],
            "speakers": len({one.speaker for one in utterances}),
            "attacks": sorted({one.attack for one in utterances if one.label == 0}),
            "files": {
                name: {"found": tally.found, "read": tally.read, "left_out": dict(tally.left_out)}
                for name, tally in corpus.counts.get(split, {}).items()
            },
        }
    about = {
        "name": corpus.name,
        "root": str(corpus.root),
        "digest": corpus.digest(),
        "note": corpus.note,
        "splits": counts,
        "notes": list(corpus.notes),
        "skipped": list(corpus.skipped),
    }
    write_text(RunPaths(folder).corpus, json.dumps(about, indent=2))
