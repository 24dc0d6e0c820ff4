"""The paths of a run's folder, said once: whoever reads or writes a file of a run asks here where it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SETTINGS, TRIALS = "settings.json", "trials.jsonl"
WRITER_LOCK = ".writer.lock"
"""What the process that writes a run's folder holds; a folder with nothing else is no run."""
TEMPORARY = frozenset({"tune", "growth_cache", "trained", "monitor"})
"""Folders that are gone, or of no use, when a run is over; they are no part of its copy in a bucket."""
UNFINISHED = ".part"
"""How the names of files and folders end that are being written, and are renamed when they are whole."""


@dataclass(frozen=True)
class RunPaths:
    """The files and folders of one run.

    Attributes:
        folder: the run's folder, absolute.
    """

    folder: Path

    @property
    def settings(self) -> Path:
        """The run's settings, JSON; a folder with this file is a run."""
        return self.folder / SETTINGS

    @property
    def versions(self) -> Path:
        """Versions of Python and packages, JSON."""
        return self.folder / "versions.json"

    @property
    def corpus(self) -> Path:
        """What the corpus is, JSON."""
        return self.folder / "corpus.json"

    @property
    def log(self) -> Path:
        """What the run did, for people."""
        return self.folder / "run.log"

    @property
    def base(self) -> Path:
        """The detector that all trials start from, a folder."""
        return self.folder / "base"

    @property
    def trials(self) -> Path:
        """The trial log: a line of JSON for every ended trial."""
        return self.folder / TRIALS

    @property
    def study(self) -> Path:
        """Journal of the Optuna study."""
        return self.folder / "study.journal"

    @property
    def rungs(self) -> Path:
        """Verdicts of early stopping, a line of JSON each."""
        return self.folder / "rungs.jsonl"

    @property
    def results(self) -> Path:
        """All ended trials, Parquet."""
        return self.folder / "results.parquet"

    @property
    def front(self) -> Path:
        """The Pareto front, Parquet."""
        return self.folder / "front.parquet"

    @property
    def detectors(self) -> Path:
        """Folder of the detectors of front and recipes, by trial number."""
        return self.folder / "detectors"

    def detector(self, name: int | str) -> Path:
        """Folder of one detector: a trial's number, or the name of a control."""
        return self.detectors / str(name)

    @property
    def report(self) -> Path:
        """The report, one HTML page."""
        return self.folder / "report.html"

    @property
    def confirmation(self) -> Path:
        """Folder of a confirmation: a run for each seed, and a table."""
        return self.folder / "confirm"

    def of_seed(self, seed: int) -> RunPaths:
        """The files of one seed of a confirmation, which is a run within the run."""
        return RunPaths(self.confirmation / f"seed-{seed}")

    @property
    def confirmation_table(self) -> Path:
        """What a confirmation found, CSV."""
        return self.confirmation / "confirm.csv"

    @property
    def tune(self) -> Path:
        """Ray Tune's own files: checkpoints of trials under way."""
        return self.folder / "tune"

    @property
    def growth_cache(self) -> Path:
        """Post-growth checkpoints, while the run goes on."""
        return self.folder / "growth_cache"

    @property
    def monitor(self) -> Path:
        """Settings and data of Prometheus and Grafana."""
        return self.folder / "monitor"
