"""What pictures and lines say of a run: how far it is, a caption, and the points of its trials."""

from __future__ import annotations

from search.reporting.front_picture import Caption
from search.runs.members import StoredRun


def progress_text(run: StoredRun) -> str:
    """How many trials have ended."""
    ended, wanted = len(run.records), run.settings.trials
    return f"{ended} trials ended" if wanted is None or ended >= wanted else f"{ended} of {wanted} trials ended so far"


def caption(run: StoredRun, front: int) -> Caption:
    """The caption of a picture of the run's front of `front` members."""
    settings = run.settings
    facts = f"{progress_text(run)}, {front} on the front; {settings.epochs} epochs a trial, seed {settings.seed}"
    title = f"{settings.space}: {settings.model} on {run.corpus['name']}"
    return Caption(title, facts, str(run.corpus.get("note", "")))


def completed_points(run: StoredRun) -> list[tuple[int, float]]:
    """Size and dev EER of the completed trials; not of those that were stopped: their EER is that of an epoch."""
    ended = [one for one in run.records if one.state == "COMPLETE"]
    return [(one.size, one.eer) for one in ended if one.size is not None and one.eer is not None]
