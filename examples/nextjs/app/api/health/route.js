import { database } from '../../../lib/database';

export const dynamic = 'force-dynamic';

export async function GET() {
  const { error } = await database().from('shops').select('id').limit(1).retry(false);
  const answer = { status: error ? 'down' : 'ok', at: new Date().toISOString() };
  return Response.json(answer, { status: error ? 503 : 200, headers: { 'cache-control': 'no-store' } });
}
