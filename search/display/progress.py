"""Progress of a run in the terminal: a live panel, or plain lines where there is no terminal."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from search.cluster.ray_cluster import Cluster
from search.display.terminal import cell
from search.runs.front import Standings, separated
from search.runs.record import Record
from trainables.printable import printable

logger = logging.getLogger(__name__)
REFRESH_PER_SECOND = 2
PLAIN_STEPS = 4
"""How many lines a task gets where there is no terminal."""


class Display:
    """The progress display of a run.

    A context manager. Within it the panel is drawn, and what other code prints (notices of Ray, progress bars of
    libraries) goes to the run's log instead of the terminal.
    """

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Draw on `console` (stdout by default); `clock` gives seconds."""
        self._console = console or Console(file=sys.stdout, highlight=False)
        self._clock = clock
        self._live: Live | None = None
        self._redirected = contextlib.ExitStack()
        self._facts: dict[str, str] = {}
        self._work: dict[str, tuple[int, int]] = {}
        self._running: dict[int, tuple[int, int]] = {}
        self._standings = Standings()
        self._trials: int | None = None
        self._began: float | None = None
        self._deadline = float("inf")
        self._before = 0

    def __enter__(self) -> Display:
        """Start drawing."""
        self._redirected.enter_context(contextlib.redirect_stdout(_IntoLog()))
        self._redirected.enter_context(contextlib.redirect_stderr(_IntoLog()))
        if self._console.is_terminal:
            self._live = Live(
                console=self._console,
                get_renderable=self.render,
                refresh_per_second=REFRESH_PER_SECOND,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing; the last panel stays on the screen."""
        if self._live is not None:
            self._live.__exit__(kind, error, trace)
            self._live = None
        self._redirected.close()

    def status(self, name: str, text: str) -> None:
        """Show a lasting line, such as the dashboard's address; a second call with this name replaces it."""
        self._facts[name] = text
        self._line(f"{name}: {text}")

    def cluster(self, cluster: Cluster) -> None:
        """Show workers and resources, and how the dashboard is reached."""
        gpus = f", {cluster.gpus:g} GPU" if cluster.gpus else ""
        self.status("workers", f"{cluster.concurrent} at once, {cluster.cpus} CPU{gpus} each")
        self._facts.pop("waiting for", None)
        if cluster.waiting:
            self.status("waiting for", cluster.waiting)
        if cluster.dashboard:
            far = f"from another machine first `{cluster.tunnel}`" if cluster.tunnel else None
            how = "; ".join(filter(None, (cluster.login, far)))
            self.status("dashboard", f"{cluster.dashboard}{f' ({how})' if how else ''}")

    def message(self, text: str) -> None:
        """Print a message once, above the panel."""
        self._console.print(_shown(text), soft_wrap=True)

    def progress(self, what: str, done: int, total: int) -> None:
        """Update the progress of a task, such as features or the base; ``done == total`` ends it."""
        before, _ = self._work.get(what, (0, total))
        self._work[what] = (done, total)
        if done >= total:
            del self._work[what]
        if total and (done * PLAIN_STEPS // total > before * PLAIN_STEPS // total):
            self._line(f"{what}: {done} of {total}")

    def start_trials(self, trials: int | None, standings: Standings, deadline: float = float("inf")) -> None:
        """Start to show trials: how many there will be, their standings (kept up to date elsewhere), the deadline."""
        self._trials, self._standings, self._deadline = trials, standings, deadline
        self._began, self._before = self._clock(), standings.ended

    def trial_epoch(self, number: int, epoch: int, epochs: int) -> None:
        """A trial is running, and has trained so many epochs."""
        self._running[number] = (epoch, epochs)

    def trials_finished(self) -> None:
        """No trial is running any more."""
        self._running.clear()

    def trial_ended(self, record: Record) -> None:
        """A trial ended, and is counted in the standings."""
        self._running.pop(record.number, None)
        self._line(f"{describe(record)}; {self._count()}{self._left()}")

    def table(self, front: Sequence[Record]) -> None:
        """Print a front, smallest detector first."""
        clear = separated(front)
        table = Table("trial", "parameters", "dev EER", "95 % interval", "weighted", box=SIMPLE_HEAD)
        for column in table.columns[1:]:
            column.justify = "right"
        for record in front:
            assert record.eer is not None
            assert record.weighted_eer is not None
            name = f"{record.number}" + (f" ({record.recipe})" if record.recipe else "")
            interval = "-"
            if record.eer_low is not None and record.eer_high is not None:
                mark = "" if clear[record.number] else "~ "
                interval = f"{mark}{100 * record.eer_low:.2f} to {100 * record.eer_high:.2f} %"
            errors = (f"{100 * record.eer:.2f} %", interval, f"{100 * record.weighted_eer:.2f} %")
            table.add_row(cell(name), f"{record.size:,}", *errors)
        self._console.print(table)
        if not all(clear.values()):
            self.message("~: dev has too few utterances to tell this detector from its neighbours by EER")

    def show(self, what: RenderableType) -> None:
        """Print a table or the like."""
        self._console.print(what)

    def render(self) -> RenderableType:
        """The panel. It is called in a thread of its own, and so iterates over copies of what changes meanwhile."""
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column()
        for name, text in list(self._facts.items()):
            grid.add_row(name, _shown(text))
        for what, (done, total) in list(self._work.items()):
            grid.add_row(what, _bar(done, total))
        if self._began is not None:
            grid.add_row("trials", self._count())
            if self._trials:
                grid.add_row("", _bar(self._standings.ended, self._trials))
            if self._running:
                running = ", ".join(f"{n} (epoch {a}/{b})" for n, (a, b) in sorted(self._running.items()))
                grid.add_row("running", running)
            if self._standings.best is not None:
                grid.add_row("best", _shown(describe(self._standings.best)))
                members = len(self._standings.front)
                grid.add_row("front", f"{members} detector{'s' if members > 1 else ''}")
            grid.add_row("time", f"{clock_text(self._clock() - self._began)} gone{self._left()}")
        return grid

    def _count(self) -> str:
        total = "" if self._trials is None else f" of {self._trials}"
        standings = self._standings
        return f"{standings.ended}{total} ended, {len(self._running)} running, {standings.states['FAIL']} failed"

    def _left(self) -> str:
        """The estimated time left, where it can be estimated."""
        if self._began is None:
            return ""
        left = self._deadline - self._clock()
        ended = self._standings.ended - self._before
        if self._trials is not None and ended:
            left = min(left, (self._clock() - self._began) / ended * (self._trials - self._standings.ended))
        return f", about {clock_text(max(0.0, left))} left" if left < float("inf") else ""

    def _line(self, text: str) -> None:
        if self._live is None:
            self._console.print(_shown(text), soft_wrap=True)


def make_display(*, quiet: bool) -> Display:
    """A display on stdout, or one that shows nothing."""
    return Display(Console(quiet=True, force_jupyter=False)) if quiet else Display()


class _IntoLog(io.TextIOBase):
    """A text stream that logs its lines."""

    def __init__(self) -> None:
        self._rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                logger.info("printed: %s", line.rstrip())
        return len(text)


def describe(record: Record) -> str:
    """A trial in one line."""
    name = f"trial {record.number}" + (f" ({record.recipe})" if record.recipe else "")
    if record.state == "FAIL":
        return f"{name} failed: {record.error}"
    if record.eer is None or record.size is None or record.weighted_eer is None:
        return f"{name} was stopped"
    numbers = f"EER {100 * record.eer:.2f} % at {record.size:,} parameters, weighted {100 * record.weighted_eer:.2f} %"
    return f"{name} was stopped at {numbers}" if record.state == "PRUNED" else f"{name}: {numbers}"


def clock_text(seconds: float) -> str:
    """Seconds as minutes and seconds (``3:07``), with hours where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _shown(text: str) -> str:
    """A text without markup and control characters."""
    return escape(printable(text, "\n"))


def _bar(done: int, total: int) -> RenderableType:
    row = Table.grid(padding=(0, 1))
    row.add_row(ProgressBar(total=max(1, total), completed=done, width=30), Text(f"{done} of {total}"))
    return Group(row)
