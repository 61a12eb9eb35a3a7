"""A profile fits an application of another shape, of which the checks were told nothing."""

from __future__ import annotations

import tomllib
from collections.abc import Callable

from tests.docs.conftest import Outcome
from tests.docs.parcels import serving
from tests.docs.tickets import PROFILE, SECRET, Tickets


def test_everything_that_the_profile_names_is_checked(run_checks: Callable[..., Outcome]) -> None:
    """Pages, webhooks and limits by names of its own; nothing is red, and nothing undecided."""
    with serving(Tickets().answer) as url:
        outcome = run_checks(tomllib.loads(PROFILE), {"TICKETS_URL": url, "GITHUB_SECRET": SECRET})
    assert outcome.are("ok", "unarmed") == set(outcome.checks), outcome.told(
        "undecided", "breach", "critical", "broken"
    )
    assert outcome.are("ok") == {
        "pages_answer[board]",
        "page_assets_load",
        "internal_links_lead_somewhere",
        "old_addresses_lead_to_pages",
        "health_answers_ok",
        "health_is_fresh",
        "health_is_not_cached",
        "health_leaks_nothing",
        "burst_is_limited[site]",
        "limit_is_shared_between_instances[site]",
        "no_escape_by_header[site]",
        "user_below_the_limit_is_served[site]",
        "webhook_accepts_genuine[github]",
        "webhook_answers_in_time[github]",
        "webhook_refuses_forged[github]",
        "webhook_refuses_unsigned[github]",
        "webhook_refuses_reserialised[github]",
        "webhook_refuses_truncated[github]",
        "webhook_acceptance_has_its_effect[github]",
        "webhook_redelivery_has_no_second_effect[github]",
        "webhook_ignores_unknown_events[github]",
    }
    assert "signs no time" in outcome.checks["webhook_refuses_stale[github]"]["reason"]
