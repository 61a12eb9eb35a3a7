"""What a repository says of its application."""

from __future__ import annotations

import json
from pathlib import Path

from dialtone.start.detect import detect
from dialtone.start.sdks import sdks


def tree(root: Path, files: dict[str, str]) -> Path:
    """A repository of these files."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


NEXT = {
    "package.json": json.dumps(
        {"dependencies": {"next": "15", "stripe": "18"}, "scripts": {"build": "next build", "start": "next start"}}
    ),
    "src/app/page.tsx": "",
    "src/app/(site)/pricing/page.tsx": "",
    "src/app/posts/[id]/page.tsx": "",
    "src/app/api/health/route.ts": "",
    "src/app/api/erase/route.ts": "",
    "src/app/feed/route.ts": "",
    "pages/about.tsx": "",
    "pages/_app.tsx": "",
    "node_modules/next/pages/never.tsx": "",
}


def test_next(tmp_path: Path) -> None:
    """Pages of both routers, groups left out, no dynamic ones; of the handlers that of health alone."""
    found = detect(tree(tmp_path, NEXT))
    assert found.framework == "Next.js"
    assert found.command == ["sh", "-c", "npm run build && exec npm start"]
    assert found.health == ["/api/health"]
    assert found.paths == ["/", "/about", "/pricing"]
    assert [sdk.name for sdk in sdks(found.packages)] == ["stripe"]


def test_next_that_is_built(tmp_path: Path) -> None:
    """No second build."""
    assert detect(tree(tmp_path, {**NEXT, ".next/BUILD_ID": "1"})).command == ["npm", "start"]


def test_fastapi(tmp_path: Path) -> None:
    """The module with the application, its GET routes, packages of pyproject.toml, its own Python."""
    source = (
        'app: FastAPI = FastAPI(title="x")\n@app.get("/healthz")\ndef h(): ...\n@app.get("/items/{id}")\ndef i(): ...\n'
    )
    project = '[project]\nname = "x"\nversion = "1"\ndependencies = ["fastapi>=0.1", "retell_sdk"]\n'
    files = {
        "src/shop/main.py": source,
        "pyproject.toml": project,
        ".venv/bin/python": "",
        "tests/app.py": "app = FastAPI()",
    }
    found = detect(tree(tmp_path, files))
    assert found.command[-1] == (
        "exec .venv/bin/python -m uvicorn shop.main:app --app-dir src --host 127.0.0.1 --port $PORT"
    )
    assert (found.health, found.paths) == (["/healthz"], ["/", "/docs"])
    assert [sdk.name for sdk in sdks(found.packages)] == ["retell"]


def test_django(tmp_path: Path) -> None:
    """manage.py, and the paths of urls.py without their parameters."""
    urls = 'urlpatterns = [path("", home), path("healthz/", ok), path("shop/<int:id>/", shop), re_path(r"^x$", x)]'
    found = detect(
        tree(tmp_path, {"manage.py": "import django", "shop/urls.py": urls, "requirements.txt": "Django==5\n"})
    )
    assert found.framework == "Django"
    assert "manage.py runserver --noreload 127.0.0.1:$PORT" in found.command[-1]
    assert (found.health, found.paths) == (["/healthz/"], ["/"])
    assert "django" in found.packages


def test_nothing(tmp_path: Path) -> None:
    """Files that are not what they seem are no application, and no error."""
    found = detect(tree(tmp_path, {"package.json": "[", "pyproject.toml": "=", "main.py": "print('FastAPI(')"}))
    assert (found.framework, found.command, found.packages) == (None, [], set())
