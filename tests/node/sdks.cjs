// stripe-node and retell-sdk, all rows at once: ROWS is {stripe: [...], retell: [...]}; prints what each row came to.
// A row is told to the other side by what the SDK itself sends: an idempotency key, an id in the path, metadata.
const Stripe = require("stripe");
const { Retell } = require("retell-sdk");
const rows = JSON.parse(process.env.ROWS);
const stripe = new Stripe("sk_test_x", { host: "api.test", maxNetworkRetries: 2, timeout: 20000 });
const retell = new Retell({ apiKey: "key_x", baseURL: "https://api.test" });
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
};

const told = (error) => [error.constructor.name, error.code].filter(Boolean).join(" ");
const work = Object.entries(rows).flatMap(([provider, names]) =>
  names.map(async (row) => [`${provider} ${row}`, await call[provider](row).catch(told)]),
);
Promise.all(work).then((all) => process.stdout.write(JSON.stringify(Object.fromEntries(all))));
