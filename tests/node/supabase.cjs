// supabase-js against the stand-in: prints what each call came to, as JSON.
const { createClient } = require("@supabase/supabase-js");
const { SUPABASE_URL, SUPABASE_KEY } = process.env;
// Node 20 has no WebSocket, and nothing here listens to changes.
const realtime = typeof WebSocket === "undefined" ? { transport: class {} } : {};
const api = createClient(SUPABASE_URL, SUPABASE_KEY, { auth: { persistSession: false }, realtime });
const told = {};

async function tell(name, query) {
  const { data, error, count, status } = await query;
  told[name] = { data, error: error && error.code, count, status };
}

(async () => {
  await tell("select", api.from("calls").select("id,businesses(name)", { count: "exact" }).eq("state", "done").order("id"));
  await tell("page", api.from("calls").select("id").in("id", [1, 2, 3]).order("id", { ascending: false }).limit(2));
  await tell("range", api.from("calls").select("id").order("id").range(1, 2));
  await tell("head", api.from("calls").select("*", { count: "exact", head: true }));
  await tell("json", api.from("businesses").select("settings->hours->>mon").eq("settings->hours->>mon", "9-5"));
  await tell("single", api.from("businesses").select("name").eq("id", 1).single());
  await tell("no single", api.from("businesses").select("name").eq("id", 99).single());
  await tell("maybe", api.from("businesses").select("name").eq("id", 99).maybeSingle());
  await tell("insert", api.from("tags").insert({ label: "vip" }));
  await tell("insert select", api.from("tags").insert([{ label: "x" }, { label: "y" }]).select("id,label"));
  await tell("insert single", api.from("tags").insert({ label: "z" }).select().single());
  await tell("duplicate", api.from("businesses").insert({ name: "Anna's" }));
  await tell("update", api.from("tags").update({ label: "new" }).eq("id", 1).select());
  await tell("upsert", api.from("businesses").upsert({ name: "Anna's", settings: {} }, { onConflict: "name" }).select("id"));
  await tell("ignored", api.from("businesses").upsert({ id: 1, name: "C" }, { ignoreDuplicates: true }).select());
  await tell("delete", api.from("tags").delete({ count: "exact" }).eq("label", "y"));
  await tell("delete all", api.from("tags").delete());
  await tell("rpc", api.rpc("add", { a: 2, b: 40 }));
  await tell("rpc rows", api.rpc("long_calls", { shortest: 31 }).select("id"));
  await tell("rpc void", api.rpc("forget"));
  await tell("or", api.from("calls").select("id").or("seconds.gt.50,state.eq.new").order("id"));
  await tell("no table", api.from("nothing").select());
  process.stdout.write(JSON.stringify(told));
})();
