"""Grown and retrained stages of a run's trials, kept so that plans that differ only in what follows go on from them."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from trainables.storage.checkpoint import DIGESTS
from trainables.storage.lru_folder import evict_least_recently_used, touch
from trainables.trial.plan import Plan

logger = logging.getLogger(__name__)
SHAPING = ("rule", "optimizer", "weight_decay", "clip", "batch_size")
"""What a plan says beside its stages and learning rates that matters before the first cut."""


class GrowthCache:
    """A folder of states at the moment before the first cut, of trials with one base, features and seed."""

    def __init__(self, folder: Path, limit: int) -> None:
        """Keep states in `folder`, at most `limit` bytes of them; 0 keeps none."""
        self.folder, self.limit = folder, limit

    def find(self, plan: Plan) -> Path | None:
        """The state that a trial of this plan would be in before its first cut, if it is kept."""
        place = self._place(plan)
        if place is None or not (place / DIGESTS).is_file():
            return None
        try:
            touch(place)
        except OSError:  # it had to make room just now
            return None
        return place

    def keep(self, plan: Plan, write: Callable[[Path], None]) -> None:
        """Keep the state before the first cut, unless it is kept already.

        Args:
            plan: the plan that led there.
            write: writes the state into an empty folder, its digests last.
        """
        place = self._place(plan)
        if place is None or not self.limit:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{place}.lock"):
            if (place / DIGESTS).is_file():
                return
            part = place.with_name(f".{place.name}.part")
            shutil.rmtree(part, ignore_errors=True)  # of a process that was killed; the lock says that none is at work
            part.mkdir()
            write(part)
            part.replace(place)
            evict_least_recently_used(self.folder, self.limit, place, DIGESTS)

    def forget(self, plan: Plan) -> None:
        """Remove a state that turned out to be damaged."""
        place = self._place(plan)
        if place is not None:
            logger.warning("%s is damaged and removed", place)
            shutil.rmtree(place, ignore_errors=True)

    def _place(self, plan: Plan) -> Path | None:
        """Addressed by all that the plan does before its first cut; ``None`` where it cuts at once or never."""
        begins = plan.first_cut
        if not begins:
            return None
        before = [stage for stage, start in zip(plan.stages, plan.starts, strict=True) if start < begins]
        shapes = [
            [s.name, s.epochs, s.arch.to_json(), dict(s.grow), s.trainable, s.merged, s.fresh_optimizer] for s in before
        ]
        about = [shapes, plan.learning_rates()[:begins], {name: plan.config[name] for name in SHAPING}]
        digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:20]
        return self.folder / digest
