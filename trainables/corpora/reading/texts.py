"""Text files of corpora: UTF-8, or UTF-16 with a byte order mark; of any other encoding the line is named."""

from __future__ import annotations

import codecs

from trainables.errors import DropinError

_MANY_NULS = 0.25
"""Share of NUL characters; Latin letters in UTF-16 have one half of them when they are read as UTF-8."""


class NotTextError(DropinError):
    """A text file of another encoding.

    Attributes:
        line: the first line that shows it, or ``None`` where all do.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        """Take the message and the line."""
        self.line = line
        super().__init__(message)


def decoded(content: bytes) -> str:
    """Decode a text file; line ends of Windows and old Macs become newlines, and a byte order mark goes.

    Raises:
        NotTextError: it has another encoding.
    """
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = "utf-16" if wide else "utf-8"
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].decode(encoding, "replace").count("\n") + 1
        raise NotTextError(
            f"text must be {encoding.upper()}, and this line is not ({error.reason}): save the file as UTF-8; "
            "an editor may call what it is now Latin-1 or Windows-1252",
            line,
        ) from error
    if text.count("\0") > _MANY_NULS * len(text):
        raise NotTextError("text must be UTF-8; this is UTF-16 without a byte order mark: save the file as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")
