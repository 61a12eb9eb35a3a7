import { after } from 'next/server';

import { database } from '../../../lib/database';
import { startCall } from '../../../lib/assistant';
import { deliver } from '../../../lib/outbox';

// Books, and says so once the database has it; fee, text and calendar follow after the answer, from the outbox.
export async function POST(request) {
  const key = request.headers.get('idempotency-key');
  const { shop, phone, at } = await request.json().catch(() => ({}));
  if (!key || !shop || !at || !/^\+\d{8,15}$/.test(phone ?? '')) {
    return Response.json({ error: 'shop, phone, at and an Idempotency-Key are needed' }, { status: 400 });
  }
  const [booked, call] = await Promise.all([
    database().rpc('book', { of_shop: shop, of_phone: phone, of_at: at, of_key: key }),
    startCall(shop),
  ]);
  if (booked.error?.code === '23505') return Response.json({ error: 'that hour is taken' }, { status: 409 });
  if (booked.error) {
    console.error('booking failed', booked.error.message);
    return Response.json({ error: 'try again in a moment' }, { status: 503, headers: { 'retry-after': '2' } });
  }
  after(() => deliver({ booking: booked.data }));
  return Response.json({ booking: booked.data, call }, { status: 201 });
}
