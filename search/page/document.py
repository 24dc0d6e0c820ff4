"""The page: all parts rendered into one HTML file that makes no network requests.

Everything that comes from files is text: jinja2 escapes it in the page, `figure.escape` in figures, and cards are data
that the page's script shows as text. If some of it were taken for a script, the content security policy would block it:
it allows only the scripts whose digests it has.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

import jinja2
from plotly.offline import get_plotlyjs

from search.page import (
    attacks,
    comparison,
    conditions,
    costs,
    front,
    history,
    importance,
    numbers,
    other_corpora,
    trial_cards,
    widths,
)
from search.page.figure import Figure
from search.page.report_data import ReportData
from search.runs.front import best_of, separated
from search.settings.options import Settings

TEMPLATE, STYLE, SCRIPT = "page.html", "page.css", "page.js"


def document(data: ReportData) -> str:
    """The report as HTML.

    Raises:
        DropinError: a file of the run cannot be read.
    """
    scripts = [get_plotlyjs(), _text(SCRIPT)]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("search.page", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "quoted": numbers.quoted,
        "percent": numbers.percent,
        "count": numbers.count,
        "duration": numbers.duration,
        "spread": comparison.spread,
        "share": numbers.share,
    }
    run = data.run
    evaluated = importance.importance(run.paths.study, run.settings.objective)
    bars = importance.importance_figures(evaluated).values()
    figures = {**_figures(data), **{f"importance-{i}": one for i, one in enumerate(bars)}}
    best = best_of(run.records)
    return environment.get_template(TEMPLATE).render(
        policy=_policy(scripts),
        style=_text(STYLE),
        scripts=scripts,
        data={"figures": figures, "cards": trial_cards.cards(data)},
        report=data,
        settings=run.settings,
        facts=facts(data),
        states={state: sum(one.state == state for one in run.records) for state in trial_cards.STATES},
        figures=figures,
        first=front.BASE if best is None else best.number,
        separated=separated(data.front),
        interval=numbers.interval,
        references=comparison.references(data),
        confirmations=comparison.confirmations(run.folder),
        evaluations=conditions.evaluation_tables(data.compared),
        measures=[name for name, _ in conditions.MEASURES],
        ranks=[] if data.compared is None else other_corpora.ranks(data.compared),
        timed=history.has_times(run.records),
        importance=evaluated,
        costs=costs.costs(run.records, run.settings),
        failures=[one for one in run.records if one.state == "FAIL"],
    )


def facts(data: ReportData) -> list[tuple[str, str]]:
    """Settings and progress of the run for the page's header: names and texts."""
    run, settings = data.run, data.run.settings
    states = [one.state for one in run.records]
    ended = f"{len(states):,} ended"
    if settings.trials is not None and settings.trials > len(states):
        ended = f"{len(states):,} of {settings.trials:,} ended"
    by_state = ", ".join(f"{states.count(state):,} {name}" for name, state, _ in costs.STATES)
    return [
        ("space", settings.space),
        ("model", " ".join([settings.model, *(f"{key}={value}" for key, value in settings.model_option.items())])),
        ("corpus", str(run.corpus["name"])),
        ("time", _period(data)),
        ("trials", f"{ended}: {by_state}"),
        ("objective", _objective(settings)),
        ("search", f"sampler {settings.sampler}, early stopping {settings.stopping}, {settings.epochs} epochs a trial"),
        ("seed", str(settings.seed)),
    ]


def _period(data: ReportData) -> str:
    records = data.run.records
    if not history.has_times(records):
        return "not recorded by the version that wrote the run"
    begins = [float(one.ended or 0) - (one.seconds or 0.0) for one in records]
    return numbers.period(min(begins), max(float(one.ended or 0) for one in records))


def _objective(settings: Settings) -> str:
    if settings.objective == "pareto":
        return f"EER and parameters; weighted EER with size weight {settings.size_weight:g}"
    return f"weighted EER, size weight {settings.size_weight:g}"


def _figures(data: ReportData) -> dict[str, Figure]:
    """All figures but those of importance, by their name in the page."""
    records = data.run.records
    found = {
        "front": front.front_figure(data),
        "attacks-dev": attacks.attack_figure(data, "dev"),
        "attacks-eval": attacks.attack_figure(data, "eval"),
        "corpora": other_corpora.corpora_figure(data.compared),
        "widths": widths.widths_figure(data.front, data.base.widths),
        **history.history_figures(records, data.base.size),
        **costs.cost_figures(records),
    }
    return {name: one for name, one in found.items() if one is not None}


def _policy(scripts: list[str]) -> str:
    """A content security policy that allows these scripts only, and no network requests."""
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"


def _text(name: str) -> str:
    return (resources.files("search.page") / name).read_text(encoding="utf-8")
