"""How a search or a confirmation ended, as the driver tells its supervisor."""

from __future__ import annotations

from dataclasses import dataclass

from trainables.errors import DropinError


@dataclass
class Outcome:
    """How it ended.

    Attributes:
        front: whether there is a Pareto front, or of a confirmation a table.
        error: what it broke off with, if it did; what had ended before is kept, and in the front.
        users: whether `error` is a `DropinError`, which its user can put right.
        begun: whether it began; otherwise `error` has not been shown yet.
        interrupted: whether a signal ended it before there was anything to show.
        missing_files: files whose copy in the bucket is not there or not the latest.
    """

    front: bool = False
    error: str | None = None
    users: bool = False
    begun: bool = True
    interrupted: bool = False
    missing_files: tuple[str, ...] = ()

    def failed(self, error: Exception) -> None:
        """Note what it broke off with."""
        self.error, self.users = str(error) or type(error).__name__, isinstance(error, DropinError)

    def raise_error(self) -> None:
        """Raise what it broke off with, if it did.

        Raises:
            DropinError: what the user can put right.
            RuntimeError: anything else.
            KeyboardInterrupt: it was interrupted before there was anything to show.
        """
        if self.error is not None:
            raise DropinError(self.error) if self.users else RuntimeError(self.error)
        if self.interrupted:
            raise KeyboardInterrupt
