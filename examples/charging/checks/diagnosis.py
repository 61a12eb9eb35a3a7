"""What the charging network looks at when a check is red, and what can be wrong with it."""

from __future__ import annotations

from dialtone.runbook import Cause, When, look

CAUSES = [
    Cause(
        "service.down",
        "The service does not answer",
        "restart it; if it says that its database is gone, call the database's host",
        seen=[When("service_is_up"), When("map_is_served")],
        explains=["map.*"],
    ),
    Cause(
        "map.stale",
        "The map tells another number of free points than there are",
        "look for chargers whose state nobody wrote down",
        seen=[When("map_tells_how_many_points_are_free")],
    ),
    Cause(
        "meter.secret-differs",
        "Genuine readings are not stored",
        "compare the meters' secret with the vendor's portal",
        seen=[When("reading_is_stored")],
    ),
    Cause(
        "place.silent",
        "The chargers of one place are silent",
        "call whoever has the key of its cabinet",
        explains=["chargers.silent"],
    ),
    Cause(
        "chargers.silent",
        "Chargers of several places are silent",
        "call the vendor: it is not one cabinet",
        seen=[When("chargers_are_heard")],
    ),
    Cause(
        "billing.behind",
        "Charges are not billed",
        "dialtone do bill-charges; it may be done twice",
        seen=[When("charges_are_billed")],
    ),
]


@look("metering", "map", needs=["database", "queries.chargers_by_place"])
def states_of_the_chargers(db, target, suspect):
    """How many chargers of each place are heard of."""
    rows = db.rows(target.query("chargers_by_place"))
    silent = [row["place"] for row in rows if row["silent"]]
    if len(silent) == 1:
        suspect("place.silent", f"of {len(rows)} places only one has silent chargers")
    return [{"place": number, "chargers": r["chargers"], "silent": r["silent"]} for number, r in enumerate(rows, 1)]
