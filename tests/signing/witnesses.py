"""The providers' own verifiers, loaded without their SDKs where those take seconds to import."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import stripe
from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def _load(package: str, file: str) -> ModuleType:
    """One module of a package by its place, without running the package's __init__."""
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.submodule_search_locations
    path = Path(found.submodule_search_locations[0]) / file
    spec = importlib.util.spec_from_file_location(f"{package}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_TELNYX: Any = _load("telnyx", "lib/webhook_verification.py")
_RETELL: Any = _load("retell", "lib/webhook_auth.py")


def stripe_accepts(body: bytes, headers: Mapping[str, str], key: str) -> bool:
    """stripe-python's verdict."""
    try:
        stripe.WebhookSignature.verify_header(body.decode(), headers["stripe-signature"], key, tolerance=300)
    except (stripe.SignatureVerificationError, ValueError):
        return False
    return True


def retell_accepts(body: bytes, headers: Mapping[str, str], key: str) -> bool:
    """retell-sdk's verdict."""
    try:
        return bool(_RETELL.verify(body.decode(), key, headers["x-retell-signature"]))
    except ValueError:
        return False


def telnyx_accepts(body: bytes, headers: Mapping[str, str], key: str) -> bool:
    """telnyx-python's verdict; `key` is the public one."""
    try:
        _TELNYX.verify_webhook_signature(body, headers, key)
    except _TELNYX.WebhookVerificationError:
        return False
    return True


def standard_accepts(body: bytes, headers: Mapping[str, str], key: str) -> bool:
    """The verdict of the specification's reference library."""
    try:
        Webhook(key).verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError):
        return False
    return True
