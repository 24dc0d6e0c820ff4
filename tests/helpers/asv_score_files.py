"""Score files of a speaker verification (ASV), in the organisers' two forms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

SCORES_2019 = (
    *("bonafide target 4.0", "bonafide target 3.0", "bonafide target 0.5"),
    *("bonafide nontarget 1.0", "bonafide nontarget -2.0", "bonafide nontarget -3.0"),
    *("A07 spoof 2.0", "A07 spoof 1.5", "A08 spoof -1.0"),
)
SCORES_2021 = ("LA_0001 LA_E_1 4.5", "LA_0001 LA_E_2 -2", "LA_0002 LA_E_1 1e-1", "LA_0001 LA_E_3 0", "LA_0001 LA_E_4 9")
METADATA_2021 = (
    "LA_0001 LA_E_1 alaw ita_tx bonafide target notrim eval",
    "LA_0001 LA_E_2 none - A07 spoof notrim eval",
    "LA_0002 LA_E_1 alaw ita_tx bonafide nontarget notrim eval",
    "LA_0001 LA_E_3 opus loc_tx bonafide target trim hidden",
    "LA_0001 LA_E_4 opus loc_tx A08 spoof notrim progress",
)


def write_2019(root: Path, split: str = "eval") -> Path:
    """Scores in a tree of ASVspoof 2019 LA; returns their file."""
    path = root / "LA" / "ASVspoof2019_LA_asv_scores" / f"ASVspoof2019.LA.asv.{split}.gi.trl.scores.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(SCORES_2019) + "\n")
    return path


def write_2021(root: Path, scores: Sequence[str] = SCORES_2021, metadata: Sequence[str] = METADATA_2021) -> Path:
    """The ASV folder of the keys of ASVspoof 2021; returns the file of scores."""
    folder = root / "keys" / "LA" / "ASV" / "ASVtorch_kaldi"
    folder.mkdir(parents=True)
    (folder.parent / "trial_metadata.txt").write_text("\n".join(metadata) + "\n")
    (folder / "score.txt").write_text("\n".join(scores) + "\n")
    return folder / "score.txt"
