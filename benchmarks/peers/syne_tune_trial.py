"""What Syne Tune starts for every trial of ``plain_syne_tune.py``."""

from __future__ import annotations

import sys

from plain_syne_tune import trial

if __name__ == "__main__":
    trial(sys.argv[1:])
