import { database } from './database';
import { event, fee, text } from './providers';

const DUTIES = { fee, text, event };
const ALL = 50;

// Tries what is due, of one booking or of all; how many were tried. Each is claimed first: two workers never share one.
export async function deliver({ booking = null }) {
  const { data: claimed, error } = await database().rpc('claim', { of_booking: booking, most: ALL });
  if (error) {
    console.error('outbox', error.message);
    return 0;
  }
  await Promise.all(claimed.map(attempt));
  return claimed.length;
}

async function attempt(entry) {
  const { id, duty, shop } = entry;
  try {
    await DUTIES[duty](entry);
    await note(id, { of_done: true, of_error: null });
  } catch (error) {
    const first = await note(id, { of_done: false, of_error: error.message });
    if (first) await tell(`${error.provider ?? 'outbox'}: the ${duty} of ${shop.name} failed (${error.message})`);
  }
}

// The outcome; whether it is the first failure of this duty of the shop in a while, which somebody has to hear of.
async function note(id, outcome) {
  const { data, error } = await database().rpc('note', { of_id: id, ...outcome });
  if (error) console.error('outbox', error.message);
  return data === true;
}

async function tell(text) {
  try {
    await fetch(process.env.SLACK_WEBHOOK_URL, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ text }),
      signal: AbortSignal.timeout(1500),
    });
  } catch (error) {
    console.error('nobody heard of it', error.message);
  }
}
