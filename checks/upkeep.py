"""The runbook's maintenance procedures: `dialtone maintenance weekly|monthly|quarterly`. One function a line."""

from __future__ import annotations

from dialtone import task

DATABASE = ["repair_database"]
MEGABYTE = 1_000_000
SLOWER = 1.2  # a fifth slower is worth a look, less is weather


@task(every="weekly", runbook="maintenance", needs=["tools.sentry"])
def review_errors(work):
    """Review error logs."""
    issues = work.get("sentry", "issues")
    before = work.before()
    known = before.data["issues"] if before else {}
    for issue in issues[:10]:
        kind = (issue.get("metadata") or {}).get("type") or "message"
        times = int(issue["count"])
        change = f", {times - known[issue['id']]:+,} since last time" if issue["id"] in known else ""
        work.note(
            f"{issue.get('shortId', issue['id'])}: {kind} in {issue.get('culprit') or '?'}, {times:,} times{change}"
        )
    fresh = [issue for issue in issues if issue["id"] not in known]
    if before and fresh:
        work.attention(f"{len(fresh)} kinds of error that were not there last time")
    work.note(f"{len(issues)} unresolved kinds of error in seven days")
    work.keep({"issues": {issue["id"]: int(issue["count"]) for issue in issues}})


@task(
    every="weekly", runbook="maintenance", needs=[*DATABASE, "statements.database_health", "statements.broken_indexes"]
)
def check_database(work):
    """Check database performance."""
    health = work.rows("database_health")[0]
    work.note(f"{health['connections']:.0f} % of the connections are in use")
    work.note(f"the oldest transaction is {health['oldest_transaction']:.0f} s old")
    if health["cache_hits"] is not None:
        work.note(f"{health['cache_hits']:.1f} % of the blocks were read from memory")
    work.note(f"{health['bytes'] / MEGABYTE:,.0f} MB, {health['deadlocks']:,} deadlocks")
    if health["connections"] > 75:
        work.attention("more than three quarters of the connections are in use")
    if health["oldest_transaction"] > 3600:
        work.attention("a transaction has been open for more than an hour: dialtone do end-long-queries")
    if health["wraparound"] > 50:
        work.attention(f"transaction ids are used up to {health['wraparound']:.0f} %: vacuum has to freeze them")
    for row in work.rows("broken_indexes"):
        work.attention(f"index {row['place']} is not valid: dialtone do create-index")


@task(every="weekly", runbook="maintenance", needs=[*DATABASE, "statements.slow_statements"])
def review_slow_queries(work):
    """Review slow queries."""
    now = {row["id"]: row for row in work.rows("slow_statements")}
    before = work.before()
    old = before.data["statements"] if before else {}
    for row in _slowest(now, old)[:10]:
        work.note(f"{row['mean']:,.1f} ms, {row['calls']:,} calls{row['change']}: {row['query']}")
    for row in _slowest(now, old):
        if row["factor"] > 2 and row["mean"] > 50:
            work.attention(f"{row['factor']:.1f} times slower than before, now {row['mean']:,.0f} ms: {row['query']}")
    if not before:
        work.note("the first time: there is nothing to compare with")
    kept = {name: {key: row[key] for key in ("calls", "total", "since")} for name, row in now.items()}
    work.keep({"statements": kept})


def _slowest(now, old):
    """Statements by their mean time since last time; statistics that were reset meanwhile count from then on."""
    found = []
    for name, row in now.items():
        then = old.get(name)
        if then and (then["since"] != row["since"] or then["calls"] > row["calls"]):
            then = None
        calls = row["calls"] - (then["calls"] if then else 0)
        if calls == 0:
            continue
        mean = (row["total"] - (then["total"] if then else 0)) / calls
        factor = mean / (then["total"] / then["calls"]) if then and then["total"] else 1.0
        change = f", {100 * (factor - 1):+.0f} % since last time" if then else ""
        found.append({"mean": mean, "calls": calls, "factor": factor, "change": change, "query": row["query"]})
    return sorted(found, key=lambda row: -row["mean"])


@task(every="weekly", runbook="maintenance")
def check_external_apis(work):
    """Check external API status."""
    for name, words in work.status_pages().items():
        if words is None:
            work.note(f"{name}: no incident")
        elif words.startswith("unknown"):
            work.note(f"{name}: {words}")
        else:
            work.attention(words)
    work.person("look at the dashboards of those without a status page that can be read")


@task(every="weekly", runbook="maintenance")
def review_feedback(work):
    """Review user feedback."""
    work.person("read what customers wrote since last time; what the checks did not see becomes a check")


@task(every="monthly", runbook="maintenance", needs=[*DATABASE, "statements.worn_tables"])
def maintain_database(work):
    """Database maintenance (VACUUM, ANALYZE)."""
    for row in work.rows("worn_tables"):
        worn = f"{row['dead']:,} dead and {row['changed']:,} changed of {row['live']:,} rows"
        work.alone(f"vacuum and analyze {row['name']}: {worn}", row["ddl"])
    if not work.steps:
        work.note("no table is worn enough to pay for it")


@task(
    every="monthly",
    runbook="maintenance",
    needs=[*DATABASE, "statements.slow_statements", "statements.read_whole", "statements.missing_indexes"],
)
def optimise_slow_queries(work):
    """Review and optimize slow queries."""
    for row in work.rows("missing_indexes"):
        work.attention(f"the foreign key {row['place']} ({row['size']}) has no index: dialtone do create-index")
    for row in work.rows("read_whole"):
        work.attention(f"{row['name']} ({row['rows']:,} rows) was read whole {row['scans']:,} times")
    for row in work.rows("slow_statements")[:5]:
        work.note(f"{row['total'] / 1000:,.1f} s in all, {row['total'] / row['calls']:,.1f} ms each: {row['query']}")
    work.person("rewrite the statements above that cost the most, and look at their plans with EXPLAIN")


@task(every="monthly", runbook="maintenance")
def update_dependencies(work):
    """Update dependencies."""
    found = work.packages()
    work.note(f"{found.pinned} packages of the suite are pinned, {len(found.unpinned)} are installed besides")
    for name, (pinned, here) in found.differing.items():
        work.attention(f"{name} {here} is installed, {pinned} is pinned")
    for name, (here, newest) in (found.newer or {}).items():
        work.note(f"{name} {here}: there is {newest}")
    if found.why:
        work.note(found.why)
    work.person("update what the application depends on, and read its advisories")


@task(every="monthly", runbook="maintenance", needs=[*DATABASE, "statements.refusals"])
def review_security(work):
    """Review security logs."""
    rows = work.rows("refusals")
    usual = sorted(row["worst"] for row in rows)[len(rows) // 2] if rows else 0
    for row in rows:
        what = f"{row['kind']} requests answered {row['status']} on {row['day']}"
        work.note(f"{row['refused']:,} {what}, {row['worst']:,} in the worst minute")
        if row["worst"] >= 40 and row["worst"] > 3 * usual:
            work.attention(f"{row['worst']:,} {what} within a minute")
    work.person("read the log-ins of the team and of the providers' dashboards, which nobody else sees")


@task(every="monthly", runbook="maintenance")
def compare_performance(work):
    """Performance testing."""
    seen = {name: (one.now, one.before) for name, one in work.months().items()}
    if not seen:  # no history of runs: what the last run measured, against what was kept a month ago
        before = work.last_month()
        old = before.data["values"] if before else {}
        now = {c["id"]: c["value"] for c in work.verdicts() if c["unit"] == "ms" and c["value"] is not None}
        seen = {name: (value, old.get(name)) for name, value in now.items()}
        work.keep({"values": now})
    for name, (value, earlier) in sorted(seen.items()):
        if not earlier:
            work.note(f"{name}: {value:,.0f} ms")
            continue
        work.note(f"{name}: {value:,.0f} ms, {100 * (value / earlier - 1):+.0f} % since last month")
        if value > SLOWER * earlier and value - earlier > 10:
            work.attention(f"{name} takes {value:,.0f} ms, a month ago {earlier:,.0f} ms")
    if not any(earlier for _, earlier in seen.values()):
        work.note("nothing is known of last month: there is nothing to compare with")


@task(
    every="quarterly", runbook="maintenance", needs=[*DATABASE, "statements.powerful_roles", "statements.open_tables"]
)
def audit_security(work):
    """Security audit."""
    for row in work.rows("powerful_roles"):
        rights = [word for word, has in (("superuser", row["superuser"]), ("bypasses RLS", row["bypasses"])) if has]
        until = row["until"] or "for ever"
        work.note(f"role {row['name']}: {', '.join(rights) or 'makes roles'}, its password is good until {until}")
    for row in work.rows("open_tables"):
        work.attention(f"every role may use the table {row['name']}")
    work.person("who has access to hosting, database, Stripe and the repository? Rotate keys older than a year")


@task(
    every="quarterly",
    runbook="maintenance",
    needs=[*DATABASE, "statements.unused_indexes", "statements.slow_statements"],
)
def optimise_performance(work):
    """Performance optimization."""
    for row in work.rows("unused_indexes"):
        work.attention(f"index {row['name']} of {row['relation']} ({row['size']}) was never used: it only costs")
    rows = work.rows("slow_statements")
    whole = sum(row["total"] for row in rows) or 1
    for row in rows[:5]:
        work.note(f"{100 * row['total'] / whole:.0f} % of the database's time: {row['query']}")
    work.person("decide what of it is worth the work")


@task(
    every="quarterly",
    runbook="maintenance",
    needs=[*DATABASE, "statements.table_sizes", "statements.connections", "values.database_limit"],
)
def plan_capacity(work):
    """Capacity planning."""
    sizes = {row["name"]: row["bytes"] for row in work.rows("table_sizes")}
    used = work.rows("connections")[0]
    first, now = next(iter(work.history()), None), work.clock()
    limit = int(work.target.value("database_limit"))
    rows = [
        ("the tables", sum(sizes.values()), limit, "bytes"),
        ("connections", used["used"], used["most"], "connections"),
    ]
    for what, value, most, key in rows:
        text = f"{what}: {100 * value / most:.0f} % of the limit"
        growth = (value - first.data[key]) / ((now - first.at) / 86_400) if first and now - first.at >= 86_400 else None
        if growth is None:
            work.note(f"{text}; how fast they grow is known after the next run")
        elif growth <= 0:
            work.note(f"{text}, not growing")
        else:
            days = (most - value) / growth
            work.note(f"{text}, reached in {days:,.0f} days at the growth since the first run")
            if days < 180:
                work.attention(f"{what} reach their limit in {days:,.0f} days")
    old = first.data["sizes"] if first else {}
    for name, size in sorted(sizes.items(), key=lambda pair: -pair[1])[:5]:
        grown = f", {(size - old[name]) / MEGABYTE:+,.1f} MB since the first run" if name in old else ""
        work.note(f"{name}: {size / MEGABYTE:,.1f} MB{grown}")
    work.keep({"bytes": sum(sizes.values()), "connections": used["used"], "sizes": sizes})


@task(every="quarterly", runbook="maintenance", needs=[*DATABASE, "credentials.restore_database_url"])
def try_recovery(work):
    """Disaster recovery testing."""
    work.restore("restore a dump into a scratch database and count its rows", "restore_database_url")


@task(every="quarterly", runbook="maintenance")
def update_documentation(work):
    """Documentation updates."""
    work.person(f"read {work.target.profile.runbook} against the incidents of the quarter")
