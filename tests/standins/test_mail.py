"""The mail server, by means of smtplib."""

from __future__ import annotations

import smtplib
from email.message import EmailMessage

import httpx
import pytest


@pytest.fixture
def mailer(standins):
    """A connection to the mail server."""
    with smtplib.SMTP("127.0.0.1", standins.ports["smtp"], timeout=30) as connection:
        yield connection


def message(subject, text="It is down.\n"):
    """A mail with characters beyond ASCII."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "dialtone@example.com", "on-call@example.com", subject
    mail.set_content(text)
    return mail


def entries(standins, contains):
    """What the journal has of mails."""
    params = {"provider": "mail", "contains": contains}
    answer = httpx.get(f"{standins.url('journal')}/requests", params=params, headers=standins.journal_headers)
    return answer.json()["requests"]


def test_a_mail_lands_in_the_journal(standins, mailer):
    """Sender, recipient, subject and text can be read there."""
    mailer.send_message(message("Café geschlossen", "Grüße\n"))
    (entry,) = entries(standins, "Café geschlossen")
    assert (entry["path"], entry["status"], entry["accepted"]) == ("on-call@example.com", 250, True)
    assert entry["body"] == {
        "from": "dialtone@example.com",
        "to": "on-call@example.com",
        "subject": "Café geschlossen",
        "text": "Grüße\n",
        "id": "",
    }


@pytest.mark.parametrize("address", ["nobody", "nobody@", "@example.com"])
def test_an_address_without_domain_is_refused(mailer, address):
    """553 for the recipient."""
    mailer.ehlo()
    mailer.mail("dialtone@example.com")
    assert mailer.rcpt(address)[0] == 553


def test_a_mail_that_is_too_large_is_refused(mailer):
    """552 above 1 MB."""
    with pytest.raises(smtplib.SMTPSenderRefused) as refused:
        mailer.send_message(message("large", "x" * 1_100_000))
    assert refused.value.smtp_code == 552


@pytest.mark.parametrize("status", [451, 0])
def test_a_fault_refuses_a_mail(standins, mailer, status):
    """A fault for a recipient is the reply to the message; 0 breaks the connection."""
    journal = f"{standins.url('journal')}/faults"
    fault = {"provider": "mail", "path": "on-call@*", "contains": f"fault {status}", "status": status, "ttl": 5}
    made = httpx.post(journal, json=fault | {"body": "4.3.0 try later"}, headers=standins.journal_headers)
    with pytest.raises(smtplib.SMTPException) as refused:
        mailer.send_message(message(f"fault {status}"))
    if status:
        assert (refused.value.smtp_code, refused.value.smtp_error) == (451, b"4.3.0 try later")
    removed = httpx.delete(f"{journal}/{made.json()['id']}", headers=standins.journal_headers)
    assert removed.json()["matched"] == 1
