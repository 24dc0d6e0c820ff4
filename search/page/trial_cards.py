"""What the page says of a single trial, or of the base, when it is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search.page.front import BASE
from search.page.numbers import NOTHING, count, duration, interval, percent, share
from search.page.report_data import Base, ReportData
from search.reporting.plan_words import plan_in_words
from search.runs.record import Record

STATES: Mapping[str, str] = {"COMPLETE": "ran to its end", "PRUNED": "stopped early", "FAIL": "failed"}


def cards(subject: ReportData) -> dict[str, dict[str, Any]]:
    """A card for every ended trial, by number, and for the base: plain text only."""
    on_front = {record.number for record in subject.front}
    found = {str(one.number): card(one, subject.base, on_front=one.number in on_front) for one in subject.run.records}
    return {**found, BASE: base_card(subject.base, subject.run.settings.base_epochs)}


def card(record: Record, base: Base, *, on_front: bool) -> dict[str, Any]:
    """The card of a trial.

    Returns:
        ``title``, ``state``, ``numbers`` (name and text), ``plan`` (clauses), ``widths`` (site, neurons of the base,
        neurons now) and ``error``, which may be ``None``.
    """
    late = "" if record.state == "COMPLETE" else ", of its last epoch"
    numbers = [
        (f"EER on dev{late}", percent(record.eer)),
        ("95 % interval", interval(record.eer_low, record.eer_high)),
        ("weighted EER", percent(record.weighted_eer)),
        ("parameters", count(record.size)),
        ("of the base", share(record.size, base.size)),
        ("trained at last", count(record.trainable_parameters)),
        ("epochs", str(record.epochs)),
        ("time", duration(record.seconds)),
        ("of a training step", duration(record.seconds_step)),
    ]
    state = STATES.get(record.state, record.state)
    return {
        "title": f"Trial {record.number}" + (f" ({record.recipe})" if record.recipe else ""),
        "state": f"{state}, on the front" if on_front else state,
        "numbers": [[name, text] for name, text in numbers if text != NOTHING],
        "plan": plan_in_words(record.plan),
        "widths": [[site, base.widths.get(site, 0), width] for site, width in record.total_widths.items()],
        "error": record.error,
    }


def base_card(base: Base, epochs: int) -> dict[str, Any]:
    """The card of what all trials began with; see `card`."""
    return {
        "title": "Base",
        "state": "which all trials begin with",
        "numbers": [["EER on dev", percent(base.eer)], ["parameters", count(base.size)], ["epochs", str(epochs)]],
        "plan": [],
        "widths": [[site, width, width] for site, width in base.widths.items()],
        "error": None,
    }
