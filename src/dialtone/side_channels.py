"""Ways past the report by which a running check may tell what it should not: warnings and live logs.

Captured output and logs of a check are dropped with its report's sections; these two are written elsewhere.
"""

from __future__ import annotations

import linecache
import logging
import warnings

import pytest

from dialtone.judging import current
from dialtone.redact import foreign, secrets

_OF_EXCEPTIONS = (pytest.PytestUnraisableExceptionWarning, pytest.PytestUnhandledThreadExceptionWarning)
_TALKATIVE = {"httpx", "httpcore", "psycopg", "asyncio", "urllib3", "stripe"}


def muffle(warning: warnings.WarningMessage) -> None:
    """Change a warning, where it stands, to one that quotes nothing but source text and pytest's own words."""
    said = str(warning.message)
    first = said.strip().splitlines()[0] if said.strip() else ""
    of_pytest = issubclass(warning.category, pytest.PytestWarning) and not issubclass(warning.category, _OF_EXCEPTIONS)
    if of_pytest:
        first = foreign(said)
    elif first not in "".join(linecache.getlines(warning.filename)):
        first = "(its words are withheld: they were made at run time and may quote data)"
    try:
        warning.message = warning.category(secrets.scrub(first))
    except TypeError:
        warning.message = UserWarning(secrets.scrub(first))


class Muffler(logging.Filter):
    """Lets pass what is logged outside of checks; from inside, only what does not come from a talkative library."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written; a check's own record is scrubbed of secrets first."""
        if current.get() is None:
            return True
        if record.name.partition(".")[0] in _TALKATIVE:
            return False
        record.msg, record.args = secrets.scrub(record.getMessage()), None
        record.exc_info = record.exc_text = record.stack_info = None
        return True


def muffle_logs(config: pytest.Config) -> None:
    """Put the filter on pytest's live log and log file."""
    plugin = config.pluginmanager.getplugin("logging-plugin")
    for name in ("log_cli_handler", "log_file_handler"):
        handler = getattr(plugin, name, None)
        if isinstance(handler, logging.Handler):
            handler.addFilter(Muffler())
