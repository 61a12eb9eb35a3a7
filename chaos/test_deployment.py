"""The application is changed under load: a bad revision is rolled back, every secret is rotated, nothing is lost."""

from __future__ import annotations

from itertools import count

import pytest

from dialtone import experiment
from dialtone.template import fill

NEEDS = [
    *("webhooks.retell", "tenant", "journal", "requests.book", "routes.health", "routes.jobs", "cron"),
    *("books.appointment", "books.charge", "books.message"),
]
PATIENCE = 30.0  # seconds for which customers may be refused: an application that starts anew
# What the application holds, by whom it is known: providers' APIs, providers that sign events, nobody else.
KEYS = ["STRIPE_SECRET_KEY", "TELNYX_API_KEY", "RETELL_API_KEY", "REDIS_REST_TOKEN", "GOOGLE_CLIENT_SECRET"]
WEBHOOKS = {
    "stripe": "STRIPE_WEBHOOK_SECRET",
    "retell": "RETELL_API_KEY",
    "telnyx_voice": "TELNYX_PUBLIC_KEY",
    "telnyx_sms": "TELNYX_PUBLIC_KEY",
}
OWN = ["JWT_SECRET", "CRON_SECRET"]


class Customers:
    """Who books, one hour after the other; `signing` are secrets that the agent's events are signed with by now."""

    def __init__(self, deployment, booking):
        self.deployment, self.booking = deployment, booking
        self.tenant, self.slots = deployment.tenant(), count()
        self.signing, self.key = {}, deployment.target.secret(deployment.target.profile.cron.key)
        self.journal = deployment.journal()

    def ask(self):
        """The next customer; what was wanted, and whether it was promised."""
        day, hour = divmod(next(self.slots), 8)
        retell = self.deployment.hook("retell", self.tenant, **self.signing)
        asked = self.booking(retell, self.tenant, lambda _: True, f"{9 + hour:02}:00", 1 + day)
        refused = asked.answer.ok or 400 <= asked.answer.status < 500
        return asked.caller, asked.success or (False if refused else None)

    def balance(self, promises):
        """The books, after the background job has had its turn."""
        spec = self.deployment.target.profile.cron
        headers = {name: fill(text, {"key": self.key}) for name, text in spec.headers.items()}
        self.deployment.http.request(spec.method, self.deployment.target.route("jobs"), headers=headers)
        return self.deployment.balance(promises, self.tenant, self.journal)


@pytest.fixture
def customers(deployment, booking):
    """Customers of a deployment of this experiment's own."""
    made = Customers(deployment, booking)
    yield made
    made.journal.close()


@experiment(
    dependency="deployment",
    runbook="site-down",
    severity="P0",
    needs=[*NEEDS, "values.bad_revision"],
    recover_within=PATIENCE,
    catches=["fee-not-queued", "fee-outbox-not-drained", "alert-missing-stripe"],
)
def test_bad_revision_is_rolled_back(changing, customers, target):
    """A revision with a wrong key charges nobody: people hear of it, it is rolled back, each fee is charged once."""
    change = changing(customers.ask, customers.balance, within=PATIENCE)
    change.steady()
    change.customers(10)
    name, _, value = target.value("bad_revision").partition("=")
    change.deploy("a bad revision is deployed", {name: value})
    change.customers(3)
    change.heard("slack")
    change.heard("sentry")
    change.deploy("the revision before is deployed again")
    took = change.served("customers are served by the revision of before")
    change.customers(5)
    change.settled(took)


@experiment(
    dependency="deployment",
    runbook="security",
    severity="P0",
    needs=[*NEEDS, "credentials.cron_secret"],
    recover_within=PATIENCE,
    catches=["rotation-without-overlap"],
)
def test_every_secret_is_rotated(changing, customers, rotation):
    """Keys, webhook secrets, own secrets and the database's password change at once, and no booking is lost."""
    change = changing(customers.ask, customers.balance, within=PATIENCE)
    change.steady()
    change.customers(5)
    rotation.keys(KEYS)
    rotation.secrets(WEBHOOKS)
    rotation.own(OWN)
    change.customers(5)
    rotation.database()
    change.deploy("every secret is rotated", rotation.environment)
    customers.key = rotation.environment["CRON_SECRET"]
    took = change.served("customers are served, their events still signed with the old secrets")
    change.customers(5)
    customers.signing = rotation.signing
    change.customers(5)
    rotation.retire()
    change.customers(5)
    change.settled(took)
