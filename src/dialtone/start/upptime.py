"""Upptime's `.upptimerc.yml` (https://upptime.js.org/docs/configuration): its sites."""

from __future__ import annotations

from typing import Any

from dialtone.start.imported import UNVERIFIED, Imported, ImportRefused, Monitor, address

_TAKEN = {"name", "url", "method", "check", "expectedStatusCodes", "maxResponseTime"}
_UNVERIFIED = ("__dangerous__insecure", "__dangerous__disable_verify_peer", "__dangerous__disable_verify_host")
_MISSING = "__dangerous__body_down_if_text_missing"


def read(config: Any) -> Imported:
    """Its sites. Raises ImportRefused where the file has another form."""
    sites = config.get("sites") if isinstance(config, dict) else None
    if not isinstance(sites, list) or not all(isinstance(entry, dict) for entry in sites):
        raise ImportRefused("not a configuration of Upptime that is known here: `sites` has to be a list of tables")
    found = Imported(left=[f"{key}: not taken over" for key in config if key not in ("sites", "owner", "repo")])
    for number, entry in enumerate(sites):
        _site(entry, f"sites[{number}]", found)
    if any(entry.get("expectedStatusCodes") != [200] for entry in sites):
        found.left.append("statuses other than 200 that were good: checks ask for 200")
    return found


def _site(entry: dict[str, Any], where: str, found: Imported) -> None:
    name = str(entry.get("name") or where)
    codes, limit, text = entry.get("expectedStatusCodes"), entry.get("maxResponseTime"), entry.get(_MISSING)
    if codes is not None and not isinstance(codes, list):
        raise ImportRefused(f"{where}: expectedStatusCodes has to be a list")
    # A port of a host has no scheme: what it is asked for is told before how it is written.
    if entry.get("check", "http") != "http":
        reason: str | None = f"check {entry['check']}: only HTTP is looked at"
    else:
        reason = address(where, entry.get("url"))
    if str(entry.get("method", "GET")).upper() != "GET":
        reason = f"method {entry['method']}: only GET is sent to a production"
    elif "body" in entry or "headers" in entry:
        reason = "body or headers: only a plain GET is taken over"
    elif any(entry.get(key) is True for key in _UNVERIFIED):
        reason = UNVERIFIED
    elif codes is not None and 200 not in codes:
        reason = f"expectedStatusCodes {codes}: checks ask for 200"
    if reason:
        found.left.append(f"{name}: {reason}")
        return
    monitor = Monitor(name, str(entry["url"]))
    if isinstance(limit, int | float) and not isinstance(limit, bool) and limit > 0:
        monitor.within = float(limit)
    elif limit is not None:
        raise ImportRefused(f"{where}: maxResponseTime has to be a number of milliseconds")
    left = [key for key in entry if key not in {*_TAKEN, _MISSING}]
    if isinstance(text, str) and text and "$" not in text:
        monitor.contains = text
    elif text is not None:
        left.append(_MISSING)
    found.monitors.append(monitor)
    found.left += [f"{name}: {key}: not taken over" for key in left]
