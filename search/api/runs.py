"""A run as an object: its trials, its Pareto front, and what can be made of them."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from search.cluster import home
from search.display.progress import Display, make_display
from search.driver import supervisor
from search.reporting.tables import DetectorResult
from search.running import confirmation_table
from search.runs import results, run_folder
from search.runs.members import Member, StoredRun, front_members
from search.settings import values
from search.settings.options import Settings
from search.settings.start import claim_new, give_up, resumed
from trainables.errors import DropinError

PathArgument = str | PathLike[str]


class Front(NamedTuple):
    """A Pareto front of EER on dev and size: detectors that no other trial beats in both.

    Attributes:
        table: a row for each member, smallest first; the columns of ``front.parquet``. EERs are fractions.
        members: the same detectors, for `load_detector`.
    """

    table: pa.Table
    members: list[Member]


class Run:
    """A run, finished or not, as its folder tells it."""

    def __init__(self, stored: StoredRun) -> None:
        """Take a run that was read."""
        self._stored = stored

    @classmethod
    def find(cls, source: Path | str, cache: Path | None = None) -> Run:
        """Read a run's folder, or that whose copy a URI names; `cache` is where it is pulled to."""
        return cls(StoredRun.find(source, cache))

    @property
    def folder(self) -> Path:
        """The run's folder, absolute."""
        return self._stored.folder

    @property
    def settings(self) -> Settings:
        """What was asked for."""
        return self._stored.settings

    @property
    def trials(self) -> pa.Table:
        """A row for every ended trial, by number; the columns of ``results.parquet``."""
        return results.results_table(self._stored.records)

    @property
    def front(self) -> Front:
        """The Pareto front; empty where no trial has completed.

        >>> run.front.table.column("size").to_pylist() == [member.size for member in run.front.members]
        True
        """
        return Front(results.front_table(self._stored.records), front_members(self._stored))

    def export(
        self,
        folder: PathArgument,
        *,
        corpus_root: PathArgument | None = None,
        cache: PathArgument | None = None,
        skip_bad_files: bool = False,
        calibration_prior: float = 0.5,
        display: Display | None = None,
    ) -> list[DetectorResult]:
        """Score the front on dev and eval, and write tables, a picture and the detectors with their cards.

        The detectors are calibrated on dev: their scores are log-likelihood ratios of bona fide against spoofed speech.

        Args:
            folder: what to write; an earlier export there is replaced, anything else is left alone.
            corpus_root: where the run's corpus lies now; ``None`` for where it was.
            cache: folder of caches; ``None`` for the run's.
            skip_bad_files: leave out up to 1 % of unreadable files.
            calibration_prior: prior of bona fide speech, between 0 and 1, that the calibration and the threshold of the
                verdict are made for; 0.5 means that both errors weigh the same.
            display: shows how far it is; ``None`` for nothing.

        Returns:
            A row for each member of the front, smallest first, then for what it is compared with.

        Raises:
            DropinError: no front, another corpus than the run's, a damaged detector, a folder that is not ours, or a
                prior outside of (0, 1).

        >>> entries = run.export(scratch / "front")
        >>> (scratch / "front" / "front.csv").is_file()
        True
        """
        home.provide()
        # Only now: matplotlib looks for a home folder when it is imported.
        from search.reporting.export import export

        try:
            prior = values.PROBABILITY.checked(calibration_prior)
        except DropinError as error:
            raise DropinError(f"calibration_prior {error}") from error
        own, display = self.settings, display or make_display(quiet=True)
        with display:
            return export(
                self._stored,
                values.PATH.checked(Path(folder)),
                root=own.corpus_root if corpus_root is None else values.PATH.checked(Path(corpus_root)),
                cache=own.cache if cache is None else values.PATH.checked(Path(cache)),
                skip_bad_files=skip_bad_files,
                calibration_prior=prior,
                display=display,
            )

    def report(
        self,
        to: PathArgument | None = None,
        *,
        front: PathArgument | None = None,
        evaluations: Sequence[PathArgument] = (),
        picture: PathArgument | None = None,
    ) -> Path:
        """Write the report, one HTML page that needs no network.

        Args:
            to: the page; ``None`` for ``report.html`` in the run's folder.
            front: folder of an export of the run, for EER on eval and attack by attack.
            evaluations: folders that `search.evaluate` wrote for detectors of `front`, for their EER on other corpora.
            picture: a PNG of the front of `front` with its EER on dev, eval and every other corpus; ``None`` for none.

        Returns:
            The page.

        Raises:
            DropinError: no trial has ended, `to` is no HTML file, `picture` no PNG, `front` is no export of this run,
                an evaluation is none of `front`, or there are evaluations or a picture without `front`.

        >>> run.report().name
        'report.html'
        """
        home.provide()
        # Only now: plotly and Optuna take a while to import, and matplotlib with them.
        from search.page.document import document
        from search.page.report_data import ReportData
        from search.page.target import check_target
        from search.reporting.corpora_picture import write_picture

        target = self._stored.paths.report if to is None else values.PATH.checked(Path(to))
        check_target(target)
        drawn = None if picture is None else values.PATH.checked(Path(picture))
        if drawn is not None:
            check_target(drawn, "--picture", ".png")
        data = ReportData.from_run(
            self._stored, None if front is None else Path(front), [Path(one) for one in evaluations]
        )
        page = document(data)
        target.parent.mkdir(parents=True, exist_ok=True)
        if drawn is not None:
            write_picture(drawn, self._stored, data.compared)
        run_folder.write_text(target, page)
        return target

    def confirm(self, seeds: int = 3, *, controls: bool = False, quiet: bool = True) -> pa.Table:
        """Train the front anew with fresh seeds, base included; a second call goes on.

        Args:
            seeds: how many.
            controls: train what members are compared with as well.
            quiet: show nothing meanwhile.

        Returns:
            A row for each detector and seed with its EER on dev and eval (fractions).

        Raises:
            DropinError: no front, or another corpus than the run's.
        """
        supervisor.confirm(self._stored, seeds, controls=controls, quiet=quiet).raise_error()
        return confirmation_table.read(self._stored.paths.confirmation_table)

    def resume(self, *, quiet: bool = True, **changed: Any) -> Run:
        """Go on with the run.

        Args:
            quiet: show nothing meanwhile.
            changed: options to change, such as ``trials=60``: how long and where, never what.

        Returns:
            The run as it is then.

        Raises:
            DropinError: an option that a resumed run keeps.
        """
        return _carry_out(resumed(str(self.folder), **changed), quiet=quiet)

    def __repr__(self) -> str:
        """Folder, trials and members of the front."""
        return f"<Run {self.folder}: {len(self._stored.records)} trials ended, {len(self.front.members)} on the front>"


def run_search(settings: Settings, *, quiet: bool = True) -> Run:
    """Search, from nothing to a Pareto front: read the corpus, train the base, run the trials.

    Where something breaks the search off, what had ended is kept: `open_run` opens it, and its `Run.resume` goes on.

    Args:
        settings: what to search, how and where.
        quiet: show nothing meanwhile; otherwise what ``python -m search.run`` shows.

    Returns:
        The run.

    Raises:
        DropinError: the search cannot begin: the name is taken, the corpus is not usable, an option is wrong.
        KeyboardInterrupt: interrupted before the first trial.
        Exception: what broke it off.

    >>> from search import Settings, run_search
    >>> run = run_search(Settings(space="plasticity", corpus="synthetic", trials=2, **tiny))
    >>> run.trials.column("state").to_pylist()
    ['COMPLETE', 'COMPLETE']
    """
    claim_new(settings)
    return _carry_out(settings, quiet=quiet, new=True)


def open_run(source: PathArgument) -> Run:
    """Open a run, finished or not.

    Args:
        source: its folder, or the URI of its copy in a bucket.

    Raises:
        DropinError: no run, or a file of it cannot be read.

    >>> from search import open_run
    >>> open_run(run.folder).settings == run.settings
    True
    """
    found = values.PATH_OR_URI.checked(source if isinstance(source, str) else Path(source))
    return Run.find(found)


def _carry_out(settings: Settings, *, quiet: bool, new: bool = False) -> Run:
    outcome = supervisor.search(settings, quiet=quiet)
    if new and outcome.error is not None and not outcome.begun:
        give_up(settings)
    outcome.raise_error()
    return Run(StoredRun.open(settings.run_folder))
