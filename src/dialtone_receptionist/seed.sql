-- A day of an ordinary service: three businesses and what they did in the last 23 hours. Only into an empty database.
-- No Stripe customer and no Google token: nothing of this can lead to an outgoing call.

WITH seeded AS (
    INSERT INTO businesses
        (business_name, phone_number, escalation_phone, retell_agent_id, subscription_status, calendar_connected)
    SELECT name, '+1555010' || lpad((number * 10)::text, 4, '0'), '+1555010' || lpad((number * 10 + 1)::text, 4, '0'),
           'agent_seed_' || number, 'active', true
    FROM (VALUES (1, 'Harbour Heating'), (2, 'Lakeside Plumbing'), (3, 'Northfield Roofing')) AS v (number, name)
    WHERE NOT EXISTS (SELECT FROM businesses WHERE business_name NOT LIKE 'dialtone-synthetic%')
    RETURNING id, right(retell_agent_id, 1)::int - 1 AS number
),
payments AS (
    INSERT INTO billing_history (business_id, stripe_invoice_id, amount_cents, status, description, created_at)
    SELECT id, 'in_seed_' || n, 5000, 'paid', 'Booking fee', now() - interval '23 hours' * n / 400
    FROM generate_series(1, 400) AS n JOIN seeded ON number = n % 3
),
rang AS (
    INSERT INTO calls (business_id, call_id, from_number, to_number, status, duration, created_at)
    SELECT id, 'call_seed_' || n, '+15550200' || lpad((n % 100)::text, 3, '0'), '+15550100010', 'completed',
           60 + n % 240, now() - interval '23 hours' * n / 400
    FROM generate_series(1, 400) AS n JOIN seeded ON number = n % 3
),
booked AS (
    INSERT INTO appointments (business_id, customer_name, customer_phone, scheduled_date, start_time, end_time,
                              duration, service_type, google_event_id, created_at)
    SELECT id, 'Customer ' || n, '+15550200' || lpad((n % 100)::text, 3, '0'), current_date + 1 + n / 21,
           time '09:00' + interval '1 hour' * (n / 3 % 7), time '10:00' + interval '1 hour' * (n / 3 % 7),
           60, 'inspection', 'seed' || lpad(n::text, 8, '0'), now() - interval '23 hours' * n / 300
    FROM generate_series(1, 300) AS n JOIN seeded ON number = n % 3
),
asked AS (
    INSERT INTO request_counts (minute, kind, status, requests)
    SELECT date_trunc('minute', now()) - interval '5 minutes' * n, kind, status, requests
    FROM generate_series(1, 276) AS n,
         (VALUES ('page', 200, 12), ('api', 200, 6), ('webhook', 200, 3), ('api', 401, 1)) AS v (kind, status, requests)
    WHERE EXISTS (SELECT FROM seeded)
),
scheduled AS (
    INSERT INTO cron_runs (name, finished_at) SELECT 'process-jobs', now() WHERE EXISTS (SELECT FROM seeded)
    ON CONFLICT DO NOTHING
),
watched AS (
    -- Nobody ever removes this user: it being gone means that rows were lost.
    INSERT INTO custom_users (email, password_hash, name)
    SELECT 'sentinel@receptionist.invalid', '-', 'Sentinel' WHERE EXISTS (SELECT FROM seeded)
    ON CONFLICT DO NOTHING
)
INSERT INTO webhook_events (event_id, provider, event_type, created_at, processed_at)
SELECT 'evt_seed_' || n, (ARRAY['stripe', 'telnyx', 'retell'])[n % 3 + 1], 'seed',
       now() - interval '23 hours' * n / 300, now() - interval '23 hours' * n / 300 + interval '1 millisecond' * (20 + n % 300)
FROM generate_series(1, 300) AS n
WHERE EXISTS (SELECT FROM seeded);
