"""Cards with the details of a trial or the base, which the page shows when its point is selected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search.page.front import BASE
from search.page.numbers import UNKNOWN, count, duration, interval, percent, share
from search.page.report_data import Base, ReportData
from search.reporting.plan_words import plan_in_words
from search.runs.record import Record

STATES: Mapping[str, str] = {"COMPLETE": "completed", "PRUNED": "stopped early", "FAIL": "failed"}


def cards(data: ReportData) -> dict[str, dict[str, Any]]:
    """A card for every ended trial, by number, and for the base: plain text only."""
    on_front = {record.number for record in data.front}
    found = {str(one.number): card(one, data.base, on_front=one.number in on_front) for one in data.run.records}
    return {**found, BASE: base_card(data.base, data.run.settings.base_epochs)}


def card(record: Record, base: Base, *, on_front: bool) -> dict[str, Any]:
    """The card of a trial.

    Returns:
        ``title``, ``state``, ``numbers`` (name and text), ``plan`` (clauses), ``widths`` (site, neurons of the base,
        neurons of the trial) and ``error``, which may be ``None``.
    """
    suffix = "" if record.state == "COMPLETE" else ", last epoch"
    numbers = [
        (f"EER on dev{suffix}", percent(record.eer)),
        ("95 % interval", interval(record.eer_low, record.eer_high)),
        ("weighted EER", percent(record.weighted_eer)),
        ("parameters", count(record.size)),
        ("share of the base", share(record.size, base.size)),
        ("trainable parameters", count(record.trainable_parameters)),
        ("epochs", str(record.epochs)),
        ("duration", duration(record.seconds)),
        ("duration of a step", duration(record.seconds_step)),
    ]
    state = STATES.get(record.state, record.state)
    return {
        "title": f"Trial {record.number}" + (f" ({record.recipe})" if record.recipe else ""),
        "state": f"{state}, on the front" if on_front else state,
        "numbers": [[name, text] for name, text in numbers if text != UNKNOWN],
        "plan": plan_in_words(record.plan),
        "widths": [[site, base.widths.get(site, 0), width] for site, width in record.total_widths.items()],
        "error": record.error,
    }


def base_card(base: Base, epochs: int) -> dict[str, Any]:
    """The card of the base; see `card`."""
    return {
        "title": "Base",
        "state": "all trials start from it",
        "numbers": [["EER on dev", percent(base.eer)], ["parameters", count(base.size)], ["epochs", str(epochs)]],
        "plan": [],
        "widths": [[site, width, width] for site, width in base.widths.items()],
        "error": None,
    }
