"""The model card of an exported detector: as Markdown, and as the JSON of detector.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from search.reporting import markdown as md
from search.reporting.dev_calibration import DevCalibration
from search.reporting.evaluation import Evaluation
from search.reporting.plan_words import count_text, plan_in_words
from search.reporting.tables import DetectorResult
from search.runs.members import StoredRun

UNKNOWN = "-"


def card_json(result: DetectorResult, card: Mapping[str, Any], run: StoredRun) -> dict[str, Any]:
    """The card in detector.json: that of the run, and the results of the export."""
    record = result.member.record
    assert record is not None, "only trials are exported"
    return {
        **card,
        "run": run.settings.name,
        "recipe": record.recipe,
        "size": result.size,
        "macs": result.macs,
        "dev": result.dev and asdict(result.dev),
        "eval": result.eval and asdict(result.eval),
        **_calibration_json(result.calibrated),
    }


def _calibration_json(found: DevCalibration | None) -> dict[str, Any]:
    """Calibration, thresholds of calibrated scores, and the costs of log-odds by split."""
    if found is None:
        return {}
    return {
        "calibration": {**asdict(found.calibration), "prior": found.prior},
        "threshold": found.threshold,
        "eer_threshold": found.eer_threshold,
        "uncalibrated": {split: asdict(costs) for split, costs in found.before.items()},
    }


def card_markdown(
    result: DetectorResult,
    card: Mapping[str, Any],
    run: StoredRun,
    *,
    front: int,
    base: DetectorResult | None,
    base_widths: Mapping[str, int],
) -> str:
    """The card as Markdown.

    Args:
        result: of the detector, a member of the front.
        card: its card from the run.
        run: the run.
        front: number of members of the front.
        base: result of the base, if it could be loaded.
        base_widths: neurons of the base by site.
    """
    record, settings = result.member.record, run.settings
    assert record is not None, "only trials are exported"
    name = f" ({record.recipe})" if record.recipe else ""
    lines = [
        f"# Detector {result.member.name}",
        "",
        f"A {settings.model} that tells bona fide speech from deepfakes: {result.size:,} parameters, "
        f"{count_text(result.macs or 0)} multiply-accumulates for {card['seconds']:g} s of audio.",
        f"Trial {record.number}{name} of run {md.escape(settings.name)}; number {result.member.name} on its front of "
        f"{front}, counted from 0 for the smallest.",
        "",
        *_warning(run),
        "## Errors",
        "",
        *_errors(result, base),
        "",
        *_threshold(result),
        "",
        *_calibration(result),
        "",
        "Equal error rate by attack, its spoofs against all bona fide utterances:",
        "",
        *_attacks(result),
        "",
        "## Use",
        "",
        *_use(card),
        "",
        "## Plan",
        "",
        f"From a {settings.model} of {_base_size(base)} trained for {settings.base_epochs} epochs:",
        "",
        *(f"- {clause}" for clause in plan_in_words(record.plan)),
        "",
        *_widths(base_widths, record.total_widths),
        "",
        "## Origin",
        "",
        *_origin(card, run),
    ]
    return "\n".join(lines) + "\n"


def _use(card: Mapping[str, Any]) -> list[str]:
    return [
        "    python -m search.score FOLDER FILE...",
        "",
        "with the folder of this card. It reads any file that libsndfile decodes, at any sampling rate, and scores all "
        f"of it in windows of {card['seconds']:g} s; a shorter one is repeated. The errors above are those of the "
        "first window alone (`--windows first`). The score is the log-likelihood ratio of bona fide against spoofed "
        "speech. In Python: `search.load_detector(folder)`.",
    ]


def _origin(card: Mapping[str, Any], run: StoredRun) -> list[str]:
    return [
        f"- corpus {md.escape(str(run.corpus['name']))}, digest `{run.corpus['digest']}`",
        f"- seed {card['seed']}, weights of epoch {card['epoch']} of {card['epochs']}, chosen on dev; "
        "nothing was chosen on eval",
        f"- front end {card['front_end']}",
    ]


def _base_size(base: DetectorResult | None) -> str:
    """The base's size in words."""
    return "unknown size" if base is None else f"{base.size:,} parameters"


def _warning(run: StoredRun) -> list[str]:
    return [f"> {md.escape(str(run.corpus['note']))}", ""] if run.corpus.get("note") else []


def _errors(result: DetectorResult, base: DetectorResult | None) -> list[str]:
    rows = [["EER", _percent(result.eer_dev), _percent(result.eer_eval)]]
    if result.dev is not None:
        on_eval = UNKNOWN if result.eval is None else _interval(result.eval)
        rows.append(["95 % interval", _interval(result.dev), on_eval])
    costs = [split.min_tdcf if split else None for split in (result.dev, result.eval)]
    if costs != [None, None]:
        rows.append(["min t-DCF", *map(_cost, costs)])
    if base is not None:
        rows.append(["EER of the base", _percent(base.eer_dev), _percent(base.eer_eval)])
    return md.table(["", "dev", "eval"], rows)


def _interval(evaluation: Evaluation) -> str:
    return " to ".join(_percent(end) for end in evaluation.interval)


def _threshold(result: DetectorResult) -> list[str]:
    found = result.calibrated
    assert found is not None, "what is exported is calibrated"
    lines = [
        f"Decision: bona fide if score >= {found.threshold:.4f}, the threshold of a log-likelihood ratio with the "
        f"fewest expected errors where the prior of bona fide speech is {found.prior:g}. The EER threshold on dev is "
        f"{found.eer_threshold:.4f}."
    ]
    if result.eval is None:
        return [*lines, "The corpus has no eval split, so the errors on unseen attacks and speakers are not known."]
    before = found.before["eval"]
    return [
        *lines,
        f"On eval it has a miss rate of {_percent(result.eval.misses)} (bona fide utterances rejected) and a false "
        f"alarm rate of {_percent(result.eval.false_alarms)} (spoofs accepted), with the mean (HTER) of "
        f"{_percent(result.eval.hter)}. In the run, at the EER threshold on dev, the rates are "
        f"{_percent(before.misses)} and {_percent(before.false_alarms)}.",
    ]


def _calibration(result: DetectorResult) -> list[str]:
    """What the scores are worth as log-likelihood ratios, before and after calibration."""
    found = result.calibrated
    assert found is not None, "what is exported is calibrated"
    after = (result.dev, result.eval)
    before = [found.before.get(split) for split in ("dev", "eval")]
    rows = [
        ["Cllr before calibration, bits", *(_cost(one.cllr if one else None) for one in before)],
        ["Cllr, bits", *(_cost(one.cllr if one else None) for one in after)],
        ["min Cllr, bits", *(_cost(one.min_cllr if one else None) for one in after)],
        ["actual DCF before calibration", *(_cost(one.actual_dcf if one else None) for one in before)],
        ["actual DCF", *(_cost(one.actual_dcf if one else None) for one in after)],
        ["min DCF", *(_cost(one.min_dcf if one else None) for one in after)],
    ]
    line = found.calibration
    return [
        f"Calibration: score = {line.slope:.6g} x (logit of bona fide - logit of spoof) + ({line.intercept:.6g}), by "
        f"logistic regression on dev for a prior of {found.prior:g}. So the figures of dev after calibration are "
        "in-sample; those of eval are not. Cllr is the cost of scores as log-likelihood ratios, 1 bit where they tell "
        "nothing; DCF is the detection cost of ASVspoof 5 at its threshold of -ln 1.9, and 1 for a detector of no use.",
        "",
        *md.table(["", "dev", "eval"], rows),
    ]


def _cost(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.4f}"


def _attacks(result: DetectorResult) -> list[str]:
    on_dev = result.dev.by_attack if result.dev else {}
    on_eval = result.eval.by_attack if result.eval else {}
    names = sorted({*on_dev, *on_eval})
    return md.table(["attack", "dev", "eval"], [[n, _percent(on_dev.get(n)), _percent(on_eval.get(n))] for n in names])


def _widths(before: Mapping[str, int], after: Mapping[str, int]) -> list[str]:
    changed = [[name, str(before[name]), str(width)] for name, width in after.items() if width != before.get(name)]
    if not changed:
        return ["The detector has the widths of the base."]
    return md.table(["site", "neurons of the base", "neurons"], changed)


def _percent(fraction: float | None) -> str:
    return UNKNOWN if fraction is None else f"{100 * fraction:.2f} %"
