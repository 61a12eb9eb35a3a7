"""Reads `dialtone.toml` and the environment into a `Target`, or says what is wrong, where, and what to do about it."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from dialtone.objective import Objective
from dialtone.redact import secrets
from dialtone.target.alerting import Alerting
from dialtone.target.fences import fences, live_keys
from dialtone.target.model import ObjectiveTable, Profile
from dialtone.target.target import Target

APP = "DIALTONE_APP"
"""Options for `Sandbox.begin` as JSON: another command than the profile's `app`, and how it is led."""
_VARIABLE = re.compile(r"\$\{(\w+)(\??)\}")


class _Absent(Exception):
    """An optional variable is not set: the entry that names it is left out."""


class _Padded(Exception):
    """A variable has blanks around its value."""


class ProfileError(Exception):
    """A profile that cannot be used. The message names file, key and remedy, one line for each mistake."""


class _File(BaseSettings):
    """The file as it stands; `DIALTONE_TARGET` in the environment chooses a target where the caller does not."""

    model_config = SettingsConfigDict(extra="forbid", env_prefix="DIALTONE_FILE_")
    defaults: dict[str, Any] = {}
    target: dict[str, dict[str, Any]]
    channels: dict[str, Any] = {}
    people: dict[str, Any] = {}
    on_call: dict[str, Any] | None = None
    routes: dict[str, Any] = {}
    maintenance: dict[str, Any] = {}
    causes: dict[str, Any] = {}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Nothing but the TOML file that the caller named."""
        return (init_settings,)


def read(path: Path) -> _File:
    """The parsed file; raises ProfileError when it is missing, not TOML, or has keys that no one knows."""
    if not path.is_file():
        raise ProfileError(f"{path}: no such file; a target needs a profile (see docs/profile.md)")
    try:
        source = TomlConfigSettingsSource(_File, path)
        return _File(**source())
    except ValidationError as error:
        raise ProfileError(_explain(path.name, (), _File, error)) from None
    except (ValueError, OSError) as error:
        raise ProfileError(f"{path.name}: not readable as TOML: {error}") from None


def nearest() -> Path:
    """`DIALTONE_CONFIG`, or the nearest `dialtone.toml`; the one that is missing here where there is none."""
    named, here = os.environ.get("DIALTONE_CONFIG"), Path.cwd()
    if named:
        return Path(named)
    found = (path for folder in (here, *here.parents) if (path := folder / "dialtone.toml").is_file())
    return next(found, here / "dialtone.toml")


def load(path: Path, name: str, environ: Mapping[str, str] = os.environ) -> Target:
    """The named target of the file, checked whole: profile, credentials, fences. Raises ProfileError."""
    file = read(path)
    if name not in file.target:
        known = ", ".join(sorted(file.target))
        raise ProfileError(f"{path.name}: there is no target {name!r}; it describes {known}")
    absent: dict[str, str] = {}
    profile = _profile(path.name, file, name, environ, absent=absent)
    values = _credentials(path.name, name, profile, environ)
    for value in values.values():
        secrets.add(value)
    found: list[str] = []
    if profile.kind != "production":
        found += live_keys(profile, values)
        for other, table in file.target.items():
            if {**file.defaults, **table}.get("kind") == "production":
                production = _profile(path.name, file, other, environ, strict=False)
                live = _present(production, environ)
                for value in live.values():
                    secrets.add(value)
                found += fences(profile, values, production, live, other)
    return Target(name, profile, values, tuple(sorted(set(found))), path.resolve(), absent)


class _Names(dict[str, str]):
    """An environment in which every variable is set, those that are not to their own name."""

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key) or f"${{{key}}}"


def describe(path: Path, name: str, environ: Mapping[str, str] = os.environ) -> Target:
    """A target to be told of, not to be run against: what the environment lacks stands there by its name."""
    file = read(path)
    if name not in file.target:
        raise ProfileError(f"{path.name}: there is no target {name!r}; it describes {', '.join(sorted(file.target))}")
    return Target(name, _profile(path.name, file, name, _Names(environ)), {}, (), path.resolve())


def alerting(path: Path) -> Alerting:
    """Who hears of what, from the same file; without routes where it has none. Raises ProfileError."""
    file = read(path)
    try:
        return Alerting.model_validate({name: getattr(file, name) for name in Alerting.model_fields})
    except ValidationError as error:
        raise ProfileError(_explain(path.name, (), Alerting, error)) from None


def sandbox_options(path: Path, name: str) -> dict[str, Any]:
    """What a sandbox needs to know of a target before it is up: `app`, its command, `webhooks`, name -> route, and
    where it says so `listed`, what providers list of the time before, `standins` of other packages, and how `app` is
    led to the interceptor.

    APP, which `dialtone drill --app` sets, is laid over what the file says of the application.
    """
    file = read(path)
    table = _merge(file.defaults, file.target.get(name, {}))
    routes = {hook: str(spec.get("route", "")) for hook, spec in table.get("webhooks", {}).items()}
    more = {"listed": "listed", "way": "app_way", "hosts": "app_hosts", "schema": "app_schema", "brought": "standins"}
    options = {"app": table.get("app") or None, "webhooks": routes}
    options |= {option: table[key] for option, key in more.items() if table.get(key)}
    return {**options, **json.loads(os.environ.get(APP) or "{}")}


def objectives(path: Path, name: str) -> dict[str, Objective]:
    """The objectives of a target, without its environment: what a history is held against. Raises ProfileError."""
    file = read(path)
    tables = _merge(file.defaults, file.target.get(name, {})).get("objectives", {})
    try:
        return {key: ObjectiveTable.model_validate(table).objective(key) for key, table in tables.items()}
    except ValidationError as error:
        raise ProfileError(_explain(path.name, ("target", name, "objectives"), ObjectiveTable, error)) from None


def names(path: Path, target: str, table: str, key: str | None = None) -> list[str]:
    """The names under a table of a target, from the file alone; none where it cannot be read, which is told later.

    With a `key` only the entries that set it.
    """
    try:
        file = read(path)
    except ProfileError:
        return []
    entries = _merge(file.defaults, file.target.get(target, {})).get(table, {})
    if not isinstance(entries, dict):
        return []
    return [name for name, entry in entries.items() if key is None or (isinstance(entry, dict) and entry.get(key))]


def raw(path: Path, target: str | None = None) -> dict[str, Any]:
    """A target's own tables laid over the defaults, or every target by its name, as they stand in the file."""
    file = read(path)
    if target is None:
        return {name: {**file.defaults, **table} for name, table in file.target.items()}
    if target not in file.target:
        raise ProfileError(f"{path.name}: there is no target {target!r}; it describes {', '.join(sorted(file.target))}")
    return _merge(file.defaults, file.target[target])


def app_defects(path: Path, name: str) -> list[str] | None:
    """The command that lists the defects of a target's own application; None where it has none of its own."""
    file = read(path)
    table = _merge(file.defaults, file.target.get(name, {}))
    return list(table.get("app_defects", ())) if table.get("app") else None


def _profile(
    file_name: str,
    file: _File,
    name: str,
    environ: Mapping[str, str],
    *,
    strict: bool = True,
    absent: dict[str, str] | None = None,
) -> Profile:
    """The profile; `absent` takes the entries that were left out, each with the variable that is not set."""
    missing: list[tuple[str, str]] = []
    dropped = {} if absent is None else absent
    try:
        raw = _interpolate(_merge(file.defaults, file.target[name]), environ, (), missing, dropped)
    except _Padded as padded:
        raise ProfileError(f"{file_name}: target.{name}.{padded}") from None
    except _Absent as left_out:
        raise ProfileError(
            f"{file_name}: target.{name}: ${{{left_out}?}} may stand only inside an entry such as [providers.NAME]"
        ) from None
    if missing and strict:
        raise ProfileError(
            "\n".join(
                f"{file_name}: target.{name}.{key} needs the environment variable {variable}, which is not set"
                f" or empty: set it, or write the value into the file"
                for key, variable in missing
            )
        )
    try:
        return Profile.model_validate(raw)
    except ValidationError as error:
        raise ProfileError(_explain(file_name, ("target", name), Profile, error)) from None


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Tables are merged key by key, everything else is replaced; an empty table under `over` keeps the base."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _interpolate(
    value: Any,
    environ: Mapping[str, str],
    at: tuple[str, ...],
    missing: list[tuple[str, str]],
    dropped: dict[str, str],
) -> Any:
    if isinstance(value, dict):
        filled = {}
        for key, inner in value.items():
            try:
                filled[key] = _interpolate(inner, environ, (*at, str(key)), missing, dropped)
            except _Absent as absent:
                if len(at) != 1:  # only a whole entry of a table, such as one provider, can be left out
                    raise
                dropped[f"{at[0]}.{key}"] = str(absent)
        return filled
    if isinstance(value, list):
        return [_interpolate(v, environ, (*at, str(i)), missing, dropped) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        found = environ.get(match[1], "")
        if not found and match[2]:
            raise _Absent(match[1])
        if not found:
            missing.append((".".join(at), match[1]))
        elif found != found.strip():
            raise _Padded(f"{'.'.join(at)} needs the environment variable {match[1]}, which {_blank(found)}")
        return found or match[0]

    return _VARIABLE.sub(replace, value)


def _present(profile: Profile, environ: Mapping[str, str]) -> dict[str, str]:
    return {k: environ[v].strip() for k, v in profile.credentials.items() if environ.get(v, "").strip()}


def _credentials(file: str, target: str, profile: Profile, environ: Mapping[str, str]) -> dict[str, str]:
    values, wrong = {}, []
    for name, variable in profile.credentials.items():
        value = environ.get(variable, "")
        if not value:
            continue
        if value != value.strip():
            wrong.append(
                f"environment variable {variable} ({file}: target.{target}.credentials.{name}) {_blank(value)}"
            )
        values[name] = value
    if wrong:
        raise ProfileError("\n".join(wrong))
    return values


def _blank(value: str) -> str:
    if not value.strip():
        return "holds nothing but blanks: set it, or remove it and go without what needs it"
    side = "ends" if value != value.rstrip() else "begins"
    odd = value[-1] if side == "ends" else value[0]
    return f"{side} with {'a line break' if odd in chr(13) + chr(10) else 'a blank'}: set it again without it"


_FORMS = {
    "dict_type": "a table",
    "model_type": "a table",
    "list_type": "a list",
    "string_type": "text in quotes",
    "float_type": "a number",
    "int_type": "a whole number",
    "float_parsing": "a number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}


def _explain(file: str, prefix: tuple[str, ...], model: type[BaseModel], error: ValidationError) -> str:
    lines = []
    for item in error.errors(include_url=False, include_input=False):
        where = ".".join(str(p) for p in (*prefix, *item["loc"]))
        kind, message = item["type"], item["msg"].removeprefix("Value error, ")
        if kind == "extra_forbidden":
            near = difflib.get_close_matches(str(item["loc"][-1]), _names(model), 1, 0.6)
            message = "unknown key; " + (
                f"did you mean {near[0]!r}?" if near else "remove it (docs/profile.md lists all)"
            )
        elif kind == "missing":
            message = "missing: a required setting has to be given"
        elif kind == "string_too_short":
            message = "empty: a required setting has to be given"
        elif kind in ("literal_error", "enum"):
            message = f"has to be one of {item['ctx']['expected']}"
        elif kind in _FORMS:
            message = f"has to be {_FORMS[kind]}"
        lines.append(f"{file}: {where or 'the file'}: {message}")
    return "\n".join(lines)


def _names(model: type[BaseModel], seen: frozenset[type] = frozenset()) -> list[str]:
    """Every key that the model and its tables know, for spelling suggestions."""
    names: list[str] = []
    for key, field in model.model_fields.items():
        names.append(key)
        for part in _tables(field.annotation):
            if part not in seen:
                names += _names(part, seen | {model})
    return names


def _tables(annotation: Any) -> Iterator[type[BaseModel]]:
    """The tables that a key may hold: itself, in a list, by name."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _tables(part)
