"""EERs of the front on other corpora than the run's dev split, side by side, and whether the order of dev holds there.

The rank correlation is Spearman's: C. Spearman, "The Proof and Measurement of Association between Two Things", American
Journal of Psychology 15 (1904); ties have the mean of their ranks.
"""

from __future__ import annotations

from dataclasses import dataclass

from scipy.stats import rankdata, spearmanr

from search.page.figure import Figure, axis, escape, figure
from search.page.front import size_axis
from search.page.numbers import count, interval, percent
from search.reporting.side_by_side import Column, ShownDetector, SideBySide

MIN_MEMBERS = 4
"""Members below which a rank correlation says nothing."""
HOLDS, PARTLY = 0.8, 0.4
"""Spearman's correlation from which an order holds, and from which it holds in part."""
MAIN_COLOUR = "--front"
COLOURS = ("--line-a", "--line-b", "--line-c", "--line-d", "--line-e", "--line-f")
SYMBOLS = ("square", "diamond", "triangle-up", "triangle-down", "cross", "x")
"""As the picture has them; dev has circles."""
DASHES = ("solid", "dash", "dot", "dashdot")


@dataclass(frozen=True)
class Ranks:
    """The order of a front's members by EER on a corpus, compared with that on dev.

    Attributes:
        name: of the corpus.
        members: number of members that both are known of, at least `MIN_MEMBERS`.
        correlation: Spearman's, from -1 to 1; ``None`` where all have the same EER on one of the two.
        kept: trials that have the same rank on both.
        best_dev, best: trials of lowest EER on dev and on the corpus; of several the smallest.
        place: rank of `best_dev` on the corpus, 1 for the lowest EER; of equal ones the lowest.
    """

    name: str
    members: int
    correlation: float | None
    kept: tuple[int, ...]
    best_dev: int
    best: int
    place: int

    @property
    def words(self) -> str:
        """In words."""
        if self.correlation is None:
            return f"all {self.members} members have the same EER, here or on dev, so there is no order to compare."
        shown = round(self.correlation, 2)
        number = f"(Spearman {shown:.2f} over {self.members} members)"
        if shown >= HOLDS:
            order = f"the order of dev holds {number}."
        elif shown >= PARTLY:
            order = f"the order of dev holds in part {number}."
        elif shown > -PARTLY:
            order = f"the order of dev does not hold: it says next to nothing about the order here {number}."
        else:
            order = f"the order of dev is reversed: members that are better there tend to be worse here {number}."
        same = f" Same rank on both: {_trials(self.kept)}." if self.kept else " No member has the same rank on both."
        if self.best == self.best_dev:
            return f"{order} Best on both is trial {self.best}.{same}"
        where = "among the best" if self.place == 1 else f"number {self.place}"
        return f"{order} Best here is trial {self.best}; that of dev, trial {self.best_dev}, is {where}.{same}"


def _trials(numbers: tuple[int, ...]) -> str:
    return f"trial{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def ranks(compared: SideBySide) -> list[Ranks]:
    """Compare the order of the members on every corpus with that on dev; corpora of fewer members are left out."""
    dev, *others = compared.columns
    found = [_ranks(dev, column, compared.members) for column in others]
    return [one for one in found if one is not None]


def _ranks(dev: Column, column: Column, members: list[ShownDetector]) -> Ranks | None:
    both = [one for one in members if one.name in column.cells and one.trial is not None]
    if len(both) < MIN_MEMBERS:
        return None
    trials = [one.trial for one in both if one.trial is not None]
    there, here = ([values.cells[one.name].eer for one in both] for values in (dev, column))
    constant = len(set(there)) == 1 or len(set(here)) == 1
    rank_there, rank_here = rankdata(there), rankdata(here)
    best_dev, best = there.index(min(there)), here.index(min(here))
    return Ranks(
        column.name,
        len(both),
        None if constant else float(spearmanr(there, here).statistic),
        tuple(trial for trial, a, b in zip(trials, rank_there, rank_here, strict=True) if a == b),
        trials[best_dev],
        trials[best],
        1 + sum(eer < here[best_dev] for eer in here),
    )


def corpora_figure(compared: SideBySide | None) -> Figure | None:
    """EER against parameters, a line for each corpus; ``None`` without evaluations."""
    if compared is None or not any(column.evaluated for column in compared.columns):
        return None
    members = compared.members
    traces = [_line(column, index, members) for index, column in enumerate(compared.columns)]
    return figure(
        f"EER against parameters of the front's {len(members)} members on {len(traces)} corpora",
        [one for one in traces if one["x"]],
        size_axis([one.size for one in members]),
        axis("EER, %", rangemode="tozero"),
        height=440,
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
    )


def _line(column: Column, index: int, members: list[ShownDetector]) -> dict[str, object]:
    """The trace of a corpus: `index` 0 is dev."""
    found = [(one, column.cells[one.name]) for one in members if one.name in column.cells]
    turn, place = divmod(index - 1, len(COLOURS))
    colour, symbol, dash = MAIN_COLOUR, "circle", DASHES[0]
    if index:
        colour, symbol, dash = COLOURS[place], SYMBOLS[place], DASHES[turn % len(DASHES)]
    ends = [cell.interval or (cell.eer, cell.eer) for _, cell in found]
    pairs = [(low, cell.eer, high) for (_, cell), (low, high) in zip(found, ends, strict=True)]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": escape(column.name),
        "x": [one.size for one, _ in found],
        "y": [100 * cell.eer for _, cell in found],
        "line": {"color": colour, "width": 2, "dash": dash},
        "marker": {"color": colour, "size": 8, "symbol": symbol},
        "error_y": {
            "type": "data",
            "symmetric": False,
            # At least 0: a bootstrap interval of few utterances may lie beside the EER.
            "array": [100 * max(0.0, high - eer) for _, eer, high in pairs],
            "arrayminus": [100 * max(0.0, eer - low) for low, eer, _ in pairs],
            "color": colour,
            "thickness": 1,
            "width": 3,
        },
        "customdata": [one.trial for one, _ in found],
        "hovertext": [_hover_text(column, one) for one, _ in found],
        "hoverinfo": "text",
    }


def _hover_text(column: Column, detector: ShownDetector) -> str:
    cell = column.cells[detector.name]
    ends = "" if cell.interval is None else f"<br>95 % interval {interval(*cell.interval)}"
    about = f"EER {percent(cell.eer)}, {count(detector.size)} parameters"
    return f"<b>trial {detector.trial}</b> on {escape(column.name)}<br>{about}{ends}"
