"""What the runbook does by hand and is safe to script: `dialtone do`. Each lists the steps that are needed now."""

from __future__ import annotations

from dialtone import action

HELD_BACK = 600  # seconds in which a deployment is taken for the one that was just asked for


@action(
    runbook="database",
    needs=["repair_database", "statements.long_queries", "statements.end_query"],
    takes="[PID ...]",
    options={"older": "60s"},
)
def end_long_queries(plan):
    """End the queries, and the transactions left open, that are older than `older`; or only those of some processes."""
    for row in plan.rows("long_queries", older=plan.seconds("older")):
        if not plan.words or str(row["pid"]) in plan.words:
            what = f"end process {row['pid']} of {row['usename']}, {row['state']} for {row['age']} s: {row['query']}"
            plan.statement(what, "end_query", pid=row["pid"], began=row["began"])


@action(
    runbook="database",
    needs=["repair_database", "statements.missing_indexes", "statements.broken_indexes", "statements.index_of"],
    takes="[TABLE.COLUMN ...]",
)
def create_index(plan):
    """Create the indexes that foreign keys lack, mend those that broke off half-way; or index the named columns."""
    wanted = [row for word in plan.words for row in _index_of(plan, word)]
    for row in wanted or plan.rows("missing_indexes"):
        plan.alone(f"index {row['place']}, {row['size']}, without a lock on it", row["ddl"])
    for row in [] if plan.words else plan.rows("broken_indexes"):
        plan.alone(f"build {row['place']} anew, which is not valid", row["ddl"])


def _index_of(plan, word):
    table, dot, column = word.rpartition(".")
    found = plan.rows("index_of", table=table, column=column) if dot else []
    if not found:
        raise ValueError(f"{word} is no column of a table: write it as table.column")
    return [row for row in found if not row["exists"]]


@action(
    runbook="payments",
    needs=["tools.stripe", "webhooks.stripe", "repair_database", "statements.events_processed"],
    takes="[EVENT ...]",
    options={"older": "5m"},
)
def redeliver_events(plan):
    """Deliver the events again that Stripe could not deliver and the application has not processed, oldest first."""
    latest = plan.clock() - plan.seconds("older")
    answer = plan.get("stripe", "undelivered")
    waiting = [event for event in answer["data"] if event["created"] <= latest]
    ids = [event["id"] for event in waiting]
    done = {row["event_id"] for row in plan.rows("events_processed", ids=ids)}
    for event in sorted(waiting, key=lambda event: event["created"]):
        if event["id"] not in done and (not plan.words or event["id"] in plan.words):
            plan.deliver(f"deliver {event['type']} {event['id']}", "stripe", event)
    if answer["has_more"]:
        plan.say("Stripe has more undelivered events than it shows at once: do this again afterwards")


@action(runbook="payments", needs=["tools.stripe"], takes="[INVOICE ...]")
def retry_invoice(plan):
    """Try again to collect the invoices that are open after a failed attempt; or only the named ones."""
    for invoice in plan.get("stripe", "open_invoices")["data"]:
        if invoice["attempted"] and (not plan.words or invoice["id"] in plan.words):
            amount = f"{invoice['amount_remaining'] / 100:.2f} {invoice['currency'].upper()}"
            plan.request(
                f"charge {amount} of {invoice['id']} for {invoice['customer']}, attempt {invoice['attempt_count'] + 1}",
                "stripe",
                "POST",
                "pay",
                form={},
                headers={"idempotency-key": f"dialtone-{invoice['id']}-{invoice['attempt_count']}"},
                invoice=invoice["id"],
            )


@action(
    runbook="payments",
    needs=["tools.stripe", "repair_database", "statements.inactive_customers", "statements.activate_subscription"],
    takes="[BUSINESS ...]",
)
def activate_subscription(plan):
    """Activate the businesses whose subscription is active at Stripe, which means paid, and not here."""
    for row in plan.rows("inactive_customers"):
        if plan.words and row["id"] not in plan.words:
            continue
        for paid in plan.get("stripe", "active_subscriptions", customer=row["customer"])["data"]:
            what = f"activate {row['id']}, which pays {paid['id']}"
            values = {"id": row["id"], "customer": row["customer"], "subscription": paid["id"]}
            plan.statement(what, "activate_subscription", **values)


@action(runbook="calendar", needs=["repair_database", "statements.unsynced", "routes.jobs", "credentials.cron_secret"])
def resync_calendar(plan):
    """Have the application write the appointments that wait for their calendar event, where it is connected."""
    waiting = sum(row["appointments"] for row in plan.rows("unsynced"))
    if waiting:
        plan.call(f"start the background job, for {waiting} appointments", "GET", "jobs", bearer="cron_secret")


@action(
    runbook="calendar",
    needs=[
        "repair_database",
        "statements.calendars_dead",
        "statements.ask_to_reconnect",
        "statements.calendars_waiting",
    ],
)
def reconnect_calendar(plan):
    """Ask the businesses to reconnect whose grant is gone while appointments wait; and show every link to do it."""
    for row in plan.rows("calendars_dead"):
        plan.statement(f"ask {row['id']} to reconnect its calendar", "ask_to_reconnect", id=row["id"])
    for row in plan.rows("calendars_waiting"):
        plan.say(f"the owner of {row['id']}, logged in, connects again at {plan.address('cold')}")


@action(runbook="rate-limiting", needs=["tools.upstash", "values.rate_limit_keys"], takes="CLIENT ...", least=1)
def flush_rate_limit(plan):
    """Forget the counts of these clients (addresses), so that they are let in again."""
    for client in plan.words:
        for form in plan.target.value("rate_limit_keys").split(","):
            key = form.replace("{{client}}", client)
            if plan.get("upstash", "count", key=key)["result"] is not None:
                plan.request(f"forget {key}", "upstash", "POST", "forget", key=key)


@action(runbook="site-down", needs=["tools.vercel", "values.hosting_project"], options={"force": "no"})
def redeploy(plan):
    """Deploy again what is live, if a variable was changed since; with `force=yes` also to restart its functions."""
    live = plan.get("vercel", "project")["targets"]["production"]
    building = plan.get("vercel", "building")["deployments"]
    changed = sorted(v["key"] for v in plan.get("vercel", "variables")["envs"] if v["updatedAt"] > live["createdAt"])
    is_recent = plan.clock() - live["createdAt"] / 1000 < HELD_BACK
    if building:
        plan.say(f"{building[0]['uid']} is being built")
    elif changed or (plan.option("force") == "yes" and not is_recent):
        why = f"not in effect: {', '.join(changed)}" if changed else "to restart its functions"
        body = {"name": live["name"], "deploymentId": live["id"], "target": "production"}
        plan.request(f"deploy {live['id']} again, {why}", "vercel", "POST", "redeploy", json=body)
    elif plan.option("force") == "yes":
        plan.say(f"{live['id']} was deployed within the last {HELD_BACK // 60} minutes")


@action(runbook="site-down", needs=["tools.vercel", "values.hosting_project"], takes="[DEPLOYMENT]")
def promote(plan):
    """Make the last good deployment live, the one before the newest; or the named one."""
    live, known = _deployments(plan)
    good = plan.words[0] if plan.words else next((d["uid"] for d in known[1:]), None)
    if live != known[0]["uid"] and not plan.words:
        plan.say(f"{live} is live, which is not the newest: name another one to go back further")
    elif good is None:
        plan.say("there is no deployment before the newest")
    elif good != live:
        what = f"make {_told(plan, known, good)} live instead of {_told(plan, known, live)}"
        plan.request(what, "vercel", "POST", "rollback", deployment=good)


@action(runbook="site-down", needs=["tools.vercel", "values.hosting_project"])
def undo_promote(plan):
    """Make the newest deployment live again, which also lets new ones go live by themselves."""
    live, known = _deployments(plan)
    if live != known[0]["uid"]:
        what = f"make {_told(plan, known, known[0]['uid'])} live instead of {_told(plan, known, live)}"
        plan.request(what, "vercel", "POST", "promote", deployment=known[0]["uid"])


def _told(plan, known, name):
    """A deployment with its commit and its age, so that a person can tell which one it is."""
    one = next((d for d in known if d["uid"] == name), None)
    if one is None:
        return name
    commit = (one.get("meta") or {}).get("githubCommitSha", "")[:7]
    hours = (plan.clock() - one["createdAt"] / 1000) / 3600
    age = f"{hours:.0f} h old" if hours < 72 else f"{hours / 24:.0f} days old"
    return f"{name} ({', '.join(filter(None, [commit, age]))})"


def _deployments(plan):
    """Which deployment is live, and those that ever were, newest first."""
    live = plan.get("vercel", "project")["targets"]["production"]["id"]
    known = [d for d in plan.get("vercel", "deployments")["deployments"] if d.get("readySubstate") == "PROMOTED"]
    if not known:
        raise ValueError("the project has no deployment that was ever live")
    return live, known
