"""Stripe: `Stripe-Signature: t=<seconds>,v1=<hex>`, signed with the endpoint's secret, its `whsec_` included.

Source: https://docs.stripe.com/webhooks#verify-manually and stripe-python, `stripe/_webhook.py`. Its SDKs refuse what
is older than 300 s, but not what is of the future.
"""

from dialtone.signing.configured import Hmac

SCHEME = Hmac(header="stripe-signature", value="t={timestamp},v1={digest}", message="{timestamp}.{body}")
