"""The page itself: all parts put together into one file that asks nothing of any network.

Whatever comes from files is text: jinja2 escapes it in the page, `figure.plain` in plots, and cards are data that the
page's script shows as text. Should a piece of it ever pass for a script, the page's policy does not let it run: only
the scripts whose digests it names do.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

import jinja2
from plotly.offline import get_plotlyjs

from search.page import attacks, comparison, costs, front, history, importance, numbers, trial_cards, widths
from search.page.figure import Figure
from search.page.report_data import ReportData
from search.runs.front import best_of, separated
from search.settings.options import Settings

TEMPLATE, STYLE, SCRIPT = "page.html", "page.css", "page.js"


def document(subject: ReportData) -> str:
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
        "percent": numbers.percent,
        "count": numbers.count,
        "duration": numbers.duration,
        "spread": comparison.spread,
        "share": numbers.share,
    }
    run = subject.run
    drawn = importance.importance(run.paths.study, run.settings.objective)
    figures = {**_figures(subject), **{f"importance-{i}": one for i, one in enumerate(_importances(drawn))}}
    best = best_of(run.records)
    return environment.get_template(TEMPLATE).render(
        policy=_policy(scripts),
        style=_text(STYLE),
        scripts=scripts,
        data={"figures": figures, "cards": trial_cards.cards(subject)},
        subject=subject,
        settings=run.settings,
        facts=facts(subject),
        states={state: sum(one.state == state for one in run.records) for state in trial_cards.STATES},
        figures=figures,
        first=front.BASE if best is None else best.number,
        separated=separated(subject.front),
        interval=numbers.interval,
        compared=comparison.compared(subject),
        confirmed=comparison.confirmed(run.folder),
        timed=history.timed(run.records),
        importance=drawn,
        costs=costs.costs(run.records, run.settings),
        failures=[one for one in run.records if one.state == "FAIL"],
    )


def facts(subject: ReportData) -> list[tuple[str, str]]:
    """What the run is, for the page's head: names and texts."""
    run, settings = subject.run, subject.run.settings
    states = [one.state for one in run.records]
    ended = f"{len(states):,} ended"
    if settings.trials is not None and settings.trials > len(states):
        ended = f"{len(states):,} of {settings.trials:,} ended"
    how = ", ".join(f"{states.count(state):,} {words}" for words, state, _ in costs.ENDINGS)
    return [
        ("space", settings.space),
        ("model", " ".join([settings.model, *(f"{key}={value}" for key, value in settings.model_option.items())])),
        ("corpus", str(run.corpus["name"])),
        ("when", _when(subject)),
        ("trials", f"{ended}: {how}"),
        ("objective", _objective(settings)),
        ("search", f"sampler {settings.sampler}, early stopping {settings.stopping}, {settings.epochs} epochs a trial"),
        ("seed", str(settings.seed)),
    ]


def _when(subject: ReportData) -> str:
    records = subject.run.records
    if not history.timed(records):
        return "not recorded by the version that made the run"
    begins = [float(one.ended or 0) - (one.seconds or 0.0) for one in records]
    return numbers.period(min(begins), max(float(one.ended or 0) for one in records))


def _objective(settings: Settings) -> str:
    if settings.objective == "pareto":
        return f"EER and parameters; weighted EER with size weight {settings.size_weight:g}"
    return f"weighted EER, size weight {settings.size_weight:g}"


def _figures(subject: ReportData) -> dict[str, Figure]:
    """All plots but those of importance, by the id of their place in the page."""
    records = subject.run.records
    found = {
        "front": front.front_figure(subject),
        "attacks-dev": attacks.attack_figure(subject, "dev"),
        "attacks-eval": attacks.attack_figure(subject, "eval"),
        "places": widths.places_figure(subject.front, subject.base.widths),
        **history.course_figures(records, subject.base.size),
        **costs.cost_figures(records),
    }
    return {name: one for name, one in found.items() if one is not None}


def _importances(found: importance.Importance) -> list[Figure]:
    return list(importance.importance_figures(found).values())


def _policy(scripts: list[str]) -> str:
    """A content security policy under which these scripts run, no other does, and nothing is fetched."""
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"


def _text(name: str) -> str:
    return (resources.files("search.page") / name).read_text(encoding="utf-8")
