"""Stripe: the four calls that charge a booking fee (form-encoded, bearer key, one idempotency key for each step)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dialtone_receptionist.providers.outgoing import Outgoing

_TOTAL = 5.0  # seconds for one step


class StripeRefusal(Exception):
    """Stripe answered a step with an error. `is_final`: another try with the same key cannot end otherwise."""

    def __init__(self, step: str, status: int, code: str) -> None:
        super().__init__(f"Stripe answered {status} {code} to {step}".replace("  ", " "))
        self.status = status
        self.code = code

    @property
    def is_final(self) -> bool:
        """Whether the card was refused (402); key trouble, limits and outages pass."""
        return self.status == 402


@dataclass(frozen=True, slots=True, repr=False)
class Stripe:
    """The account's API."""

    outgoing: Outgoing
    base: str
    api_key: str

    async def charge(self, customer: str, amount_cents: int, description: str, reference: str, key: str) -> str:
        """Invoice `customer` at once; the id of the paid invoice.

        `key` is the stem of the idempotency keys: the same stem charges once, however often this is called within the
        24 h that Stripe remembers keys. Raises `StripeRefusal` and `OutgoingError`.
        """
        metadata = {"metadata[appointment_id]": reference}
        await self._post(
            "/v1/invoiceitems",
            {"customer": customer, "amount": amount_cents, "currency": "usd", "description": description, **metadata},
            f"{key}-item",
        )
        invoice = await self._post(
            "/v1/invoices",
            {
                "customer": customer,
                "auto_advance": "false",
                "collection_method": "charge_automatically",
                "pending_invoice_items_behavior": "include",
                **metadata,
            },
            f"{key}-invoice",
        )
        identifier = str(invoice.get("id"))
        final = await self._post(f"/v1/invoices/{identifier}/finalize", {}, f"{key}-finalize")
        if final.get("status") == "paid":  # nothing was left to pay: another invoice carried the item along
            return identifier
        try:
            await self._post(f"/v1/invoices/{identifier}/pay", {}, f"{key}-pay")
        except StripeRefusal as refusal:
            # Somebody may have paid it meanwhile: what the invoice says counts for more than the refusal.
            if refusal.status != 400 or (await self._call("GET", f"/v1/invoices/{identifier}")).get("status") != "paid":
                raise
        return identifier

    async def _post(self, path: str, form: dict[str, Any], key: str) -> dict[str, Any]:
        return await self._call("POST", path, data=form, headers={"Idempotency-Key": key})

    async def _call(
        self, method: str, path: str, *, data: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        answer = await self.outgoing.call(
            "stripe",
            method,
            self.base + path,
            total=_TOTAL,
            data=data,
            headers={"Authorization": f"Bearer {self.api_key}", **(headers or {})},
        )
        try:
            body = answer.json()
        except ValueError:
            body = {}
        if not isinstance(body, dict):
            body = {}
        if not answer.is_success:
            error = body.get("error")
            code = str(error.get("code") or "") if isinstance(error, dict) else ""
            raise StripeRefusal(path.rsplit("/", 1)[1], answer.status_code, code)
        return body
