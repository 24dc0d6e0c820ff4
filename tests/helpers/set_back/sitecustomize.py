"""On the path of a run's processes: sets their clock back once a file is there that a variable names."""

import os
import time

_now, _file = time.time, os.environ.get("DROPIN_SET_BACK", "")


def _set_back() -> float:
    return _now() - 86_400 if os.path.exists(_file) else _now()


if _file:
    time.time = _set_back
