"""Three applications that know nothing of Dialtone, as their frameworks' own tutorials lay them out: path -> text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Foreign:
    """A repository. One of `node` installs with npm; each gets a Python environment, which the suite is in."""

    name: str
    files: dict[str, str]
    node: bool = False


NEXT = Foreign(
    "Next.js",
    {
        "package.json": """{
  "name": "kiosk",
  "private": true,
  "scripts": { "build": "next build", "start": "next start" },
  "dependencies": { "next": "16.4.6", "react": "19.3.1", "react-dom": "19.3.1" }
}
""",
        "app/layout.js": """export const metadata = { title: 'Kiosk & Co' };

export default function Layout({ children }) {
  return <html lang="en"><body>{children}</body></html>;
}
""",
        "app/page.js": """export default function Home() {
  return <main><h1>Papers of the day</h1></main>;
}
""",
        "app/(shop)/magazines/page.js": """export default function Magazines() {
  return <h1>Magazines</h1>;
}
""",
        "app/api/health/route.js": """export const dynamic = 'force-dynamic';

export function GET() {
  return Response.json({ status: 'ok', since: process.uptime() });
}
""",
    },
    node=True,
)

FASTAPI = Foreign(
    "FastAPI",
    {
        "requirements.txt": "fastapi==0.165.0\nuvicorn==0.54.0\nstripe==16.1.0\n",
        "app/__init__.py": "",
        "app/main.py": """import os

import stripe
from fastapi import FastAPI

from .routers import items

app = FastAPI(title="Harbour")
app.include_router(items.router)
stripe.api_key = os.environ.get("STRIPE_SECRET_KEY", "")


@app.get("/")
def root():
    try:
        members = len(stripe.Customer.list(limit=10).data)
    except stripe.StripeError:
        members = None
    return {"berths": 12, "free": 3, "members": members}


@app.get("/healthz")
async def healthz():
    return {"healthy": True}
""",
        "app/routers/__init__.py": "",
        "app/routers/items.py": """from fastapi import APIRouter, HTTPException

router = APIRouter(prefix="/boats")


@router.get("/{name}")
async def boat(name: str):
    raise HTTPException(status_code=404, detail=f"no boat {name}")
""",
    },
)

DJANGO = Foreign(
    "Django",
    {
        "requirements.txt": "Django==5.2.19\n",
        "manage.py": """#!/usr/bin/env python
import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mill.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
""",
        "mill/__init__.py": "",
        "mill/settings.py": """SECRET_KEY = "of-a-foreign-repository"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "mill.urls"
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"]
INSTALLED_APPS = ["flour"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "mill.sqlite3"}}
USE_TZ = True
""",
        "mill/urls.py": """from django.urls import include, path

urlpatterns = [path("", include("flour.urls"))]
""",
        "flour/__init__.py": "",
        "flour/urls.py": """from django.urls import path

from . import views

urlpatterns = [
    path("", views.index, name="index"),
    path("sacks/<int:sack>/", views.index, name="sack"),
    path("status/", views.status, name="status"),
]
""",
        "flour/views.py": """from django.http import JsonResponse
from django.shortcuts import render


def index(request, sack=None):
    return render(request, "flour/index.html", {"sack": sack})


def status(request):
    return JsonResponse({"status": "ok"})
""",
        "flour/templates/flour/index.html": "<!doctype html>\n<title>The mill</title>\n<h1>Flour</h1>\n",
    },
)

REPOSITORIES = (NEXT, FASTAPI, DJANGO)
