"""Stripe: the four calls that charge a booking fee (form-encoded, bearer key, one idempotency key for each step)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dialtone_receptionist.defects import on
from dialtone_receptionist.providers.outgoing import Budget, Outgoing, retry_after

_STEPS = 3  # times the seconds of one step: what a whole charge may take


class StripeRefusal(Exception):
    """Stripe answered a step with an error. `is_final`: another try with the same key cannot end otherwise."""

    def __init__(self, step: str, status: int, code: str, wait: float = 0.0) -> None:
        super().__init__(f"Stripe answered {status} {code} to {step}".replace("  ", " "))
        self.status = status
        self.code = code
        self.wait = wait
        """Seconds that Stripe wants to be left alone."""

    @property
    def is_final(self) -> bool:
        """Whether the card was refused (402); key trouble, limits and outages pass."""
        return self.status == 402


@dataclass(frozen=True, slots=True, repr=False)
class Stripe:
    """The account's API; `seconds` for one step."""

    outgoing: Outgoing
    base: str
    api_key: str
    seconds: float = 4.0

    @property
    def longest(self) -> float:
        """Seconds that a charge may take, all steps and tries together."""
        return _STEPS * self.seconds

    async def charge(self, customer: str, amount_cents: int, description: str, reference: str, key: str) -> str:
        """Invoice `customer` at once; the id of the paid invoice.

        `key` is the stem of the idempotency keys: the same stem charges once, however often this is called within the
        24 h that Stripe remembers keys. Raises `StripeRefusal` and `OutgoingError`.
        """
        metadata = {"metadata[appointment_id]": reference}
        budget = Budget(None if on("no-timeout-stripe") else self.longest)
        await self._post(
            budget,
            "/v1/invoiceitems",
            {"customer": customer, "amount": amount_cents, "currency": "usd", "description": description, **metadata},
            f"{key}-item",
        )
        invoice = await self._post(
            budget,
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
        final = await self._post(budget, f"/v1/invoices/{identifier}/finalize", {}, f"{key}-finalize")
        if final.get("status") == "paid":  # nothing was left to pay: another invoice carried the item along
            return identifier
        try:
            await self._post(budget, f"/v1/invoices/{identifier}/pay", {}, f"{key}-pay")
        except StripeRefusal as refusal:
            # Somebody may have paid it meanwhile: what the invoice says counts for more than the refusal.
            if refusal.status != 400 or (await self._invoice(budget, identifier)).get("status") != "paid":
                raise
        return identifier

    async def _post(self, budget: Budget, path: str, form: dict[str, Any], key: str) -> dict[str, Any]:
        headers = {} if on("fee-no-idempotency-key") else {"Idempotency-Key": key}
        return await self._call("POST", budget, path, data=form, headers=headers)

    async def _invoice(self, budget: Budget, identifier: str) -> dict[str, Any]:
        return await self._call("GET", budget, f"/v1/invoices/{identifier}")

    async def _call(
        self,
        method: str,
        budget: Budget,
        path: str,
        *,
        data: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        left = budget.left()
        answer = await self.outgoing.call(
            "stripe",
            method,
            self.base + path,
            total=None if left is None else min(left, self.seconds),
            repeat="always",
            data=data,
            headers={"Authorization": f"Bearer {self.api_key}", **(headers or {})},
        )
        try:
            body = answer.json()
        except ValueError:
            body = None
        step = path.rsplit("/", 1)[1]
        is_object = isinstance(body, dict) and ("id" in body or "status" in body)
        if answer.is_success and not is_object and not on("page-taken-for-charge"):
            raise StripeRefusal(step, answer.status_code, "without what was asked for")
        body = body if isinstance(body, dict) else {}
        if not answer.is_success:
            error = body.get("error")
            code = str(error.get("code") or "") if isinstance(error, dict) else ""
            raise StripeRefusal(step, answer.status_code, code, retry_after(answer))
        return body
