"""Stand-in for Supabase's management API: backups of a week, for whoever has the token."""

from __future__ import annotations

from datetime import UTC, datetime

HOUR = 3_600
PATH = "/v1/projects/sandbox/database/backups"
TOKEN = {"authorization": "Bearer sbp_token"}


def backups(world):
    """The backups as the API lists them."""
    reply = world.send("supabase", "GET", PATH, headers=TOKEN)
    assert reply.status == 200
    return reply.json()["backups"]


def test_a_backup_every_day(world):
    """Seven, newest first, the newest a few hours old."""
    told = backups(world)
    times = [datetime.fromisoformat(b["inserted_at"]).astimezone(UTC).timestamp() for b in told]
    assert [round((world.time.now - at) / HOUR) for at in times] == [5 + 24 * n for n in range(7)]
    assert {b["status"] for b in told} == {"COMPLETED"}


def test_backups_fail(world):
    """The defect: those of the last four days failed, older ones are good."""
    world.defect("backups-failing")
    assert [b["status"] for b in backups(world)] == ["FAILED"] * 4 + ["COMPLETED"] * 3


def test_health_of_named_services(world):
    """As many as are asked for; none asked for is a bad request."""
    reply = world.send("supabase", "GET", "/v1/projects/sandbox/health?services=db,auth", headers=TOKEN)
    assert [(one["name"], one["healthy"]) for one in reply.json()] == [("db", True), ("auth", True)]
    assert world.send("supabase", "GET", "/v1/projects/sandbox/health", headers=TOKEN).status == 400


def test_strangers_and_unknown_paths(world):
    """401 without the token, 404 for what there is not."""
    assert world.send("supabase", "GET", PATH).status == 401
    assert world.send("supabase", "GET", PATH, headers={"authorization": "Bearer other"}).status == 401
    assert world.send("supabase", "GET", "/v1/organizations", headers=TOKEN).status == 404
