"""Signs webhook events as their providers do.

    headers = scheme("stripe").sign(body, key=secret, at=time.time(), event_id="evt_1")

A provider with a scheme of its own is one file here and one row in the table, or an entry point in another package; one
that signs with a shared secret needs neither: `configured` makes its scheme from a profile's options.
"""

from __future__ import annotations

from collections.abc import Mapping

from dialtone import extension
from dialtone.signing import retell, standard_webhooks, stripe, telnyx
from dialtone.signing.configured import configured
from dialtone.signing.scheme import Scheme

SCHEMES: Mapping[str, Scheme] = {
    "stripe": stripe.SCHEME,
    "retell": retell.SCHEME,
    "telnyx": telnyx.SCHEME,
    "standard-webhooks": standard_webhooks.SCHEME,
}


def scheme(name: str) -> Scheme:
    """The scheme of a provider by its name in a profile. Raises ValueError that lists the known ones."""
    if name in SCHEMES:
        return SCHEMES[name]
    brought = extension.brought("signing", SCHEMES)
    if name not in brought:
        known = ", ".join([*SCHEMES, *brought])
        raise ValueError(f"no signing scheme {name!r}; there are {known}, and tables of options")
    found: Scheme = extension.load(brought[name], "sign")
    return found


__all__ = ["SCHEMES", "Scheme", "configured", "scheme"]
