"""Customers and invoices.

A customer whose id contains `declined` has a card that is declined until it is changed; every other one pays.
"""

from __future__ import annotations

from typing import Any

from dialtone.standins.defects import Switches
from dialtone.standins.listed import NOTHING, Listed
from dialtone.standins.standin import Routes
from dialtone.standins.state import Bounded, Clock
from dialtone.standins.stripe.events import Events
from dialtone.standins.stripe.wire import (
    LIST_PARAMETERS,
    error,
    integer,
    is_live,
    metadata,
    missing,
    new_id,
    no_such,
    page,
    parameters,
)
from dialtone.standins.wire import Answer, Refusal, Request, json_answer

_SANDBOX_CUSTOMERS = ("cus_synthetic", "cus_sandbox")
"""Customers of the sandbox's database: they exist without having been created here."""

_CUSTOMER = frozenset(
    "address balance description email invoice_settings metadata name payment_method phone source tax".split()
)
_INVOICE_ITEM = frozenset(
    "amount currency customer description discountable invoice metadata period price_data pricing quantity subscription"
    " tax_behavior tax_code tax_rates unit_amount_decimal".split()
)
_INVOICE = frozenset(
    "application_fee_amount auto_advance automatic_tax collection_method currency custom_fields customer days_until_due"
    " default_payment_method default_source description due_date footer metadata number payment_settings"
    " pending_invoice_items_behavior statement_descriptor subscription".split()
)
_MAX_LINES = 250
_PAY = frozenset("forgive mandate off_session paid_out_of_band payment_method source".split())


class Billing:
    """Customers, the items that they will be charged for, and invoices from draft to paid."""

    routes = Routes()

    def __init__(self, events: Events, clock: Clock, switches: Switches, listed: Listed = NOTHING) -> None:
        self._events, self._clock, self._switches, self._listed = events, clock, switches, listed
        events.before = self._before
        self._started = int(clock.time())
        self._customers: Bounded[dict[str, Any]] = Bounded()
        self._items: Bounded[dict[str, Any]] = Bounded()
        self._invoices: Bounded[dict[str, Any]] = Bounded()
        self._good_cards: Bounded[bool] = Bounded()

    @routes("POST", "/v1/customers")
    def create_customer(self, request: Request) -> Answer:
        """A new customer."""
        values = parameters(request, _CUSTOMER)
        customer = self._customer_object(new_id("cus"), is_live(request))
        customer |= {name: values[name] for name in ("description", "email", "name", "phone") if name in values}
        customer["metadata"] = metadata(values)
        self._customers[customer["id"]] = customer
        self._events.emit("customer.created", customer, request)
        return json_answer(200, customer)

    @routes("GET", "/v1/customers")
    def list_customers(self, request: Request) -> Answer:
        """Customers that were created here, newest first; of one e-mail address, in its exact spelling."""
        values = parameters(request, LIST_PARAMETERS | {"email"})
        found = [one for one in self._customers.newest_first() if values.get("email") in (None, one["email"])]
        return page(request.path, found, values)

    @routes("DELETE", "/v1/customers/{name}")
    def delete_customer(self, request: Request, name: str) -> Answer:
        """Delete a customer that was created here."""
        customer = self._customers.pop(name)
        if customer is None:
            raise no_such("customer", name)
        self._events.emit("customer.deleted", customer, request)
        return json_answer(200, {"id": name, "object": "customer", "deleted": True})

    @routes("GET", "/v1/customers/{name}")
    def get_customer(self, request: Request, name: str) -> Answer:
        """A customer that was created here, or one of the sandbox's database."""
        if customer := self._customers.get(name):
            return json_answer(200, customer)
        if not name.startswith(_SANDBOX_CUSTOMERS):
            raise no_such("customer", name)
        return json_answer(200, self._customer_object(name, is_live(request)))

    @routes("POST", "/v1/customers/{name}")
    def update_customer(self, request: Request, name: str) -> Answer:
        """Change a customer: a new source or default payment method is a card that pays."""
        values = parameters(request, _CUSTOMER)
        self.customer_of({"customer": name})
        if "source" in values or "invoice_settings" in values:
            self._good_cards[name] = True
        customer = self._customers.get(name)
        if customer is None:
            return json_answer(200, self._customer_object(name, is_live(request)))
        customer |= {field: values[field] for field in ("description", "email", "name", "phone") if field in values}
        customer["metadata"] |= metadata(values)
        self._events.emit("customer.updated", customer, request)
        return json_answer(200, customer)

    @routes("POST", "/v1/invoiceitems")
    def create_invoice_item(self, request: Request) -> Answer:
        """A line for an invoice that exists, or for the next one that includes pending items."""
        values = parameters(request, _INVOICE_ITEM)
        item = {
            "id": new_id("ii"),
            "object": "invoiceitem",
            "amount": integer(values, "amount"),
            "currency": values.get("currency", "usd"),
            "customer": self.customer_of(values),
            "date": int(self._clock.time()),
            "description": values.get("description"),
            "invoice": values.get("invoice"),
            "livemode": is_live(request),
            "metadata": metadata(values),
            "quantity": integer(values, "quantity", 1),
        }
        if item["invoice"]:
            invoice = self._invoice(item["invoice"], param="invoice", status=400)
            if invoice["status"] != "draft":
                raise Refusal(error(400, "You can only add items to a draft invoice.", code="invoice_not_editable"))
            if invoice["lines"]["total_count"] >= _MAX_LINES:
                raise Refusal(error(400, f"An invoice can have at most {_MAX_LINES} line items."))
            self._add(invoice, item)
        self._items[item["id"]] = item
        return json_answer(200, item)

    @routes("POST", "/v1/invoices")
    def create_invoice(self, request: Request) -> Answer:
        """A draft. Pending items come with it only when `pending_invoice_items_behavior` says `include`."""
        values = parameters(request, _INVOICE)
        behaviour = values.get("pending_invoice_items_behavior", "exclude")
        if behaviour not in ("include", "exclude"):
            param = "pending_invoice_items_behavior"
            raise Refusal(error(400, f"Invalid {param}: must be one of exclude or include", param=param))
        currency = values.get("currency", "usd")
        invoice = self._invoice_object(self.customer_of(values), currency, is_live(request))
        invoice |= {name: values[name] for name in ("collection_method", "description") if name in values}
        invoice |= {"auto_advance": values.get("auto_advance", "false") == "true", "metadata": metadata(values)}
        if behaviour == "include":
            for item in reversed(self._items.newest_first()):
                pending = item["customer"] == invoice["customer"] and item["invoice"] is None
                if pending and invoice["lines"]["total_count"] < _MAX_LINES:
                    self._add(invoice, item)
        self._invoices[invoice["id"]] = invoice
        return json_answer(200, invoice)

    @routes("GET", "/v1/invoices")
    def list_invoices(self, request: Request) -> Answer:
        """Invoices, newest first."""
        values = parameters(request, LIST_PARAMETERS | {"customer", "status", "collection_method", "subscription"})
        fields = ("customer", "status", "collection_method", "subscription")
        wanted = {name: values[name] for name in fields if name in values}
        invoices = [*self._invoices.newest_first(), *self._before()]
        matching = [
            invoice for invoice in invoices if all(invoice.get(name) == value for name, value in wanted.items())
        ]
        return page(request.path, matching, values)

    def _before(self) -> list[dict[str, Any]]:
        """Paid invoices of the time before the start, each for a booking of its own."""
        more = 3 if self._switches.on("invoices-unrecorded") else 0
        listed = self._listed.entries(self._started, more)
        found = [_paid(name, at, f"booking of {name}") for name, at in listed]
        if found and self._switches.on("invoices-for-one-booking"):
            found[0]["metadata"] = found[1]["metadata"]
        return found

    @routes("GET", "/v1/invoices/{name}")
    def get_invoice(self, _request: Request, name: str) -> Answer:
        """An invoice that was created here."""
        return json_answer(200, self._invoice(name))

    @routes("POST", "/v1/invoices/{name}/finalize")
    def finalize_invoice(self, request: Request, name: str) -> Answer:
        """A draft becomes open; one over nothing is paid at once."""
        parameters(request, {"auto_advance"})
        invoice = self._invoice(name)
        if invoice["status"] != "draft":
            raise Refusal(error(400, "This invoice is already finalized, you can't re-finalize it."))
        invoice["status"] = "open" if invoice["amount_due"] else "paid"
        self._events.emit("invoice.finalized", invoice, request)
        return json_answer(200, invoice)

    @routes("POST", "/v1/invoices/{name}/void")
    def void_invoice(self, request: Request, name: str) -> Answer:
        """An open invoice that nobody will pay."""
        parameters(request, ())
        invoice = self._invoice(name)
        if invoice["status"] != "open":
            raise Refusal(error(400, f"You can only void an open invoice. This one is {invoice['status']}."))
        invoice["status"] = "void"
        self._events.emit("invoice.voided", invoice, request)
        return json_answer(200, invoice)

    @routes("GET", "/v1/invoiceitems")
    def list_invoice_items(self, request: Request) -> Answer:
        """Lines for invoices, newest first; `pending=true` are those that no invoice has."""
        values = parameters(request, LIST_PARAMETERS | {"customer", "invoice", "pending"})
        found = self._items.newest_first()
        found = [{**one, "created": one["date"]} for one in found]
        for field in ("customer", "invoice"):
            found = [one for one in found if values.get(field) in (None, one[field])]
        if "pending" in values:
            found = [one for one in found if (one["invoice"] is None) == (values["pending"] == "true")]
        return page(request.path, found, values)

    @routes("POST", "/v1/invoices/{name}/pay")
    def pay_invoice(self, request: Request, name: str) -> Answer:
        """Charge the customer's card. A declined one leaves the invoice open."""
        parameters(request, _PAY)
        invoice = self._invoice(name)
        if invoice["status"] == "paid":
            raise Refusal(error(400, "Invoice is already paid"))
        invoice["attempted"] = True
        invoice["attempt_count"] += 1
        if not self.pays(invoice["customer"]):
            invoice["status"] = "open"
            self._events.emit("invoice.payment_failed", invoice, request)
            more = {"decline_code": "generic_decline", "charge": new_id("ch")}
            return error(402, "Your card was declined.", code="card_declined", kind="card_error", **more)
        invoice |= {"status": "paid", "amount_paid": invoice["amount_due"], "amount_remaining": 0}
        self._events.emit("invoice.paid", invoice, request)
        return json_answer(200, invoice)

    def pays(self, customer: str) -> bool:
        """Whether the customer's card is good."""
        return "declined" not in customer or customer in self._good_cards

    def invoice_of(self, request: Request, customer: str, subscription: str, amount: int, *, paid: bool) -> str:
        """The first invoice of a subscription; its id."""
        invoice = self._invoice_object(customer, "usd", is_live(request)) | {"subscription": subscription}
        invoice |= {"amount_due": amount, "total": amount, "status": "paid" if paid else "open", "attempted": True}
        invoice |= {"amount_paid": amount if paid else 0, "amount_remaining": 0 if paid else amount}
        self._invoices[invoice["id"]] = invoice
        self._events.emit("invoice.paid" if paid else "invoice.payment_failed", invoice, request)
        return str(invoice["id"])

    def customer_of(self, values: dict[str, Any]) -> str:
        """The customer named by the parameters. Refuses an unknown one."""
        name = values.get("customer")
        if not name:
            raise missing("customer")
        if not isinstance(name, str) or not (name in self._customers or name.startswith(_SANDBOX_CUSTOMERS)):
            raise no_such("customer", str(name), param="customer", status=400)
        return name

    def _customer_object(self, name: str, live: bool) -> dict[str, Any]:
        return {
            "id": name,
            "object": "customer",
            "balance": 0,
            "created": self._started - 30 * 86_400 if name.startswith(_SANDBOX_CUSTOMERS) else int(self._clock.time()),
            "currency": "usd",
            "delinquent": False,
            "description": None,
            "email": None,
            "livemode": live,
            "metadata": {},
            "name": None,
            "phone": None,
        }

    def _invoice_object(self, customer: str, currency: str, live: bool) -> dict[str, Any]:
        return {
            "id": new_id("in"),
            "object": "invoice",
            "amount_due": 0,
            "amount_paid": 0,
            "amount_remaining": 0,
            "attempt_count": 0,
            "attempted": False,
            "auto_advance": False,
            "collection_method": "charge_automatically",
            "created": int(self._clock.time()),
            "currency": currency,
            "customer": customer,
            "description": None,
            "lines": {"object": "list", "data": [], "has_more": False, "total_count": 0},
            "livemode": live,
            "metadata": {},
            "next_payment_attempt": None,
            "status": "draft",
            "total": 0,
        }

    def _invoice(self, name: str, *, param: str = "id", status: int = 404) -> dict[str, Any]:
        invoice = self._invoices.get(name)
        if invoice is None:
            raise no_such("invoice", name, param=param, status=status)
        return invoice

    def _add(self, invoice: dict[str, Any], item: dict[str, Any]) -> None:
        item["invoice"] = invoice["id"]
        lines = invoice["lines"]
        line = {name: item[name] for name in ("amount", "currency", "description", "metadata", "quantity")}
        lines["data"].append({"id": new_id("il"), "object": "line_item", "invoice_item": item["id"], **line})
        lines["total_count"] += 1
        for total in ("amount_due", "amount_remaining", "total"):
            invoice[total] += item["amount"]


def _paid(name: str, at: float, purpose: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "invoice",
        "amount_due": 5000,
        "amount_paid": 5000,
        "collection_method": "charge_automatically",
        "created": int(at),
        "currency": "usd",
        "customer": "cus_listed",
        "livemode": False,
        "metadata": {"appointment_id": purpose},
        "status": "paid",
    }
