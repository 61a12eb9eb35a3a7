"""The map: drivers find a charging point, and the number of free ones is true."""

from __future__ import annotations

import re
import time

from dialtone import check, expect, fail, ok, undecided


@check(severity="P0", runbook="map", catches=["map-down"], needs=["pages.map"], requests=1)
def test_map_is_served(target, http):
    """The map is there, and is the map."""
    page = target.page("map")
    expect(http.get(page.path)).status(200).contains(page.contains)


@check(severity="P1", runbook="map", catches=["map-stale"], needs=["pages.map", "database"], requests=3)
def test_map_tells_how_many_points_are_free(target, http, db):
    """A driver who sees a free point on the map will find one."""
    told = None
    for _ in range(3):  # a point may change hands between the two looks
        before = db.value(target.query("free_points"))
        answer = http.get(target.page("map").path)
        if not answer.ok:
            undecided("the map is not served; see map_is_served")
        told = re.search(r"(\d+) points are free", answer.text())
        if told is None:
            fail("the map says nothing of free points")
        if before <= int(told[1]) <= db.value(target.query("free_points")):
            ok("the map's number is the database's")
            return
    fail("the map's number of free points is not the database's")


@check(
    severity="P2",
    runbook="map",
    objective="map_time_p90",
    catches=["map-slow"],
    needs=["pages.map"],
    requests=1,
    samples=True,
)
def test_map_is_quick(target, sampler, objective):
    """Nine of ten drivers see the map at once."""
    seen = sampler.latency(target.page("map").path, objective.objective, objective.q)
    objective.quantile(seen.values, what="p90 of the map", errors=seen.errors)


@check(severity="P0", runbook="map", catches=["database-unseen"], needs=["routes.up"], requests=1)
def test_service_is_up(target, http):
    """The service says that it is up, by the clock of its database."""
    answer = http.get(target.route("up"))
    expect(answer).status(200)
    said = re.fullmatch(r"up (\d{10})", answer.text().strip())
    if said is None:
        fail("the answer is not `up` and the time of the database")
    if abs(time.time() - int(said[1])) > 90:
        fail("the clock of the database is more than 90 s off")
    ok("up")


@check(runbook="map", catches=["door-nowhere"], needs=["redirects"], requests=2)
def test_front_door_leads_to_the_map(target, http):
    """Who types in the bare address lands on the map."""
    for hop in target.profile.redirects:
        expect(http.get(hop.path)).status(*hop.status).header("location", re.escape(hop.to) + "$")
