"""On PYTHONPATH of an application: SDKs with trust stores of their own trust the bundle in SSL_CERT_FILE as well.

stripe-python reads no variable for its authorities; it has a setting, which is made when it is imported. A
sitecustomize of the application's own, if there is one, runs first.
"""

import importlib.abc
import importlib.machinery
import os
import sys
from pathlib import Path
from typing import Any

BUNDLES = {"stripe": "ca_bundle_path"}


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: Any, setting: str) -> None:
        self.loader, self.setting = loader, setting

    def create_module(self, spec: Any) -> Any:
        return self.loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        self.loader.exec_module(module)
        setattr(module, self.setting, os.environ["SSL_CERT_FILE"])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name not in BUNDLES or path is not None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, BUNDLES[name])
        return spec


def _theirs() -> None:
    """Another sitecustomize further down the path."""
    here = Path(__file__).resolve().parent
    rest = [p for p in sys.path if Path(p).resolve() != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


import importlib.util  # noqa: E402

_theirs()
if os.environ.get("SSL_CERT_FILE"):
    sys.meta_path.insert(0, _Finder())
