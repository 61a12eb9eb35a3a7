"""Stand-in for Stripe's API, version 1.

Objects and parameters: stripe/stripe-python (stripe/_invoice.py, stripe/params/*) and https://docs.stripe.com/api.
Only the members that a client is likely to read are there.
"""

from __future__ import annotations

from dialtone.standins.stripe.api import Stripe

__all__ = ["Stripe"]
