"""How a search ends, whoever ends it: the tables are written, the front is shown, and what comes next is said."""

from __future__ import annotations

import shutil

from search.display.progress import Display
from search.display.terminal import command
from search.runs import results
from search.runs.trial_log import TrialLog
from search.settings.options import Settings


def resume_command(settings: Settings) -> str:
    """The command that goes on with a run."""
    return command("search.run", "--resume", settings.run_uri or settings.run_folder)


def finish(settings: Settings, log: TrialLog, display: Display) -> bool:
    """Write the tables and print the front; whether there is one."""
    folder, paths = settings.run_folder, settings.paths
    records = list(log.records.values())
    try:
        results.write_tables(paths, records)
    except OSError as error:  # the trial log has all that they say
        display.message(f"the tables could not be written ({error}); when there is room: {resume_command(settings)}")
    for temporary in (paths.tune, paths.growth_cache):
        shutil.rmtree(temporary, ignore_errors=True)
    front = log.standings.front
    if front:
        display.table(front)
        display.message(f"front: {paths.front}; all trials: {paths.results}")
        display.message(f"next: {command('search.export', folder, '--to', 'front/')}")
        display.message(f"report: {command('search.report', folder)}")
        return True
    failures = [record.error for record in records if record.error]
    reason = f"the first error: {failures[0]}" if failures else "none ended"
    display.message(f"no trial completed ({reason}); see {paths.log}")
    return False
