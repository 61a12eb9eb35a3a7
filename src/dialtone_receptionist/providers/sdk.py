"""Signature verification by the providers' own SDKs, without the cost of importing all of them.

`import telnyx` takes 2.7 s of CPU and `import retell` more than 1 s, nearly all of it for generated API types. Both
SDKs keep their verification in one module that imports nothing of the rest; it is loaded here from its file. The code
that decides is still the SDK's, unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from stripe import SignatureVerificationError, WebhookSignature


def _load(package: str, file: str) -> ModuleType:
    spec = find_spec(package)  # finds the folder; executes nothing of a top-level package
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the SDK {package} is not installed", name=package)
    path = Path(spec.submodule_search_locations[0], file)
    module_spec = spec_from_file_location(f"_receptionist_{package}_{path.stem}", path)
    if module_spec is None or module_spec.loader is None:
        raise ModuleNotFoundError(f"the SDK {package} has no {file}", name=package)
    module = module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return module


_retell = _load("retell", "lib/webhook_auth.py")
_telnyx = _load("telnyx", "lib/webhook_verification.py")

# telnyx imports PyNaCl inside of the function: done here once, so that no request pays for it.
import nacl.exceptions  # noqa: E402
import nacl.signing  # noqa: E402, F401


def stripe_accepts(body: bytes, header: str, secret: str, *, tolerance: int | None = 300) -> bool:
    """Whether stripe-python accepts the `Stripe-Signature` header for the raw body; `tolerance` in seconds."""
    try:
        return bool(WebhookSignature.verify_header(body, header, secret, tolerance))
    except (SignatureVerificationError, UnicodeDecodeError, TypeError):
        return False  # TypeError: the SDK compares digests as text, and the header was not ASCII


def retell_accepts(body: bytes, header: str, api_key: str) -> bool:
    """Whether retell-sdk accepts the `X-Retell-Signature` header for the raw body."""
    try:
        return bool(_retell.verify(body.decode(), api_key, header))
    except UnicodeDecodeError:
        return False


def telnyx_accepts(body: bytes, headers: Mapping[str, str], public_key: str) -> bool:
    """Whether telnyx accepts its two signature headers for the raw body."""
    try:
        _telnyx.verify_webhook_signature(body, headers, public_key)
    except (_telnyx.WebhookVerificationError, UnicodeDecodeError):
        return False
    return True
