"""Gatus' `config.yaml` (https://github.com/TwiN/gatus#configuration): its endpoints and their conditions."""

from __future__ import annotations

import re
from typing import Any

from dialtone.start.imported import UNVERIFIED, Imported, ImportRefused, Monitor, address

_CONDITION = re.compile(r"(.+?)\s*(==|!=|<=|>=|<|>)\s*(.+)")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|h|m|s))+")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_TAKEN = {"name", "group", "url", "conditions", "enabled", "interval", "method"}


def read(config: Any) -> Imported:
    """Its endpoints. Raises ImportRefused where the file has another form."""
    if not isinstance(config, dict):
        raise ImportRefused("not a configuration of Gatus: a table with `endpoints` is expected")
    if "endpoints" not in config and "services" in config:
        raise ImportRefused(
            "`services` is what an old version of Gatus called `endpoints`: rename it, as Gatus itself asks"
        )
    endpoints = config.get("endpoints")
    if not isinstance(endpoints, list) or not all(isinstance(entry, dict) for entry in endpoints):
        raise ImportRefused("not a configuration of Gatus that is known here: `endpoints` has to be a list of tables")
    found = Imported(left=[f"{key}: not taken over" for key in config if key != "endpoints"])
    for number, entry in enumerate(endpoints):
        _endpoint(entry, f"endpoints[{number}]", found)
    return found


def _endpoint(entry: dict[str, Any], where: str, found: Imported) -> None:
    name = str(entry.get("name") or where)
    conditions = entry.get("conditions", [])
    if not isinstance(conditions, list) or not all(isinstance(text, str) for text in conditions):
        raise ImportRefused(f"{where}: conditions have to be a list of text")
    reason = address(where, entry.get("url"))
    if entry.get("enabled") is False:
        reason = "it is not enabled"
    elif str(entry.get("method", "GET")).upper() != "GET":
        reason = f"method {entry['method']}: only GET is sent to a production"
    elif {"dns", "ssh", "body", "graphql"} & set(entry):
        reason = f"{', '.join(sorted({'dns', 'ssh', 'body', 'graphql'} & set(entry)))}: only a plain GET is taken over"
    elif isinstance(entry.get("client"), dict) and entry["client"].get("insecure") is True:
        reason = UNVERIFIED
    elif "headers" in entry:
        reason = "headers: they may hold a credential; write them into headers of the target"
    monitor = Monitor(name, str(entry["url"]))
    left = [key for key in entry if key not in _TAKEN]
    for text in conditions if reason is None else ():
        kept = _condition(text, monitor)
        if kept is None:
            reason = f"{text}: checks ask for 200"
        elif not kept:
            left.append(text)
    if reason is None and not any(_answer(text) and text not in left for text in conditions):
        reason = f"{'; '.join(conditions) or 'no condition'}: it may answer anything, and checks ask for 200"
    if reason:
        found.left.append(f"{name}: {reason}")
        return
    found.monitors.append(monitor)
    found.left += [f"{name}: {key}: not taken over" for key in left]


def _answer(text: str) -> bool:
    """Whether a condition is about what is answered, and not only that and when."""
    return text.strip().startswith(("[STATUS]", "[BODY]"))


def _condition(text: str, monitor: Monitor) -> bool | None:
    """Put a condition into the monitor: True; False where it has no place; None where the monitor has none then."""
    match = _CONDITION.fullmatch(text.strip())
    if not match:
        return False
    left, operator, right = match[1], match[2], match[3].strip()
    if left == "[STATUS]":
        return True if (operator, right) == ("==", "200") else None
    if left == "[CONNECTED]":
        return (operator, right) == ("==", "true")  # an answer is that
    if left == "[RESPONSE_TIME]" and operator in ("<", "<=") and right.isdigit() and int(right):
        monitor.within = float(right)
        return True
    if left == "[CERTIFICATE_EXPIRATION]" and operator in (">", ">=") and _DURATION.fullmatch(right):
        if not monitor.url.startswith("https://"):
            return False
        parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", right)
        monitor.certificate = sum(float(number) * _SECONDS[unit] for number, unit in parts) / 86_400
        return True
    if operator != "==":
        return False
    if left == "[BODY]" and monitor.contains is None and (inner := re.fullmatch(r"pat\(\*([^*$]+)\*\)", right)):
        monitor.contains = inner[1]
        return True
    path = re.fullmatch(r"\[BODY\]\.([\w-]+(?:\.[\w-]+)*)", left)
    if path and monitor.well is None and not re.match(r"\w+\(|\[", right) and "$" not in right:
        monitor.well = (path[1], _value(right))
        return True
    return False


def _value(text: str) -> str | bool | int | float:
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text) if re.fullmatch(r"-?\d+", text) else float(text) if re.fullmatch(r"-?\d+\.\d+", text) else text
    except ValueError:
        return text
