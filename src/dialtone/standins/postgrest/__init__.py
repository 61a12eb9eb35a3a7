"""Stand-in for Supabase's REST API: PostgREST's protocol over a real Postgres.

Requests, answers and errors: https://docs.postgrest.org/en/stable/references/api.html and errors.html beside it. What
Supabase adds (API keys at the gateway, time-outs by role, at most 1,000 rows, no UPDATE or DELETE without a filter):
https://supabase.com/docs/guides/api. What is there: tables and functions of the schema `public`; select with casts,
aliases, JSON paths and embedding along foreign keys; all operators; order, limit, ranges, counts; insert, upsert,
update, delete; functions. What is not (views in embeddings, aggregates, CSV, PUT, spread, related order) is refused in
PostgREST's own form.
"""

from __future__ import annotations

from dialtone.standins.postgrest.api import Postgrest

__all__ = ["Postgrest"]
