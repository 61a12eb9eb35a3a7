// stripe-node, retell-sdk and supabase-js, all rows at once: ROWS is {stripe: [...], …}; prints what each row came to.
// A row is told to the other side by what the SDK itself sends: an idempotency key, an id in the path, metadata.
const Stripe = require("stripe");
const { Retell } = require("retell-sdk");
const { createClient } = require("@supabase/supabase-js");
const rows = JSON.parse(process.env.ROWS);
const stripe = new Stripe("sk_test_x", { host: "api.test", maxNetworkRetries: 2, timeout: 20000 });
const retell = new Retell({ apiKey: "key_x", baseURL: "https://api.test" });
const realtime = typeof WebSocket === "undefined" ? { transport: class {} } : {}; // Node 20 has none
const supabase = createClient("https://api.test", "key", { realtime, auth: { persistSession: false } });
const numbers = { from_number: "+14155550100", to_number: "+14155550101" };

const call = {
  stripe: (row) =>
    row.startsWith("reads.")
      ? stripe.customers.retrieve(row)
      : stripe.customers.create({ email: "a@example.com" }, { idempotencyKey: row }),
  retell: (row) =>
    row.startsWith("calls.") || row.startsWith("any.")
      ? retell.call.createPhoneCall({ ...numbers, metadata: { row } })
      : row.startsWith("agents.")
        ? retell.agent.retrieve(row)
        : retell.call.retrieve(row).then((call) => call.disconnection_reason),
  postgrest: async (row) => {
    const table = supabase.from(row);
    const { data, error, status } = await (row.startsWith("writes.") ? table.insert({ a: 1 }) : table.select());
    return `${status} ${error ? error.code || "no code" : JSON.stringify(data)}`;
  },
};

const told = (error) => [error.constructor.name, error.code].filter(Boolean).join(" ");
const work = Object.entries(rows).flatMap(([provider, names]) =>
  names.map(async (row) => [`${provider} ${row}`, await call[provider](row).catch(told)]),
);
Promise.all(work).then((all) => process.stdout.write(JSON.stringify(Object.fromEntries(all))));
