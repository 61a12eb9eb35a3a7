"""Throw-away credentials, random for every start, in the forms that the providers give theirs.

The forms matter: code that tells test from live keys, or that masks keys in its output, looks at them.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_ALPHANUMERIC = string.ascii_letters + string.digits
_HEADER = b'{"alg":"HS256","typ":"JWT"}'


def _word(length: int) -> str:
    return "".join(secrets.choice(_ALPHANUMERIC) for _ in range(length))


def _stripe_key(kind: str) -> str:
    """`sk_test_51` + account + random part: https://docs.stripe.com/keys."""
    return f"{kind}_test_51{_word(99)}"


def _telnyx_key() -> str:
    """`KEY` + 32 upper-case hex digits + `_` + 22 letters: https://developers.telnyx.com/development/api-keys."""
    return f"KEY{secrets.token_hex(16).upper()}_{_word(22)}"


def _supabase_key(role: str, secret: str) -> str:
    """A token without an end, signed by HS256: https://supabase.com/docs/guides/api/api-keys, RFC 7515 section 7.1."""

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    claims = json.dumps({"iss": "supabase", "ref": "sandbox", "role": role}).encode()
    signed = f"{part(_HEADER)}.{part(claims)}"
    return f"{signed}.{part(hmac.digest(secret.encode(), signed.encode(), 'sha256'))}"


def telnyx_public_key(signing_key: str) -> str:
    """Base64 of the 32 bytes of the public key that belongs to a signing key, which is base64 of its seed."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    seed = base64.b64decode(signing_key)
    return base64.b64encode(Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()).decode()


@dataclass(frozen=True, slots=True)
class Credentials:
    """All secrets of one start.

    `shared` are handed to the checks and to the stand-ins under the same names. Slack's address and Sentry's key are
    known to the stand-ins and the application only.
    """

    shared: Mapping[str, str]
    slack_path: str
    sentry_key: str
    jwt_secret: str
    admin_password: str
    owner_password: str
    prober_password: str
    repairer_password: str
    authenticator_password: str

    def telnyx_public_key(self) -> str:
        """Base64 of the 32 bytes that belong to TELNYX_SIGNING_KEY."""
        return telnyx_public_key(self.shared["TELNYX_SIGNING_KEY"])

    def values(self) -> list[str]:
        """Every value that must not appear in anything that is written."""
        passwords = [self.admin_password, self.owner_password, self.prober_password, self.repairer_password]
        passwords.append(self.authenticator_password)
        own = [self.jwt_secret, self.slack_path, self.sentry_key, *passwords]
        return [value for name, value in self.shared.items() if name != "GOOGLE_CLIENT_ID"] + own


def new_credentials(more: Iterable[str] = ()) -> Credentials:
    """Fresh credentials. The names in `shared`, `more` among them, are those of the environment without `SANDBOX_`."""
    jwt_secret = _word(40)
    shared = {
        "STRIPE_SECRET_KEY": _stripe_key("sk"),
        "STRIPE_PROBE_KEY": _stripe_key("rk"),
        "STRIPE_WEBHOOK_SECRET": f"whsec_{_word(32)}",
        "RETELL_API_KEY": f"key_{secrets.token_hex(14)}",
        "RETELL_PROBE_KEY": f"key_{secrets.token_hex(14)}",
        "TELNYX_API_KEY": _telnyx_key(),
        "TELNYX_PROBE_KEY": _telnyx_key(),
        "TELNYX_SIGNING_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "GOOGLE_CLIENT_ID": f"{secrets.randbelow(10**12):012d}-{_word(32).lower()}.apps.googleusercontent.com",
        "GOOGLE_CLIENT_SECRET": f"GOCSPX-{_word(28)}",
        "GOOGLE_REFRESH_TOKEN": f"1//0g{_word(60)}",
        "GOOGLE_ROTATING_TOKEN": f"1//0r{_word(60)}",
        "GOOGLE_SLOW_TOKEN": f"1//0s{_word(60)}",
        "UPSTASH_TOKEN": f"A{_word(63)}",
        "VERCEL_TOKEN": _word(24),
        # https://docs.sentry.io/account/auth-tokens: a user token is `sntryu_` and 64 hex digits
        "SENTRY_PROBE_TOKEN": f"sntryu_{secrets.token_hex(32)}",
        "SUPABASE_TOKEN": f"sbp_{secrets.token_hex(20)}",
        "SUPABASE_JWT_SECRET": jwt_secret,
        "SUPABASE_ANON_KEY": _supabase_key("anon", jwt_secret),
        "SUPABASE_SERVICE_KEY": _supabase_key("service_role", jwt_secret),
        "CRON_SECRET": _word(40),
        "SYNTHETIC_KEY": _word(40),
        "JOURNAL_TOKEN": _word(40),
    }
    shared = {**{name.upper(): _word(40) for name in more}, **shared}
    return Credentials(
        shared=shared,
        # https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks: the address is the credential
        slack_path=f"/services/T{secrets.token_hex(4).upper()}/B{secrets.token_hex(4).upper()}/{_word(24)}",
        sentry_key=secrets.token_hex(16),
        jwt_secret=_word(48),
        admin_password=secrets.token_hex(16),
        owner_password=secrets.token_hex(16),
        prober_password=secrets.token_hex(16),
        repairer_password=secrets.token_hex(16),
        authenticator_password=secrets.token_hex(16),
    )
