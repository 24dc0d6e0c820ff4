"""The options of a command that say which parts of a recording are scored."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from search.scoring.windowing import POOLING, WINDOWS, Windowing


def add_windowing(parser: argparse._ActionsContainer, default: str) -> None:
    """Add the options to a parser or a group of one.

    Args:
        parser: takes them.
        default: the windows without ``--windows``.
    """
    parser.add_argument(
        "--windows",
        choices=WINDOWS,
        default=default,
        help=f"score all windows of a recording, or the first as in training (default: {default})",
    )
    parser.add_argument(
        "--hop",
        type=float,
        default=None,
        metavar="SECONDS",
        help="from the start of a window to that of the next (default: half of one)",
    )
    parser.add_argument(
        "--pooling",
        choices=[name.replace("_", "-") for name in POOLING],
        default="mean",
        help="the mean of the windows' scores, or the one most like a spoof (default: mean)",
    )
    parser.add_argument(
        "--speech-only",
        action="store_true",
        default=False,
        help="leave out what is 30 dB and more below the loudest 20 ms",
    )


def windowing_of(given: Mapping[str, Any]) -> Windowing:
    """The rule that parsed options ask for.

    Raises:
        DropinError: a hop that is too short.
    """
    pooling = given["pooling"].replace("-", "_")
    return Windowing(given["windows"], given["hop"], pooling, given["speech_only"])
