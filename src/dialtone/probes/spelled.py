"""SQL with its parameters in place, for people to read before it is run. It is never sent like this."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_PLACE = re.compile(r"%\((\w+)\)s|%%")


def spelled(sql: str, params: Mapping[str, Any]) -> str:
    """The statement as the server would understand it. Raises KeyError for a parameter without a value."""
    from psycopg.sql import Literal

    return _PLACE.sub(lambda m: Literal(params[m[1]]).as_string(None) if m[1] else "%", sql).strip()
