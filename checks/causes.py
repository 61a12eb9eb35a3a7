"""What can be wrong with the service, in the words of on-call: the vocabulary of every diagnosis.

Each cause names the red checks that it is seen by, the first step to take, and whose support to ask. A cause that
`explains` others is the better name when both are seen. docs/diagnosis.md tells how the likeliest is found.
"""

from __future__ import annotations

from dialtone.runbook import Cause, When

_JOBS = [
    Cause(
        "jobs.scheduler-stopped",
        "The scheduler does not call the background jobs any more",
        "look at the schedule in the platform's settings (vercel.json, plan limits, CRON_SECRET); start a run by hand",
        seen=[When("scheduler_calls")],
        explains=["jobs.overdue", "calendar.never-resynced", "calendar.unsynced"],
        contact="vercel",
    ),
    Cause(
        "jobs.overdue",
        "Background jobs run, and pass over jobs that are long due",
        "look at what the oldest jobs have in common; start a run by hand and read its answer",
        seen=[When("no_job_is_overdue")],
    ),
]


_DATA = [
    Cause(
        "data.guarded-row-gone",
        "A row that nobody may remove is gone: somebody or something deletes what it should not",
        "stop clean-up scripts; find what ran since the last ok run; restore the row from the backup",
        seen=[When("sentinels_are_there")],
        explains=["data.rows-lost"],
        contact="supabase",
    ),
    Cause(
        "data.rows-lost",
        "A table has lost rows since the last look",
        "stop writes to it; find the migration or script that deleted; compare with the last backup before restoring",
        seen=[When("no_table_has_shrunk")],
        contact="supabase",
    ),
    Cause(
        "data.backups-failing",
        "The database's backups fail: a loss now could not be made good",
        "start a backup by hand and see that it ends well; then ask the provider why they failed",
        seen=[When("backup_is_recent")],
        contact="supabase",
    ),
    Cause(
        "database.index-missing",
        "A large table is read whole again and again: an index is missing",
        "create the missing index (dialtone do create-index TABLE.COLUMN); look which statements read the table",
        seen=[When("large_tables_are_read_by_index")],
        explains=["database.statement-slow"],
        contact="supabase",
    ),
    Cause(
        "database.not-vacuumed",
        "Dead rows pile up: autovacuum does not keep up, or is off for a table",
        "VACUUM ANALYZE the table (below); look for a transaction that holds it back and for its autovacuum settings",
        seen=[When("tables_are_vacuumed")],
        contact="supabase",
    ),
]


_LIMITS = [
    Cause(
        "limits.login-unlimited",
        "The log-in is not limited: passwords can be tried without end",
        "switch the limit on again; look for addresses with many refused log-ins",
        seen=[When("burst_is_limited[login]")],
    ),
    Cause(
        "limits.refusal-without-headers",
        "Who is limited is not told for how long",
        "send Retry-After and the X-RateLimit headers with the 429",
        seen=[When("limited_answer_has_headers")],
    ),
    Cause(
        "limits.login-too-strict",
        "People are limited before they reach the promised number",
        "raise the limit to what is promised",
        seen=[When("user_below_the_limit_is_served")],
    ),
    Cause(
        "limits.counted-per-instance",
        "Each instance counts for itself: Redis is not configured or not reachable",
        "look at REDIS_REST_URL and REDIS_REST_TOKEN and at Upstash, then redeploy",
        seen=[When("limit_is_shared_between_instances")],
        contact="upstash",
    ),
    Cause(
        "limits.escaped-by-header",
        "The limit believes an address that the client claims in a header",
        "trust only the address that the edge sets",
        seen=[When("no_escape_by_header")],
    ),
    Cause(
        "limits.site-unlimited",
        "One address can load pages without end",
        "switch the limit of the middleware on again",
        seen=[When("burst_is_limited[site]")],
    ),
]


_CONFIGURATION = [
    Cause(
        "configuration.variable-missing",
        "A required variable is not set in this deployment",
        "set it anew without a trailing blank, and redeploy: a change without a deployment is not in effect",
        seen=[When("required_variables_are_set")],
        explains=["*.key-*", "*.old-key-used", "*.signature-refused", "payments.*", "stripe.checkout-fails"],
        contact="vercel",
    ),
    Cause(
        "configuration.preview-differs",
        "Previews are not set up like production: a gate there says nothing about production",
        "set what is missing for both environments in the platform's settings",
        seen=[When("preview_is_set_up_like_production")],
        contact="vercel",
    ),
    Cause(
        "configuration.key-of-another-environment",
        "The application calls a provider with a key of another environment",
        "replace the key at once: live money may move, or none at all",
        seen=[When("keys_belong_to_this_environment")],
        contact="stripe",
    ),
]


_SECURITY = [
    Cause(
        "security.foreign-origin-served",
        "Requests of foreign sites are served: the Origin header is not looked at",
        "switch the check of the Origin on again in the middleware",
        seen=[When("foreign_origin_is_refused")],
    ),
    Cause(
        "security.appointments-public",
        "Appointments can be read without a token",
        "treat it as a breach: close the route, look in the logs for reads without a token",
        seen=[When("appointments_need_a_token")],
    ),
    Cause(
        "security.tenants-mixed",
        "The token of one business opens appointments of another",
        "treat it as a breach: close the route, look in the logs for reads across businesses",
        seen=[When("tenants_cannot_read_each_other")],
    ),
    Cause(
        "security.cron-public",
        "Anybody can start the background jobs: their secret is not asked for",
        "is CRON_SECRET set? refuse what does not carry it",
        seen=[When("cron_needs_its_secret")],
    ),
    Cause(
        "application.login-fails",
        "A log-in that should be refused ends in an error",
        "read the stack in Sentry by the trace id of the check",
        seen=[When("login_refuses_wrong_password", r"answered 5\d\d")],
    ),
]


_DATABASE = [
    Cause(
        "database.down",
        "The database does not answer",
        "look at the database's host and its connection limit; SELECT 1 by hand",
        seen=[When("database_answers", r"unreachable|nobody listens|no connection|cannot be used")],
        explains=["application.*", "calls.*", "payments.*", "calendar.*", "database.*"],
        contact="supabase",
    ),
    Cause(
        "database.login-slow",
        "New database sessions are slow to be made, statements are not",
        "look at the pooler and at log-in triggers; are too many sessions opened at once?",
        seen=[When("database_answers", "SELECT 1")],
        contact="supabase",
    ),
    Cause(
        "database.schema-changed",
        "A table or column is not named as the application's queries name it: a migration ran ahead or was left out",
        "compare the migrations of the database with those of the deployment; run or revert the one that differs",
        seen=[When("tables_are_as_the_profile_names_them")],
        contact="supabase",
    ),
    Cause(
        "database.lock-held",
        "A session waits for a lock that another does not give back",
        "look at the session that holds the lock (below); end it if you know what it is (dialtone do end-long-queries)",
        seen=[When("no_lock_waits")],
        explains=["application.page-slow*"],
        contact="supabase",
    ),
    Cause(
        "database.query-runs-long",
        "A statement has been running for too long",
        "look at the statement (below); end it if you know what it is (dialtone do end-long-queries)",
        seen=[When("no_long_query")],
        explains=["application.page-slow*"],
        contact="supabase",
    ),
    Cause(
        "database.transaction-left-open",
        "A session has left a transaction open and does nothing",
        "end it (dialtone do end-long-queries); find the code that does not commit",
        seen=[When("no_idle_transaction")],
        explains=["database.lock-held"],
        contact="supabase",
    ),
    Cause(
        "database.connections-leak",
        "The database runs out of connections: somebody opens them and does not close them",
        "look who holds them (below); restart the functions, then look for a client made in each request",
        seen=[When("connections_in_use")],
        contact="supabase",
    ),
    Cause(
        "database.statement-slow",
        "A statement of the application is slow each time",
        "look at its plan; is an index missing? dialtone do create-index TABLE.COLUMN",
        seen=[When("no_slow_statement")],
        explains=["application.page-slow*"],
        contact="supabase",
    ),
    Cause(
        "webhooks.processed-late",
        "Webhook events are processed minutes after they arrive",
        "look at the worker that processes them and at its queue; which provider's events wait?",
        seen=[When("webhook_lag")],
    ),
    Cause(
        "housekeeping.left-at-providers",
        "What checks made at a provider stays there: it cannot be removed, or nobody does",
        "remove it by its marker, and give the prober's credential the right to; see providers.NAME.leftovers",
        seen=[When("nothing_is_left_at_providers")],
    ),
    Cause(
        "housekeeping.synthetic-leftovers",
        "Synthetic users are not removed by whoever makes them",
        "find who makes them by their marker and remove them; they count in the business's numbers",
        seen=[When("no_synthetic_leftovers")],
    ),
]


CAUSES = [*_JOBS, *_DATA, *_LIMITS, *_CONFIGURATION, *_SECURITY, *_DATABASE]
