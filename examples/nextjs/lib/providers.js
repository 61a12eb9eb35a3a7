import Stripe from 'stripe';

const PATIENCE = 1500;
let stripe;

export class Failed extends Error {
  constructor(provider, message, status) {
    super(message);
    Object.assign(this, { provider, status });
  }
}

async function ask(provider, url, init) {
  let answer;
  try {
    answer = await fetch(url, { ...init, signal: AbortSignal.timeout(PATIENCE) });
  } catch (error) {
    throw new Failed(provider, error.cause?.code ?? error.message);
  }
  if (answer.ok) return answer.json();
  throw new Failed(provider, `${answer.status} ${(await answer.text()).slice(0, 120)}`, answer.status);
}

// A fee on the shop's next invoice. The key makes it once, however often it is asked for.
export async function fee({ booking, shop }) {
  stripe ??= new Stripe(process.env.STRIPE_SECRET_KEY, { maxNetworkRetries: 0, timeout: PATIENCE });
  const item = {
    customer: shop.stripe_customer_id,
    amount: 200,
    currency: 'usd',
    description: `Booking ${booking.id}`,
    metadata: { booking: booking.id },
  };
  try {
    await stripe.invoiceItems.create(item, { idempotencyKey: `fee-${booking.id}` });
  } catch (error) {
    throw new Failed('Stripe', `${error.statusCode ?? ''} ${error.message}`.trim());
  }
}

// A message has no key. Whoever does not know how the last attempt ended looks whether it went out.
export async function text({ booking, shop, attempt }) {
  const headers = { authorization: `Bearer ${process.env.TELNYX_API_KEY}`, 'content-type': 'application/json' };
  if (attempt > 1 && (await wasSent(booking, headers))) return;
  await ask('Telnyx', 'https://api.telnyx.com/v2/messages', {
    method: 'POST',
    headers,
    body: JSON.stringify({ from: shop.phone, to: booking.phone, text: `See you at ${booking.at}. Kees` }),
  });
}

async function wasSent(booking, headers) {
  const wanted = new URLSearchParams({
    'filter[record_type]': 'messaging',
    'filter[date_range]': 'today',
    'filter[cld]': booking.phone,
  });
  const { data } = await ask('Telnyx', `https://api.telnyx.com/v2/detail_records?${wanted}`, { headers });
  return data.some((record) => new Date(record.created_at) >= new Date(booking.made_at));
}

// An event whose id is the booking's: written twice it is a 409, which is as good as written.
export async function event({ booking, shop }) {
  const { access_token: token } = await ask('Google', 'https://oauth2.googleapis.com/token', {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: shop.google_refresh_token,
      client_id: process.env.GOOGLE_CLIENT_ID,
      client_secret: process.env.GOOGLE_CLIENT_SECRET,
    }),
  });
  const begin = new Date(booking.at);
  const end = new Date(begin.getTime() + 30 * 60_000);
  try {
    await ask('Google', 'https://www.googleapis.com/calendar/v3/calendars/primary/events', {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        id: booking.id.replaceAll('-', ''),
        summary: 'Haircut',
        description: `${booking.phone}`,
        start: { dateTime: begin.toISOString() },
        end: { dateTime: end.toISOString() },
      }),
    });
  } catch (error) {
    if (error.status !== 409) throw error;
  }
}
