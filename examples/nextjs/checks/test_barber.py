"""The barber is there, and takes bookings."""

from __future__ import annotations

from dialtone import check, eventually, expect


@check(severity="P0", runbook="site", needs=["routes.health"], requests=1)
def test_health_answers_ok(target, http):
    """The application reaches its database."""
    expect(http.get(target.route("health"))).status(200).json_field("status", "ok")


@check(severity="P0", runbook="site", needs=["pages.home"], requests=1)
def test_home_is_served(target, http):
    """The page with the form is there."""
    page = target.page("home")
    expect(http.get(page.path)).status(200).contains(page.contains)


@check(severity="P1", runbook="outbox", needs=["database", "queries.undone"])
def test_nothing_is_left_undone(target, db):
    """No fee, text or event waits for ten minutes."""
    from dialtone import fail, ok

    undone = db.value(target.query("undone"))
    (ok if undone == 0 else fail)(f"{undone} duties are undone")


@check(severity="P0", runbook="site", effect="writes", needs=["routes.bookings", "tenant"], requests=1)
def test_a_booking_is_kept(target, book, shop, db):
    """A customer who is told that it worked has the hour."""
    booked = book(shop())
    expect(booked.answer).status(201)
    there = eventually(
        lambda: db.value("SELECT count(*) FROM bookings WHERE id = %(id)s::uuid", {"id": booked.id}), bool, within=2
    )
    expect(booked.answer).json_field("booking", booked.id if there else None)
