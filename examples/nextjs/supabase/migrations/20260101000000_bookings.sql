CREATE TABLE shops (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  name text NOT NULL,
  phone text NOT NULL,
  stripe_customer_id text NOT NULL,
  google_refresh_token text NOT NULL
);

CREATE TABLE bookings (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  shop uuid NOT NULL REFERENCES shops ON DELETE CASCADE,
  phone text NOT NULL,
  at timestamptz NOT NULL,
  key text NOT NULL,
  made_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (shop, key),
  UNIQUE (shop, at)
);

-- What is still to be done for a booking: its fee, its text, its event in the calendar.
CREATE TABLE outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  booking uuid NOT NULL REFERENCES bookings ON DELETE CASCADE,
  duty text NOT NULL,
  attempts int NOT NULL DEFAULT 0,
  due timestamptz NOT NULL DEFAULT now(),
  done_at timestamptz,
  error text
);
CREATE INDEX ON outbox (due) WHERE done_at IS NULL;

-- When somebody was told that a duty of a shop fails: once in a quarter of an hour.
CREATE TABLE told (
  shop uuid NOT NULL REFERENCES shops ON DELETE CASCADE,
  duty text NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (shop, duty)
);

ALTER TABLE shops ENABLE ROW LEVEL SECURITY;
ALTER TABLE bookings ENABLE ROW LEVEL SECURITY;
ALTER TABLE outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE told ENABLE ROW LEVEL SECURITY;

-- A booking with its duties, in one transaction; the same key is the same booking.
CREATE FUNCTION book(of_shop uuid, of_phone text, of_at timestamptz, of_key text) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE made uuid;
BEGIN
  SELECT id INTO made FROM bookings WHERE shop = of_shop AND key = of_key;
  IF made IS NOT NULL THEN
    RETURN made;
  END IF;
  INSERT INTO bookings (shop, phone, at, key) VALUES (of_shop, of_phone, of_at, of_key) RETURNING id INTO made;
  INSERT INTO outbox (booking, duty) SELECT made, unnest(ARRAY['fee', 'text', 'event']);
  RETURN made;
END $$;

-- Takes what is due, for five seconds: whoever dies meanwhile leaves it to the next.
CREATE FUNCTION claim(of_booking uuid, most int) RETURNS jsonb
LANGUAGE sql SECURITY DEFINER SET search_path = public AS $$
  WITH claimed AS (
    UPDATE outbox SET due = now() + interval '5 seconds', attempts = attempts + 1
    WHERE id IN (
      SELECT id FROM outbox
      WHERE done_at IS NULL AND due <= now() AND (of_booking IS NULL OR booking = of_booking)
      ORDER BY due LIMIT most FOR UPDATE SKIP LOCKED)
    RETURNING id, booking, duty, attempts)
  SELECT coalesce(jsonb_agg(jsonb_build_object(
    'id', c.id, 'duty', c.duty, 'attempt', c.attempts, 'booking', to_jsonb(b), 'shop', to_jsonb(s))), '[]')
  FROM claimed c JOIN bookings b ON b.id = c.booking JOIN shops s ON s.id = b.shop
$$;

-- The outcome of an attempt; true when it is a failure of which nobody has heard for a while.
CREATE FUNCTION note(of_id bigint, of_done boolean, of_error text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE entry outbox; fresh int;
BEGIN
  UPDATE outbox SET error = of_error, done_at = CASE WHEN of_done THEN now() END,
    due = now() + least(60, 0.5 * 2 ^ (attempts - 1)) * interval '1 second'
  WHERE id = of_id RETURNING * INTO entry;
  IF of_done THEN
    RETURN false;
  END IF;
  INSERT INTO told (shop, duty) SELECT shop, entry.duty FROM bookings WHERE id = entry.booking
    ON CONFLICT (shop, duty) DO UPDATE SET at = now() WHERE told.at < now() - interval '15 minutes';
  GET DIAGNOSTICS fresh = ROW_COUNT;
  RETURN fresh > 0;
END $$;

REVOKE EXECUTE ON FUNCTION book, claim, note FROM PUBLIC, anon, authenticated;
GRANT EXECUTE ON FUNCTION book, claim, note TO service_role;
