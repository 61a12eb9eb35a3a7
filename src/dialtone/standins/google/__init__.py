"""Stand-ins for Google: the OAuth token endpoint and the Calendar API, version 3, over one account."""

from __future__ import annotations

from dialtone.standins.google.calendar import GoogleCalendar
from dialtone.standins.google.grants import Grants
from dialtone.standins.google.oauth import GoogleOAuth

__all__ = ["GoogleCalendar", "GoogleOAuth", "Grants"]
