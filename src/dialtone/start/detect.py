"""What a repository says of its application: how it starts, which paths it serves, whose SDKs it uses.

Only text is read, nothing is imported or run. What cannot be told from the text is left out; `look` then asks the
running application.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HEALTH = re.compile(r"/(health|healthz|health-?check|livez|readyz|up|ping|status|alive)/?$", re.IGNORECASE)
_SKIPPED = {"node_modules", "site-packages", "__pycache__", "build", "dist", "tests", "test"}
_MOST, _SIZE = 2000, 400_000  # files that are looked at, and bytes of one
_APP = re.compile(r"^(\w+)\s*(?::[^=\n]+)?=\s*(?:\w+\.)?(FastAPI|Starlette)\(", re.MULTILINE)
_ROUTES = re.compile(r"""(?:@\w+\.get|\b(?:Route|re_path|path))\(\s*["']([^"'{}<>*()\[\]]*)["']""")
_NAME = re.compile(r"^\s*([A-Za-z0-9][\w.-]*)")


@dataclass(slots=True)
class Found:
    """An application. `command` starts it on $PORT; `paths` and `health` are candidates; `packages` it depends on."""

    framework: str | None = None
    command: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    packages: set[str] = field(default_factory=set)
    why: str = "no Next.js, FastAPI, Starlette or Django application was found here"

    @property
    def way(self) -> str:
        """How its calls are led to the interceptor: stripe-node, and Node before 24, heed no proxy."""
        return "preload" if self.framework == "Next.js" else "proxy"


def detect(root: Path) -> Found:
    """What is in this folder."""
    packages = dependencies(root)
    found = _next(root, packages) or _django(root) or _asgi(root) or Found()
    found.packages = packages
    found.health = sorted({path for path in found.paths if HEALTH.search(path)}, key=lambda path: (len(path), path))
    found.paths = sorted({"/", *found.paths} - set(found.health), key=lambda path: (len(path), path))
    return found


def dependencies(root: Path) -> set[str]:
    """Names of packages in package.json, pyproject.toml and requirements files, in lower case."""
    names: set[str] = set()
    for kind in ("dependencies", "devDependencies"):
        names |= set(_package(root).get(kind) or {})
    lines = [line for path in sorted(root.glob("requirements*.txt")) for line in _text(path).splitlines()]
    try:
        project = tomllib.loads(_text(root / "pyproject.toml"))
    except tomllib.TOMLDecodeError:
        project = {}
    lines += project.get("project", {}).get("dependencies", [])
    lines += project.get("tool", {}).get("poetry", {}).get("dependencies", {})
    names |= {match[1] for line in lines if (match := _NAME.match(line))}
    return {name.lower().replace("_", "-") for name in names}


def _next(root: Path, packages: set[str]) -> Found | None:
    if "next" not in packages:
        return None
    scripts = _package(root).get("scripts") or {}
    command = ["npm", "start"] if "start" in scripts else ["npx", "next", "start"]
    if not (root / ".next").exists() and "build" in scripts:
        command = ["sh", "-c", "npm run build && exec " + " ".join(command)]
    return Found("Next.js", command, list(dict.fromkeys(_next_paths(root))))


def _next_paths(root: Path) -> Iterator[str]:
    """Pages of both routers without parameters; of handlers only what is called health: a GET may do anything."""
    for folder in (root / "app", root / "src/app", root / "pages", root / "src/pages"):
        for path in _files(folder, (".tsx", ".ts", ".jsx", ".js")):
            *parts, name = path.relative_to(folder).with_suffix("").parts
            if folder.name == "pages":
                parts, page = [*parts, *([] if name == "index" else [name])], parts[:1] != ["api"]
            elif name in ("page", "route"):
                page = name == "page"
            else:
                continue
            if any(part.startswith(("[", "_", "@")) for part in parts):
                continue
            found = "/" + "/".join(part for part in parts if not part.startswith("("))
            if page or HEALTH.search(found):
                yield found


def _django(root: Path) -> Found | None:
    if not (root / "manage.py").is_file() or "django" not in _text(root / "manage.py").lower():
        return None
    command = f"exec {_python(root)} manage.py runserver --noreload 127.0.0.1:$PORT"
    texts = [_text(path) for path in _files(root, ("urls.py",))]
    paths = ["/" + path.lstrip("/^").rstrip("$") for text in texts for path in _ROUTES.findall(text)]
    return Found("Django", ["sh", "-c", command], paths)


def _asgi(root: Path) -> Found | None:
    sources = {path: _text(path) for path in _files(root, (".py",))}
    for path, text in sources.items():
        match = _APP.search(text)
        if not match:
            continue
        parts = list(path.relative_to(root).with_suffix("").parts)
        folder = ""
        if parts[0] == "src" and len(parts) > 1:
            folder, parts = " --app-dir src", parts[1:]
        module = ".".join(parts).removesuffix(".__init__")
        command = f"exec {_python(root)} -m uvicorn {module}:{match[1]}{folder} --host 127.0.0.1 --port $PORT"
        routes = [route for source in sources.values() for route in _ROUTES.findall(source) if route.startswith("/")]
        return Found(match[2], ["sh", "-c", command], [*routes, *(["/docs"] if match[2] == "FastAPI" else [])])
    return None


def _python(root: Path) -> str:
    """The application's own Python, or the one of the checks."""
    own = next((name for name in (".venv", "venv") if (root / name / "bin/python").exists()), None)
    return f"{own}/bin/python" if own else '"{python}"'


def _files(folder: Path, ends: tuple[str, ...]) -> Iterator[Path]:
    seen = 0
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        inside = path.relative_to(folder).parts[:-1]
        if any(part in _SKIPPED or part.startswith(".") or part.endswith("venv") for part in inside):
            continue
        if path.name.endswith(ends) and path.is_file() and seen < _MOST:
            seen += 1
            yield path


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace") if path.stat().st_size < _SIZE else ""
    except OSError:
        return ""


def _package(root: Path) -> dict[str, dict[str, str]]:
    try:
        found = json.loads(_text(root / "package.json") or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
