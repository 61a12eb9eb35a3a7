"""A small, independent phone receptionist: the application that the sandbox's checks are about.

It books appointments that a voice agent takes on the phone, and has the surface of the first user's application:
pages, health, log-in, appointments, webhooks of Stripe, Retell and Telnyx, Google Calendar, cron routes. It imports
nothing from `dialtone` and verifies webhooks with the providers' own SDKs, so that the suite is never its own witness.

Run it with `python -m dialtone_receptionist`; every setting is an environment variable (see `settings`).
"""

VERSION = "1.4.0"
"""What `/api/health` reports as the version of this build."""
