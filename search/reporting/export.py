"""An export of a front: tables, a picture, and each detector with its card. It scores dev and eval."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search.display.progress import Display
from search.reporting import cards, export_folder
from search.reporting.front_picture import draw_front
from search.reporting.measurement import load_scoring_data, score_detector
from search.reporting.run_facts import caption, completed_points, progress_text
from search.reporting.tables import DetectorResult, write_tables
from search.runs.members import StoredRun, members
from trainables.models.architecture import Architecture
from trainables.storage.checkpoint import load_detector, save_detector


def export(
    run: StoredRun,
    target: Path,
    *,
    root: Path | None,
    cache: Path,
    skip_bad_files: bool,
    calibration_prior: float,
    display: Display,
) -> list[DetectorResult]:
    """Score the front and what it is compared with on dev and eval, and write it all to `target`, whole or not at all.

    Each detector is calibrated on dev first: its card says how its scores become log-likelihood ratios; weights stay.

    Args:
        run: finished or not; what there is gets exported.
        target: absolute folder; see `export_folder.check`.
        root: where the run's corpus lies now.
        cache: folder of caches.
        skip_bad_files: leave out up to 1 % of unreadable files, also where the run itself did not.
        calibration_prior: prior of bona fide speech, in (0, 1), for the calibration and its threshold.
        display: told how far it is.

    Returns:
        What was written: the front, smallest first, then recipes and base.

    Raises:
        DropinError: no front, another corpus than the run's, or a detector of the front is damaged.
        OSError: the export cannot be written.
    """
    shown = members(run)
    display.status("run", f"{run.folder}, {progress_text(run)}")
    first = load_detector(shown[0].folder)
    data = load_scoring_data(run, first.card, root=root, cache=cache, skip_bad_files=skip_bad_files, display=display)
    about = {"run": run.settings.name, "trials": len(run.records), "corpus": run.corpus["digest"]}
    with export_folder.atomic_folder(target, about) as folder:
        entries, kept = [], {}
        for done, member in enumerate(shown):
            display.progress("scoring detectors", done, len(shown))
            measured = score_detector(member, data, display, calibration_prior=calibration_prior)
            if measured is not None:
                entry, detector = measured
                entries.append(entry)
                if detector is not None and entry.folder is not None:
                    kept[entry.folder] = (entry, detector.card)
                    save_detector(
                        folder / entry.folder,
                        detector.arch,
                        detector.module.state_dict(),
                        cards.card_json(entry, detector.card, run),
                    )
        display.progress("scoring detectors", len(shown), len(shown))
        base = next((entry for entry in entries if entry.member.role == "base"), None)
        _write_cards(folder, run, kept, base)
        write_tables(folder, entries)
        draw_front(folder / "front.png", entries, completed_points(run), caption(run, len(kept)))
    return entries


def _write_cards(
    folder: Path,
    run: StoredRun,
    kept: Mapping[str, tuple[DetectorResult, Mapping[str, Any]]],
    base: DetectorResult | None,
) -> None:
    """The card of each exported detector, by its folder, as Markdown."""
    widths = Architecture.create(run.settings.model, run.settings.model_option).total_widths()
    for place, (entry, card) in kept.items():
        text = cards.card_markdown(entry, card, run, front=len(kept), base=base, base_widths=widths)
        (folder / place / "card.md").write_text(text, encoding="utf-8")
