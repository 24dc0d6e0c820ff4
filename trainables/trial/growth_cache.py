"""Post-growth checkpoints, shared by all trials of a run whose plans differ only from the first cut on."""

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
SETTINGS = ("rule", "optimizer", "weight_decay", "clip", "batch_size")
"""Keys of a plan that the state before the first cut depends on, beside stages and learning rates."""


class GrowthCache:
    """A folder of checkpoints taken right before the first cut, of trials with one base, features and seed."""

    def __init__(self, folder: Path, limit: int) -> None:
        """Cache checkpoints in `folder`, at most `limit` bytes in all; 0 disables the cache."""
        self.folder, self.limit = folder, limit

    def find(self, plan: Plan) -> Path | None:
        """The checkpoint from which this plan can start at its first cut, or ``None``."""
        folder = self._folder(plan)
        if folder is None or not (folder / DIGESTS).is_file():
            return None
        try:
            touch(folder)
        except OSError:  # evicted just now
            return None
        return folder

    def store(self, plan: Plan, write: Callable[[Path], None]) -> None:
        """Add the checkpoint before the plan's first cut, unless it is cached already.

        Args:
            plan: the plan that was carried out until then.
            write: writes the checkpoint into an empty folder, its digests last.
        """
        folder = self._folder(plan)
        if folder is None or not self.limit:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if (folder / DIGESTS).is_file():
                return
            temporary = folder.with_name(f".{folder.name}.part")
            shutil.rmtree(temporary, ignore_errors=True)  # left by a killed process: no other can hold the lock
            temporary.mkdir()
            write(temporary)
            temporary.replace(folder)
            evict_least_recently_used(self.folder, self.limit, folder, DIGESTS)

    def delete(self, plan: Plan) -> None:
        """Delete a damaged checkpoint."""
        folder = self._folder(plan)
        if folder is not None:
            logger.warning("deleted %s, which is damaged", folder)
            shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, plan: Plan) -> Path | None:
        """Named by a digest of the plan before its first cut; ``None`` if it has no cut or cuts at epoch 0."""
        cut = plan.first_cut
        if not cut:
            return None
        before = [stage for stage, start in zip(plan.stages, plan.starts, strict=True) if start < cut]
        stages = [
            [s.name, s.epochs, s.arch.to_json(), dict(s.grow), s.trainable, s.merged, s.fresh_optimizer] for s in before
        ]
        key = [stages, plan.learning_rates()[:cut], {name: plan.config[name] for name in SETTINGS}]
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:20]
        return self.folder / digest
