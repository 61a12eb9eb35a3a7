-- The receptionist's tables. Safe to run again: every statement leaves what is there.
-- Columns below a blank line are the receptionist's own; the ones above are the application's public schema.

CREATE TABLE IF NOT EXISTS businesses (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    business_name text NOT NULL,
    phone_number text,
    escalation_phone text,
    timezone text NOT NULL DEFAULT 'America/New_York',
    business_hours jsonb NOT NULL DEFAULT '{"open": "09:00", "close": "17:00"}',
    retell_agent_id text,
    subscription_status text NOT NULL DEFAULT 'inactive',
    stripe_customer_id text,
    calendar_connected boolean NOT NULL DEFAULT false,
    google_access_token text,
    google_refresh_token text,
    google_token_expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),

    google_refresh_leased_until timestamptz,
    subscription_event_at timestamptz
);
CREATE INDEX IF NOT EXISTS businesses_phone ON businesses (phone_number);
CREATE INDEX IF NOT EXISTS businesses_agent ON businesses (retell_agent_id);
CREATE INDEX IF NOT EXISTS businesses_customer ON businesses (stripe_customer_id);

CREATE TABLE IF NOT EXISTS custom_users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email text NOT NULL UNIQUE,
    password_hash text NOT NULL,
    business_id uuid REFERENCES businesses (id) ON DELETE CASCADE,
    name text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS custom_users_business ON custom_users (business_id);

CREATE TABLE IF NOT EXISTS appointments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    business_id uuid NOT NULL REFERENCES businesses (id) ON DELETE CASCADE,
    customer_name text NOT NULL,
    customer_phone text,
    scheduled_date date NOT NULL,
    start_time time NOT NULL,
    end_time time NOT NULL,
    duration integer NOT NULL DEFAULT 60,
    service_type text,
    status text NOT NULL DEFAULT 'scheduled' CHECK (status IN ('scheduled', 'cancelled', 'completed')),
    notes text,
    google_event_id text,
    created_at timestamptz NOT NULL DEFAULT now(),

    tool_call_key text UNIQUE
);
CREATE INDEX IF NOT EXISTS appointments_day ON appointments (business_id, scheduled_date);
CREATE INDEX IF NOT EXISTS appointments_unsynced ON appointments (scheduled_date) WHERE google_event_id IS NULL;

CREATE TABLE IF NOT EXISTS calls (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    business_id uuid NOT NULL REFERENCES businesses (id) ON DELETE CASCADE,
    call_id text NOT NULL UNIQUE,
    from_number text,
    to_number text,
    status text NOT NULL
        CHECK (status IN ('initiated', 'ringing', 'answered', 'completed', 'failed', 'missed')),
    direction text NOT NULL DEFAULT 'inbound',
    duration integer,
    created_at timestamptz NOT NULL DEFAULT now(),

    retell_call_id text
);
CREATE INDEX IF NOT EXISTS calls_business ON calls (business_id);
CREATE INDEX IF NOT EXISTS calls_retell ON calls (retell_call_id);

CREATE TABLE IF NOT EXISTS sms_messages (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    business_id uuid NOT NULL REFERENCES businesses (id) ON DELETE CASCADE,
    message_id text UNIQUE,
    direction text NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    from_number text,
    to_number text,
    body text,
    status text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),

    appointment_id uuid
);
CREATE INDEX IF NOT EXISTS sms_messages_business ON sms_messages (business_id);
CREATE INDEX IF NOT EXISTS sms_messages_queued ON sms_messages (created_at) WHERE status = 'queued';

CREATE TABLE IF NOT EXISTS webhook_events (
    event_id text NOT NULL,
    provider text NOT NULL,
    event_type text,
    processed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, event_id)
);

CREATE TABLE IF NOT EXISTS stripe_subscriptions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    business_id uuid NOT NULL REFERENCES businesses (id) ON DELETE CASCADE,
    stripe_subscription_id text UNIQUE,
    stripe_customer_id text,
    status text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS stripe_subscriptions_business ON stripe_subscriptions (business_id);

CREATE TABLE IF NOT EXISTS billing_history (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    business_id uuid NOT NULL REFERENCES businesses (id) ON DELETE CASCADE,
    stripe_invoice_id text UNIQUE,
    amount_cents integer NOT NULL,
    status text NOT NULL CHECK (status IN ('paid', 'failed', 'pending')),
    description text,
    created_at timestamptz NOT NULL DEFAULT now(),

    -- Not a foreign key: what was charged outlives the appointment it was charged for.
    appointment_id uuid UNIQUE,
    leased_until timestamptz
);
CREATE INDEX IF NOT EXISTS billing_history_business ON billing_history (business_id);
CREATE INDEX IF NOT EXISTS billing_history_pending ON billing_history (created_at) WHERE status = 'pending';

CREATE TABLE IF NOT EXISTS consents (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    phone_number text NOT NULL,
    business_id uuid NOT NULL REFERENCES businesses (id) ON DELETE CASCADE,
    status text NOT NULL CHECK (status IN ('opted_in', 'opted_out')),
    source text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (business_id, phone_number)
);

CREATE TABLE IF NOT EXISTS compliance_events (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    business_id uuid NOT NULL REFERENCES businesses (id) ON DELETE CASCADE,
    event_type text NOT NULL,
    detail jsonb,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS compliance_events_business ON compliance_events (business_id);

-- Who asked for what, a row for each minute, kind and status. Probes that say what they are count apart.
CREATE TABLE IF NOT EXISTS request_counts (
    minute timestamptz NOT NULL,
    kind text NOT NULL,
    status integer NOT NULL,
    is_synthetic boolean NOT NULL DEFAULT false,
    requests integer NOT NULL,
    PRIMARY KEY (minute, kind, status, is_synthetic)
);

-- When the scheduler last had a cron route run to its end.
CREATE TABLE IF NOT EXISTS cron_runs (
    name text PRIMARY KEY,
    finished_at timestamptz NOT NULL
);

-- The outbox: how often something was tried that has to go out, and when the next try is due.
ALTER TABLE appointments ADD COLUMN IF NOT EXISTS tries integer NOT NULL DEFAULT 0;
ALTER TABLE appointments ADD COLUMN IF NOT EXISTS next_try_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE billing_history ADD COLUMN IF NOT EXISTS tries integer NOT NULL DEFAULT 0;
ALTER TABLE billing_history ADD COLUMN IF NOT EXISTS next_try_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE sms_messages ADD COLUMN IF NOT EXISTS tries integer NOT NULL DEFAULT 0;
ALTER TABLE sms_messages ADD COLUMN IF NOT EXISTS next_try_at timestamptz NOT NULL DEFAULT now();

-- Who has taken a message to send it: whoever never heard that it has may give it back.
ALTER TABLE sms_messages ADD COLUMN IF NOT EXISTS taken_by uuid;

-- When something that failed is tried again: at once, then at intervals that double, none of them exact, up to 64 times
-- the first; not before the provider asked for.
CREATE OR REPLACE FUNCTION next_try(tries integer, first_wait double precision, asked double precision)
RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
    SELECT now() + interval '1 second' * greatest(
        asked, CASE WHEN tries = 0 THEN 0 ELSE first_wait * least(power(2, tries - 1), 64) * (0.5 + random() / 2) END)
$$;

-- Since when the calendar's event says something else than the appointment.
ALTER TABLE appointments ADD COLUMN IF NOT EXISTS calendar_stale_at timestamptz;
CREATE INDEX IF NOT EXISTS appointments_stale ON appointments (calendar_stale_at) WHERE calendar_stale_at IS NOT NULL;

-- Which trouble was told, so that it is told once; and what no channel took yet.
CREATE TABLE IF NOT EXISTS alerts_told (
    key text PRIMARY KEY,
    until timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS alert_outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
