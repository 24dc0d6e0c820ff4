"""The driver's process: reads from stdin what to do, does it, and tells its supervisor how it ended.

``python -m search.driver.entry FD``, where FD is the file descriptor of a pipe for lines of JSON.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from search.running import interruption


def main() -> None:
    """Carry out a job; the process ends here, whatever threads of libraries still wait for."""
    pipe = int(sys.argv[1])

    def tell(**fact: Any) -> None:
        os.write(pipe, json.dumps(fact).encode() + b"\n")

    interruption.install()
    tell(ready=True)
    # Only now: these take seconds to import, and a signal may come meanwhile.
    from search.display import terminal
    from search.running.outcome import Outcome

    try:
        job = json.load(sys.stdin)
        terminal.prepare()
        from search.running.watchdog import Watchdog

        watchdog = Watchdog(lambda lost: tell(lost=lost))
        outcome = _search(job, watchdog) if job["kind"] == "search" else _confirm(job, watchdog)
    except KeyboardInterrupt:
        outcome = Outcome(interrupted=True, begun=False)
    except Exception as error:
        outcome = Outcome(begun=False)
        outcome.failed(error)
        if not outcome.users:
            import traceback

            traceback.print_exc()
    tell(outcome=asdict(outcome))
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)


def _search(job: dict[str, Any], watchdog: Any) -> Any:
    from search.display.progress import make_display
    from search.running.search import search
    from search.settings.options import Settings

    settings = Settings.from_json(job["settings"])
    return search(settings, make_display(quiet=job["quiet"]), watchdog)


def _confirm(job: dict[str, Any], watchdog: Any) -> Any:
    from search.display.progress import make_display
    from search.running.confirm_front import confirm_run
    from search.runs.members import StoredRun
    from trainables.storage.bucket_files import is_uri

    source = job["run"] if is_uri(job["run"]) else Path(job["run"])
    display, cache = make_display(quiet=job["quiet"]), None if job["cache"] is None else Path(job["cache"])
    return confirm_run(StoredRun.find(source, cache), job["seeds"], display, watchdog, controls=job["controls"])


if __name__ == "__main__":
    main()
