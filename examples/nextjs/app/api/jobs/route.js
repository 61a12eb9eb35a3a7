import { deliver } from '../../../lib/outbox';

export const dynamic = 'force-dynamic';

// The scheduler asks every minute: whatever is due in the outbox is tried.
export async function GET(request) {
  if (request.headers.get('authorization') !== `Bearer ${process.env.CRON_SECRET}`) {
    return Response.json({ error: 'who are you?' }, { status: 401 });
  }
  return Response.json({ tried: await deliver({}) });
}
