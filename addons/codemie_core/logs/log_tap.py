"""What the proxy itself says, on its way into the log."""

from __future__ import annotations

import logging
from collections.abc import Callable

from codemie_core.logs.log_record import Said

LONGEST_MESSAGE = 16 * 1024


class LogTap(logging.Handler):
    """Turns records of Python's logging into ours. Does nothing else in the thread that logs.

    Of mitmproxy and the libraries it takes warnings and errors, of the bundle also that it runs.
    """

    def __init__(self, put: Callable[[Said], None], but_not: frozenset[str]) -> None:
        super().__init__(logging.INFO)
        self._put = put
        self._but_not = but_not

    def install(self) -> None:
        """Listen to all."""
        logging.getLogger().addHandler(self)

    def uninstall(self) -> None:
        """Listen no more."""
        logging.getLogger().removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Take it, unless it comes from the log itself."""
        chatter = record.levelno < logging.WARNING and not record.name.startswith("codemie_core.")
        if chatter or record.name in self._but_not:
            return
        try:
            text = record.getMessage()
        except Exception:
            # Python's own way out prints the arguments, unredacted.
            text = f"a message that could not be formatted: {record.msg!r}"
        if record.exc_info and record.exc_info[0] is not None:
            text += f" ({record.exc_info[0].__name__}: {record.exc_info[1]})"
        self._put(Said(record.created, record.levelno, record.name, text[:LONGEST_MESSAGE]))
