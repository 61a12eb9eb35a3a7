"""The roles and functions that every Supabase project has, as SQL for whoever sets a database up.

https://supabase.com/docs/guides/database/postgres/roles; `auth.uid()` and its like read the claims that PostgREST sets:
supabase/auth, migrations.
"""

from __future__ import annotations

AUTHENTICATOR = "authenticator"
"""The role as which PostgREST connects; it may do nothing but become one of the others."""


def roles_script(password: str) -> str:
    """To be run once in a cluster. The password has to be one that needs no quoting."""
    return f"""
CREATE ROLE anon NOLOGIN NOINHERIT;
CREATE ROLE authenticated NOLOGIN NOINHERIT;
CREATE ROLE service_role NOLOGIN NOINHERIT BYPASSRLS;
CREATE ROLE {AUTHENTICATOR} LOGIN NOINHERIT PASSWORD '{password}';
GRANT anon, authenticated, service_role TO {AUTHENTICATOR};
"""


def grants_script(owner: str) -> str:
    """To be run in the database, before `owner` makes its tables there: row-level security decides, as at Supabase."""
    everybody = "anon, authenticated, service_role"
    return f"""
GRANT USAGE ON SCHEMA public TO {everybody};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public GRANT ALL ON TABLES TO {everybody};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public GRANT ALL ON SEQUENCES TO {everybody};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public GRANT ALL ON FUNCTIONS TO {everybody};
CREATE SCHEMA auth;
GRANT USAGE ON SCHEMA auth TO {everybody}, {owner};
CREATE FUNCTION auth.jwt() RETURNS jsonb STABLE LANGUAGE sql
  AS $$ SELECT coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{{}}')::jsonb $$;
CREATE FUNCTION auth.uid() RETURNS uuid STABLE LANGUAGE sql AS $$ SELECT (auth.jwt() ->> 'sub')::uuid $$;
CREATE FUNCTION auth.role() RETURNS text STABLE LANGUAGE sql AS $$ SELECT auth.jwt() ->> 'role' $$;
"""
