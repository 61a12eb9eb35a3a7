"""Retell: `x-retell-signature: v=<milliseconds>,d=<hex>`, signed with the API key over the body and the time.

Source: retell-sdk, `retell/lib/webhook_auth.py`; 300 s both ways.
"""

from dialtone.signing.configured import Hmac

SCHEME = Hmac(
    header="x-retell-signature",
    value="v={timestamp},d={digest}",
    message="{body}{timestamp}",
    timestamp_unit="ms",
)
