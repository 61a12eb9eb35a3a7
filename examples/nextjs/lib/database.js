import { createClient } from '@supabase/supabase-js';

const PATIENCE = 1500;
let client;

export function database() {
  client ??= createClient(process.env.SUPABASE_URL, process.env.SUPABASE_SERVICE_ROLE_KEY, {
    auth: { persistSession: false, autoRefreshToken: false },
    global: { fetch: (url, init) => fetch(url, { ...init, signal: AbortSignal.timeout(PATIENCE) }) },
  });
  return client;
}
