"""Stripe: what it answers, refuses and repeats."""

from __future__ import annotations

import base64

import pytest
import stripe


def fee(world, key="fee", **more):
    """Charge a booking fee as an application does; the ids of item and invoice and the last answer."""
    customer = {"customer": "cus_synthetic_1", **more}

    def post(path, form, step):
        return world.send("stripe", "POST", path, form=form, headers={"idempotency-key": f"{key}-{step}"})

    item = post("/v1/invoiceitems", {**customer, "amount": 5000, "metadata[appointment_id]": "a1"}, "item")
    invoice = post("/v1/invoices", {**customer, "pending_invoice_items_behavior": "include"}, "invoice").json()
    post(f"/v1/invoices/{invoice['id']}/finalize", {}, "finalize")
    return item.json()["id"], invoice["id"], post(f"/v1/invoices/{invoice['id']}/pay", {}, "pay")


def test_a_fee_is_charged_once(world):
    """The same idempotency keys give the same item and invoice again, marked as replayed."""
    first, second = fee(world), fee(world)
    assert first[:2] == second[:2]
    assert first[2].json()["status"] == "paid"
    assert first[2].json()["amount_paid"] == 5000
    assert "idempotent-replayed" not in first[2].headers
    assert second[2].headers["idempotent-replayed"] == "true"
    listed = world.send("stripe", "GET", "/v1/invoices?customer=cus_synthetic_1&limit=100").json()
    assert [invoice["id"] for invoice in listed["data"]] == [first[1]]


def test_other_keys_charge_again(world):
    """New idempotency keys are new charges."""
    assert fee(world, "one")[1] != fee(world, "two")[1]


@pytest.mark.parametrize(("path", "amount"), [("/v1/invoiceitems", 1), ("/v1/customers", 5000)])
def test_a_key_used_otherwise_is_refused(world, path, amount):
    """The same key with other parameters, or for another endpoint, is an idempotency_error."""
    fee(world)
    form = {"customer": "cus_synthetic_1", "amount": amount}
    answer = world.send("stripe", "POST", path, form=form, headers={"idempotency-key": "fee-item"})
    assert (answer.status, answer.json()["error"]["type"]) == (400, "idempotency_error")


def test_a_key_is_forgotten_after_a_day(world):
    """After 24 hours the same key runs again."""
    first = fee(world)
    world.time.advance(86_401)
    assert fee(world)[1] != first[1]


def test_a_refusal_is_not_remembered(world):
    """A validation error does not use up the key."""
    headers = {"idempotency-key": "k"}
    refused = world.send("stripe", "POST", "/v1/invoices", form={"customer": "cus_nobody"}, headers=headers)
    assert refused.json()["error"]["code"] == "resource_missing"
    good = world.send("stripe", "POST", "/v1/invoices", form={"customer": "cus_sandbox_1"}, headers=headers)
    assert good.status == 200


def test_pending_items_are_left_out_unless_asked_for(world):
    """Without `pending_invoice_items_behavior=include` an invoice is empty, and paid as soon as it is finalized."""
    form = {"customer": "cus_synthetic_1"}
    world.send("stripe", "POST", "/v1/invoiceitems", form={**form, "amount": 5000})
    invoice = world.send("stripe", "POST", "/v1/invoices", form=form).json()
    final = world.send("stripe", "POST", f"/v1/invoices/{invoice['id']}/finalize").json()
    assert (final["amount_due"], final["status"]) == (0, "paid")
    again = world.send("stripe", "POST", f"/v1/invoices/{invoice['id']}/pay")
    assert (again.status, again.json()["error"]["message"]) == (400, "Invoice is already paid")


def test_an_item_can_name_its_invoice(world):
    """An item for a draft is in that draft; a finalized invoice takes none."""
    form = {"customer": "cus_synthetic_1"}
    invoice = world.send("stripe", "POST", "/v1/invoices", form=form).json()["id"]
    item = {**form, "amount": 700, "invoice": invoice}
    assert world.send("stripe", "POST", "/v1/invoiceitems", form=item).status == 200
    world.send("stripe", "POST", f"/v1/invoices/{invoice}/finalize")
    assert world.send("stripe", "GET", f"/v1/invoices/{invoice}").json()["amount_due"] == 700
    assert world.send("stripe", "POST", "/v1/invoiceitems", form=item).json()["error"]["code"] == "invoice_not_editable"


def test_a_declined_card_leaves_the_invoice_open(world):
    """402 with card_declined; the invoice is attempted and open; the same key gives the same answer."""
    _, invoice, answer = fee(world, customer="cus_synthetic_declined")
    assert (answer.status, answer.json()["error"]["code"]) == (402, "card_declined")
    kept = world.send("stripe", "GET", f"/v1/invoices/{invoice}").json()
    assert (kept["status"], kept["attempt_count"]) == ("open", 1)


@pytest.mark.parametrize(
    ("method", "path", "form", "status", "code"),
    [
        ("POST", "/v1/invoiceitems", {"customer": "cus_synthetic"}, 400, "parameter_missing"),
        ("POST", "/v1/invoiceitems", {"customer": "cus_synthetic", "amount": "x"}, 400, "parameter_invalid_integer"),
        ("POST", "/v1/invoiceitems", {"customer": "cus_nobody", "amount": 1}, 400, "resource_missing"),
        ("POST", "/v1/invoices", {}, 400, "parameter_missing"),
        ("POST", "/v1/invoices", {"customer": "cus_synthetic", "colour": "red"}, 400, "parameter_unknown"),
        ("POST", "/v1/customers", {"metadata": "text"}, 400, "parameter_invalid_empty"),
        ("POST", "/v1/checkout/sessions", {"mode": "payment", "success_url": "https://a"}, 400, "parameter_missing"),
        ("GET", "/v1/customers/cus_nobody", None, 404, "resource_missing"),
        ("GET", "/v1/invoices/in_nobody", None, 404, "resource_missing"),
        ("GET", "/v1/subscriptions/sub_nobody", None, 404, "resource_missing"),
        ("GET", "/v1/invoices?limit=101", None, 400, "parameter_invalid_integer"),
        ("DELETE", "/v1/balance", None, 404, None),
        ("GET", "/v1/nothing", None, 404, None),
    ],
)
def test_refusals(world, method, path, form, status, code):
    """What Stripe refuses is refused with its status and code."""
    answer = world.send("stripe", method, path, form=form)
    assert (answer.status, answer.json()["error"].get("code")) == (status, code)
    assert answer.headers["request-id"].startswith("req_")


def test_json_is_not_a_form(world):
    """A JSON body is refused."""
    answer = world.send("stripe", "POST", "/v1/customers", body={"name": "x"})
    assert answer.status == 400


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer sk_test_wrong"}, {"authorization": "Basic !"}])
def test_a_wrong_key_is_refused_and_not_shown(world, headers):
    """401 without a key and with a wrong one; the answer does not repeat the key."""
    answer = world.send("stripe", "GET", "/v1/balance", key="", headers=headers)
    assert answer.status == 401
    assert "wrong" not in answer.text


def test_whose_key_it_was(world):
    """The journal knows application from prober, test from live, and never the key itself."""
    application, prober = world.secrets["stripe_secret_key"], world.secrets["stripe_probe_key"]
    basic = "Basic " + base64.b64encode(f"{application}:".encode()).decode()
    for key, headers in (
        (application, {}),
        (prober, {}),
        (application.replace("sk_test_", "sk_live_"), {}),
        ("sk_live_other", {}),
        ("", {"authorization": basic}),
        ("", {}),
    ):
        world.send("stripe", "GET", "/v1/balance", key=key, headers=headers)
    seen = [(entry["credential"]["mode"], entry["credential"]["owner"], entry["status"]) for entry in world.entries()]
    assert seen == [
        ("test", "application", 200),
        ("test", "prober", 200),
        ("live", "application", 200),
        ("live", "unknown", 401),
        ("test", "application", 200),
        ("unknown", "unknown", 401),
    ]


def test_a_checkout_session_expires(world):
    """A session is open, is expired on demand, and cannot be expired twice."""
    form = {
        "mode": "subscription",
        "success_url": "https://a",
        "line_items[0][price]": "p",
        "line_items[0][quantity]": 1,
    }
    session = world.send("stripe", "POST", "/v1/checkout/sessions", form=form).json()
    assert (session["status"], session["payment_status"]) == ("open", "unpaid")
    path = f"/v1/checkout/sessions/{session['id']}"
    assert world.send("stripe", "POST", f"{path}/expire").json()["status"] == "expired"
    assert world.send("stripe", "GET", path).json()["status"] == "expired"
    assert world.send("stripe", "POST", f"{path}/expire").status == 400


def test_no_page_opens_for_an_archived_price(world):
    """The defect: a 400 that names the line; a page without a price still opens."""
    world.defect("stripe-price-archived")
    form = {"mode": "subscription", "success_url": "https://a", "line_items[0][price]": "p"}
    reply = world.send("stripe", "POST", "/v1/checkout/sessions", form=form)
    assert (reply.status, reply.json()["error"]["param"]) == (400, "line_items[0][price]")
    setup = {"mode": "setup", "success_url": "https://a"}
    assert world.send("stripe", "POST", "/v1/checkout/sessions", form=setup).status == 200


def test_a_declined_card_can_be_changed(world):
    """A new payment method pays what the old one did not."""
    customer = "cus_sandbox_declined_2"
    _, invoice, paid = fee(world, "old", customer=customer)
    assert paid.status == 402
    form = {"invoice_settings[default_payment_method]": "pm_card_visa"}
    assert world.send("stripe", "POST", f"/v1/customers/{customer}", form=form).json()["id"] == customer
    assert world.send("stripe", "POST", f"/v1/invoices/{invoice}/pay", form={}).json()["status"] == "paid"
    assert world.send("stripe", "POST", "/v1/customers/cus_nobody", form=form).status == 400


def test_who_pays_has_an_active_subscription(world):
    """By customer and status; nobody else's."""
    for query, expected in (
        ("customer=cus_sandbox_7&status=active", ["sub_sandbox_7"]),
        ("customer=cus_sandbox_7", ["sub_sandbox_7"]),
        ("customer=cus_sandbox_7&status=canceled", []),
        ("customer=cus_sandbox_unpaid_7", []),
        ("customer=cus_nobody", []),
    ):
        listed = world.send("stripe", "GET", f"/v1/subscriptions?{query}").json()
        assert [one["id"] for one in listed["data"]] == expected, query
    assert world.send("stripe", "GET", "/v1/subscriptions?colour=red").status == 400


def test_lists_are_paged(world):
    """`limit` and `starting_after` walk through a list, newest first."""
    ids = [world.send("stripe", "POST", "/v1/invoices", form={"customer": "cus_synthetic"}).json()["id"] for _ in "abc"]
    first = world.send("stripe", "GET", "/v1/invoices?limit=2").json()
    assert ([one["id"] for one in first["data"]], first["has_more"]) == ([ids[2], ids[1]], True)
    rest = world.send("stripe", "GET", f"/v1/invoices?starting_after={ids[1]}").json()
    assert ([one["id"] for one in rest["data"]], rest["has_more"]) == ([ids[0]], False)


def test_webhooks_are_in_order(world):
    """By default the endpoint is enabled at the application's address and no event waits for delivery."""
    (endpoint,) = world.send("stripe", "GET", "/v1/webhook_endpoints?limit=100").json()["data"]
    assert (endpoint["status"], endpoint["url"]) == ("enabled", "http://app.invalid/hooks/stripe")
    assert world.send("stripe", "GET", "/v1/events?delivery_success=false&limit=100").json()["data"] == []
    assert len(world.send("stripe", "GET", "/v1/events").json()["data"]) == 1


def test_defects(world):
    """Each defect of Stripe shows, and is gone when it is switched off."""

    def look():
        return (
            world.send("stripe", "GET", "/v1/webhook_endpoints").json().get("data", [{}])[0].get("status"),
            len(world.send("stripe", "GET", "/v1/events?delivery_success=false").json().get("data", [])),
            world.send("stripe", "GET", "/v1/balance").status,
            world.send("stripe", "GET", "/v1/balance", key=world.secrets["stripe_probe_key"]).status,
        )

    fine = ("enabled", 0, 200, 200)
    assert look() == fine
    world.defect("stripe-endpoint-disabled")
    assert look() == ("disabled", *fine[1:])
    world.defect("stripe-undelivered")
    assert look() == ("enabled", 5, 200, 200)
    world.defect("stripe-balance-503")
    assert look() == ("enabled", 0, 503, 503)
    world.defect("stripe-key-revoked")
    assert look() == (None, 0, 401, 200)
    world.defect()
    assert look() == fine


def test_undelivered_events_are_hours_old(world):
    """The events of stripe-undelivered are three hours old and still pending."""
    world.defect("stripe-undelivered")
    events = world.send("stripe", "GET", "/v1/events?delivery_success=false").json()["data"]
    assert all(event["pending_webhooks"] == 1 for event in events)
    assert all(3 * 3600 <= world.time.now - event["created"] < 4 * 3600 for event in events)


def test_the_real_sdk_is_content(standins):
    """stripe-python reads balance, charges a fee, gets the same answer for the same key, and reads the errors."""
    client = stripe.StripeClient(
        standins.secrets["stripe_secret_key"], base_addresses={"api": standins.url("stripe")}, max_network_retries=0
    )
    assert client.v1.balance.retrieve().available[0].currency == "usd"
    customer = client.v1.customers.create({"name": "Dialtone", "metadata": {"synthetic": "yes"}})
    options = {"idempotency_key": f"item-{customer.id}"}
    wanted = {"customer": customer.id, "amount": 5000, "currency": "usd", "metadata": {"appointment_id": "a1"}}
    item = client.v1.invoice_items.create(wanted, options)
    assert client.v1.invoice_items.create(wanted, options).id == item.id
    with pytest.raises(stripe.IdempotencyError):
        client.v1.invoice_items.create({**wanted, "amount": 1}, options)
    invoice = client.v1.invoices.create({"customer": customer.id, "pending_invoice_items_behavior": "include"})
    client.v1.invoices.finalize_invoice(invoice.id)
    paid = client.v1.invoices.pay(invoice.id)
    assert (paid.status, paid.amount_paid, paid.lines.data[0].metadata["appointment_id"]) == ("paid", 5000, "a1")
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        client.v1.customers.retrieve("cus_nobody")
    wrong = stripe.StripeClient("sk_test_wrong", base_addresses={"api": standins.url("stripe")}, max_network_retries=0)
    with pytest.raises(stripe.AuthenticationError):
        wrong.v1.balance.retrieve()


def test_a_key_in_use_is_a_conflict(world):
    """As long as the first answer is held back a second request with its key is a 409; then it is replayed."""
    world.faults.add({"provider": "stripe", "path": "/v1/customers", "method": "POST", "delay": 2, "ttl": 60})
    again = {"form": {"name": "A"}, "headers": {"idempotency-key": "k"}}
    first = world.send("stripe", "POST", "/v1/customers", **again)
    assert (first.status, first.answer.delay) == (200, 2)
    world.faults.clear()
    world.time.advance(1.9)
    busy = world.send("stripe", "POST", "/v1/customers", **again)
    assert (busy.status, busy.json()["error"]["code"]) == (409, "idempotency_key_in_use")
    world.time.advance(0.2)
    replayed = world.send("stripe", "POST", "/v1/customers", **again)
    assert (replayed.json()["id"], replayed.headers["idempotent-replayed"]) == (first.json()["id"], "true")


def test_the_real_sdk_subscribes_and_reads_what_happened(standins):
    """Customers, subscriptions, endpoints, portal, prices: each call of the SDK, and the events that they leave."""
    client = stripe.StripeClient(
        standins.secrets["stripe_secret_key"], base_addresses={"api": standins.url("stripe")}, max_network_retries=0
    )
    v1 = client.v1
    customer = v1.customers.create({"email": "sub@example.com"})
    assert [one.id for one in v1.customers.list({"email": "sub@example.com"})] == [customer.id]
    assert v1.customers.update(customer.id, {"name": "Ann", "metadata": {"a": "1"}}).metadata["a"] == "1"
    made = v1.subscriptions.create({"customer": customer.id, "items": [{"price": "price_pro", "quantity": 2}]})
    assert (made.status, made["items"].data[0].quantity) == ("active", 2)
    assert v1.invoices.retrieve(made.latest_invoice).status == "paid"
    assert v1.subscriptions.update(made.id, {"cancel_at_period_end": True}).cancel_at_period_end
    assert v1.subscriptions.cancel(made.id).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError, match="No such subscription"):
        v1.subscriptions.cancel(made.id)
    assert list(v1.subscriptions.list({"customer": customer.id})) == []
    assert [one.id for one in v1.subscriptions.list({"customer": customer.id, "status": "all"})] == [made.id]
    trial = v1.subscriptions.create({"customer": customer.id, "items": [{"price": "price_a"}], "trial_period_days": 14})
    assert trial.status == "trialing"
    declined = {"customer": "cus_sandbox_declined", "items": [{"price": "price_a"}]}
    assert v1.subscriptions.create(declined).status == "incomplete"
    with pytest.raises(stripe.CardError):
        v1.subscriptions.create({**declined, "payment_behavior": "error_if_incomplete"})
    with pytest.raises(stripe.InvalidRequestError, match="No such price"):
        v1.subscriptions.create({"customer": customer.id, "items": [{"price": "nothing"}]})
    endpoint = v1.webhook_endpoints.create({"url": "https://app.example.com/hook", "enabled_events": ["*"]})
    assert endpoint.secret.startswith("whsec_")
    assert v1.webhook_endpoints.update(endpoint.id, {"disabled": True}).status == "disabled"
    assert [one.id for one in v1.webhook_endpoints.list()] == [endpoint.id, "we_sandbox"]
    v1.webhook_endpoints.delete(endpoint.id)
    assert v1.prices.retrieve("price_a").active
    portal = v1.billing_portal.sessions.create({"customer": customer.id, "return_url": "https://app.example.com"})
    assert portal.url.startswith("https://billing.stripe.com/")
    session = v1.checkout.sessions.create(
        {"mode": "subscription", "success_url": "https://a.example.com", "line_items": [{"price": "price_a"}]}
    )
    v1.checkout.sessions.expire(session.id)
    item = v1.invoice_items.create({"customer": customer.id, "amount": 100, "currency": "usd"})
    assert [one.id for one in v1.invoice_items.list({"customer": customer.id, "pending": True})] == [item.id]
    unpaid = v1.invoices.create({"customer": "cus_sandbox_declined"})
    v1.invoice_items.create({"customer": "cus_sandbox_declined", "amount": 100, "invoice": unpaid.id})
    v1.invoices.finalize_invoice(unpaid.id)
    assert v1.invoices.void_invoice(unpaid.id).status == "void"
    v1.customers.delete(customer.id)
    happened = [event.type for event in v1.events.list({"limit": 100}).auto_paging_iter()]
    for kind in (
        *("customer.created", "customer.updated", "customer.deleted", "invoice.paid", "invoice.payment_failed"),
        *("customer.subscription.created", "customer.subscription.updated", "customer.subscription.deleted"),
        *("checkout.session.expired", "invoice.voided", "invoice.finalized"),
    ):
        assert kind in happened
    [deleted] = v1.events.list({"types": ["customer.subscription.deleted"]}).data
    assert v1.events.retrieve(deleted.id).data.object.id == made.id
