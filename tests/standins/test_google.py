"""Google: tokens of three kinds, and a calendar that wants one."""

from __future__ import annotations

import pytest
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2.credentials import Credentials

EVENT = {
    "summary": "Ada",
    "start": {"dateTime": "2027-03-01T10:00:00", "timeZone": "America/New_York"},
    "end": {"dateTime": "2027-03-01T11:00:00-05:00"},
}
EVENTS = "/calendar/v3/calendars/primary/events"


@pytest.fixture
def calendar(world):
    """Calls to the calendar with a valid access token."""
    token = world.token().json()["access_token"]

    def call(method, path, body=None, key=token, headers=None):
        return world.send("google", method, path, body=body, key=key, headers=headers)

    return call


def test_a_refresh_token_gives_access_tokens(world):
    """Each refresh gives a new access token for an hour and no new refresh token."""
    first, second = world.token().json(), world.token().json()
    assert (first["expires_in"], first["token_type"]) == (3599, "Bearer")
    assert first["access_token"] != second["access_token"]
    assert "refresh_token" not in first


@pytest.mark.parametrize("refresh_token", ["1//0glasting-tenant-7", "1//0rrotating-a", "1//0sslow-b"])
def test_every_token_with_a_known_beginning_is_good(world, refresh_token):
    """Tests can have grants of their own: a known token, a hyphen and anything."""
    assert world.token(refresh_token).status == 200


@pytest.mark.parametrize("refresh_token", ["1//0glastingx", "1//0", "revoked"])
def test_an_unknown_refresh_token_is_an_invalid_grant(world, refresh_token):
    """400 invalid_grant in Google's words."""
    answer = world.token(refresh_token)
    assert answer.status == 400
    assert answer.json() == {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}


def test_a_rotating_token_is_good_once(world):
    """Each answer carries the next refresh token, and the one before is dead; grants do not disturb each other."""
    first = "1//0rrotating-check-1"
    second = world.token(first).json()["refresh_token"]
    third = world.token(second).json()["refresh_token"]
    assert len({first, second, third}) == 3
    assert second.startswith(first)
    assert world.token(first).status == world.token(second).status == 400
    assert world.token("1//0rrotating-check-2").status == world.token(third).status == 200


def test_rotation_does_not_end_access_tokens(world):
    """An access token stays good when the refresh token goes on; revoking ends the grant with all its tokens."""
    first = world.token("1//0rrotating-x").json()
    second = world.token(first["refresh_token"]).json()

    def statuses():
        path = "/calendar/v3/users/me/calendarList"
        return {world.send("google", "GET", path, key=one["access_token"]).status for one in (first, second)}

    assert statuses() == {200}
    world.send("google_oauth", "POST", "/revoke", form={"token": first["access_token"]})
    assert statuses() == {401}
    assert world.token(second["refresh_token"]).status == 400


def test_a_slow_grant_makes_slow_calendar_answers(world):
    """The token comes at once, the calendar's answer after eight seconds."""
    answer = world.token("1//0sslow-x")
    assert answer.answer.delay == 0
    slow = world.send("google", "POST", EVENTS, body=EVENT, key=answer.json()["access_token"])
    assert (slow.status, slow.answer.delay) == (200, 8.0)


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "wrong"}, 401, "invalid_client"),
        ({"client_id": ""}, 400, "invalid_request"),
        ({"client_secret": ""}, 400, "invalid_request"),
        ({"refresh_token": ""}, 400, "invalid_request"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, 400, "invalid_request"),
        ({"grant_type": "authorization_code", "code": "4/0sandbox-1"}, 400, "invalid_request"),
        ({"grant_type": "authorization_code", "code": "other", "redirect_uri": "http://a"}, 400, "invalid_grant"),
    ],
)
def test_token_requests_that_are_refused(world, change, status, error):
    """OAuth errors with their status."""
    form = {"grant_type": "refresh_token", "refresh_token": "1//0glasting"}
    form |= {"client_id": world.secrets["google_client_id"], "client_secret": world.secrets["google_client_secret"]}
    answer = world.send("google_oauth", "POST", "/token", form=form | change)
    assert (answer.status, answer.json()["error"]) == (status, error)


def test_a_code_is_exchanged_once(world):
    """Consent gives a refresh token that works; the code works once."""
    form = {"grant_type": "authorization_code", "code": "4/0sandbox-1", "redirect_uri": "http://app.invalid/back"}
    form |= {"client_id": world.secrets["google_client_id"], "client_secret": world.secrets["google_client_secret"]}
    tokens = world.send("google_oauth", "POST", "/token", form=form).json()
    assert world.token(tokens["refresh_token"]).status == 200
    assert world.send("google_oauth", "POST", "/token", form=form).json()["error"] == "invalid_grant"


def test_a_revoked_grant_is_dead_with_its_access_tokens(world):
    """Revoking ends the one grant and nothing else."""
    access = world.token("1//0glasting-x").json()["access_token"]
    assert world.send("google_oauth", "POST", "/revoke", form={"token": access}).status == 200
    assert world.token("1//0glasting-x").json()["error"] == "invalid_grant"
    assert world.send("google", "GET", "/calendar/v3/users/me/calendarList", key=access).status == 401
    assert world.token().status == 200
    assert world.send("google_oauth", "POST", "/revoke", form={"token": "x"}).json()["error"] == "invalid_token"


@pytest.mark.parametrize("key", ["", "ya29.unknown"])
def test_the_calendar_wants_a_token(calendar, key):
    """401 without an access token and with an unknown one."""
    answer = calendar("GET", "/calendar/v3/users/me/calendarList?maxResults=1", key=key)
    assert answer.status == 401
    assert answer.json()["error"]["errors"][0]["reason"] == ("authError" if key else "required")


def test_an_access_token_expires(world, calendar):
    """After an hour it is 401 authError."""
    assert calendar("GET", "/calendar/v3/users/me/calendarList").status == 200
    world.time.advance(3_600)
    assert calendar("GET", "/calendar/v3/users/me/calendarList").json()["error"]["errors"][0]["reason"] == "authError"


def test_the_life_of_an_event(calendar):
    """Written once, 409 the second time, found, changed, deleted, 410 the second time, then cancelled."""
    event = {**EVENT, "id": "0123456789abcdef"}
    assert calendar("POST", EVENTS, event).json()["status"] == "confirmed"
    again = calendar("POST", EVENTS, event)
    assert (again.status, again.json()["error"]["errors"][0]["reason"]) == (409, "duplicate")
    path = f"{EVENTS}/{event['id']}"
    assert calendar("PATCH", path, {"summary": "Grace"}).json()["summary"] == "Grace"
    assert calendar("GET", path).json()["summary"] == "Grace"
    assert calendar("DELETE", path).status == 204
    assert calendar("DELETE", path).status == 410
    assert calendar("GET", path).json()["status"] == "cancelled"
    assert calendar("POST", EVENTS, event).status == 409


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": "ABCDE"}, "invalid"),
        ({"id": "with-hyphens"}, "invalid"),
        ({"id": "abc"}, "invalid"),
        ({"start": None}, "required"),
        ({"end": {}}, "invalid"),
        ({"start": {"dateTime": "2027-03-01T10:00:00"}}, "invalid"),
        ({"start": {"dateTime": "2027-03-01T10:00:00", "timeZone": "Moon/Crater"}}, "invalid"),
        ({"end": {"dateTime": "2027-02-01T10:00:00Z"}}, "timeRangeEmpty"),
    ],
)
def test_events_that_are_refused(calendar, change, reason):
    """400 with the reason."""
    answer = calendar("POST", EVENTS, EVENT | change)
    assert (answer.status, answer.json()["error"]["errors"][0]["reason"]) == (400, reason)


def test_unknown_calendars_and_events(calendar):
    """404 notFound."""
    assert calendar("POST", "/calendar/v3/calendars/other/events", EVENT).status == 404
    assert calendar("GET", f"{EVENTS}/unknown").status == 404
    assert calendar("DELETE", f"{EVENTS}/unknown").status == 404
    assert calendar("PUT", EVENTS).status == 404


def test_free_and_busy(calendar):
    """An event makes its time busy, in whatever zone it was written; outside of the window it does not count."""
    calendar("POST", EVENTS, EVENT)

    def busy(lower, upper):
        body = {"timeMin": lower, "timeMax": upper, "items": [{"id": "primary"}, {"id": "other"}]}
        calendars = calendar("POST", "/calendar/v3/freeBusy", body).json()["calendars"]
        assert calendars["other"]["errors"][0]["reason"] == "notFound"
        return calendars["primary"]["busy"]

    assert busy("2027-03-01T00:00:00Z", "2027-03-02T00:00:00Z") == [
        {"start": "2027-03-01T15:00:00Z", "end": "2027-03-01T16:00:00Z"}
    ]
    assert busy("2027-03-02T00:00:00Z", "2027-03-03T00:00:00Z") == []


def test_events_are_listed_in_a_window(calendar):
    """timeMin, q and maxResults narrow a list."""
    calendar("POST", EVENTS, EVENT)
    assert len(calendar("GET", f"{EVENTS}?timeMin=2027-01-01T00:00:00Z&maxResults=1").json()["items"]) == 1
    assert calendar("GET", f"{EVENTS}?timeMin=2028-01-01T00:00:00Z").json()["items"] == []
    assert calendar("GET", f"{EVENTS}?q=nobody").json()["items"] == []
    assert calendar("GET", f"{EVENTS}?timeMin=yesterday").status == 400


def test_the_journal_knows_grants_without_holding_tokens(world):
    """A refresh can be looked up by its whole token or by its end, and the token itself is nowhere."""
    world.token("1//0glasting-tenant-7")
    world.token("revoked-for-good")
    (one,) = world.entries(provider="google_oauth", contains="1//0glasting-tenant-7")
    assert one["body"]["refresh_token"] == "…-tenant-7"
    assert one["credential"] == {"mode": "unknown", "owner": "application"}
    (other,) = world.entries(provider="google_oauth", contains="revoked-for-good")
    assert (other["status"], other["body"]["refresh_token"]) == (400, "…")
    assert world.entries(contains="1//0glasting") == []
    assert "GOCSPX" not in str(world.entries())


def test_an_incremental_sync(calendar):
    """What has changed since, deleted events included, page by page; a token of nobody's needs a full sync."""
    ids = [calendar("POST", EVENTS, body=EVENT).json()["id"] for _ in range(3)]
    first = calendar("GET", f"{EVENTS}?maxResults=2").json()
    assert "nextSyncToken" not in first
    rest = calendar("GET", f"{EVENTS}?maxResults=2&pageToken={first['nextPageToken']}").json()
    assert sorted(one["id"] for one in first["items"] + rest["items"]) == sorted(ids)
    token = rest["nextSyncToken"]
    assert calendar("GET", f"{EVENTS}?syncToken={token}").json()["items"] == []
    calendar("PATCH", f"{EVENTS}/{ids[0]}", body={"summary": "moved"})
    calendar("DELETE", f"{EVENTS}/{ids[1]}")
    changed = calendar("GET", f"{EVENTS}?syncToken={token}").json()
    assert {one["id"]: one["status"] for one in changed["items"]} == {ids[0]: "confirmed", ids[1]: "cancelled"}
    assert calendar("GET", f"{EVENTS}?syncToken={changed['nextSyncToken']}").json()["items"] == []
    for wrong in ("none", token + "999"):
        gone = calendar("GET", f"{EVENTS}?syncToken={wrong}")
        assert (gone.status, gone.json()["error"]["errors"][0]["reason"]) == (410, "fullSyncRequired")
    assert calendar("GET", f"{EVENTS}?syncToken={token}&q=x").status == 400
    assert calendar("GET", f"{EVENTS}?pageToken=none").status == 400
    assert len(calendar("GET", f"{EVENTS}?showDeleted=true").json()["items"]) == 3


def test_nobody_overwrites_a_change_that_was_not_seen(calendar):
    """Each change has an etag; `If-Match` with an old one is a 412, `If-None-Match` with the present one a 304."""
    made = calendar("POST", EVENTS, body=EVENT).json()
    url, old = f"{EVENTS}/{made['id']}", made["etag"]
    changed = calendar("PATCH", url, body={"summary": "b"}, headers={"if-match": old})
    assert (changed.status, changed.json()["etag"] != old) == (200, True)
    for method, body in (("PATCH", {"summary": "c"}), ("PUT", EVENT), ("DELETE", None)):
        refused = calendar(method, url, body=body, headers={"if-match": old})
        assert (refused.status, refused.json()["error"]["errors"][0]["reason"]) == (412, "conditionNotMet")
    present = changed.json()["etag"]
    assert calendar("GET", url, headers={"if-none-match": present}).status == 304
    bare = {"start": EVENT["start"], "end": EVENT["end"]}
    whole = calendar("PUT", url, body=bare, headers={"if-match": present}).json()
    assert "summary" not in whole
    assert calendar("DELETE", url, headers={"if-match": whole["etag"]}).status == 204


def test_the_real_sdk_is_content(standins):
    """google-auth refreshes a grant, keeps a rotated token, and its session writes, syncs and is refused."""
    secrets, url = standins.secrets, standins.url("google")
    client = {"client_id": secrets["google_client_id"], "client_secret": secrets["google_client_secret"]}
    told = {**client, "token_uri": standins.url("google_oauth") + "/token"}
    rotating = Credentials(None, refresh_token=secrets["google_rotating_token"] + "-sdk", **told)
    before = rotating.refresh_token
    rotating.refresh(Request())
    assert rotating.refresh_token != before
    with pytest.raises(RefreshError, match="invalid_grant"):
        Credentials(None, refresh_token=before, **told).refresh(Request())
    with AuthorizedSession(Credentials(None, refresh_token=secrets["google_refresh_token"], **told)) as session:
        made = session.post(url + EVENTS, json={**EVENT, "id": "sdk0123456789"})
        assert made.json()["status"] == "confirmed"
        assert session.post(url + EVENTS, json={**EVENT, "id": "sdk0123456789"}).status_code == 409
        token = session.get(url + EVENTS).json()["nextSyncToken"]
        event = f"{url}{EVENTS}/sdk0123456789"
        session.patch(event, json={"summary": "Grace"}).raise_for_status()
        stale = session.patch(event, json={"summary": "x"}, headers={"If-Match": made.json()["etag"]})
        assert stale.status_code == 412
        changed = session.get(url + EVENTS, params={"syncToken": token}).json()["items"]
        assert [one["summary"] for one in changed] == ["Grace"]
        assert session.get(url + EVENTS, params={"syncToken": "old"}).status_code == 410
        assert session.delete(event).status_code == 204
        assert session.delete(event).status_code == 410
