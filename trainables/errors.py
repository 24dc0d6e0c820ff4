"""The one error class of this project, for whatever a user did and can mend."""

from __future__ import annotations


class DropinError(ValueError):
    """Bad input: the message says which rule it breaks, the value, and what to do next.

    It is a `ValueError`, so that code which expects that of a bad value gets it; a program that catches `DropinError`
    catches what its user did wrong, and no fault of a library.
    """
