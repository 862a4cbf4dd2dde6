// Writes cases.jsonl: what npm's @huggingface/jinja makes of our templates here for some conversations.
// Run `npm install @huggingface/jinja@0.5.11` somewhere, then `NODE_PATH=.../node_modules TZ=UTC node make_cases.mjs`.

import fs from "node:fs";
import { createRequire } from "node:module";

const now = "2026-03-01T08:05:09";
const RealDate = Date;
globalThis.Date = class extends RealDate {
  constructor(...given) {
    super(...(given.length ? given : [now + "Z"]));
  }
};
const { Template } = createRequire(import.meta.url)("@huggingface/jinja");

const user = (content) => ({ role: "user", content });
const assistant = (content) => ({ role: "assistant", content });
const system = (content) => ({ role: "system", content });
const call = (name, args) => ({ type: "function", function: { name, arguments: args } });
const tools = [
  { type: "function", function: { name: "weather", description: "The weather <now> & \"then\"", parameters: { type: "object", properties: { city: { type: "string", enum: ["Köln", "東京"] }, days: { type: "integer", minimum: 1 } }, required: ["city"] } } },
  { name: "time", parameters: {} },
];
const conversations = {
  one: { messages: [user("Hello")] },
  "no prompt": { messages: [user("Hello"), assistant("Hi.")], add_generation_prompt: false },
  system: { messages: [system("  Be kind.\n"), user("a {{ b }} {% c %} {# d #}\n\n")] },
  "several turns": { messages: [system("S"), user("one"), assistant("two"), user("three"), assistant("four"), user("größe 木 😀")] },
  parts: { messages: [user([{ type: "text", text: "a" }, { type: "image", url: "x" }, { type: "text", text: "b" }])], only: "chatml" },
  "unknown role": { messages: [{ role: "ghost", content: "boo" }], only: "chatml" },
  tools: { messages: [user("Weather?")], tools },
  "empty tools": { messages: [user("Weather?")], tools: [] },
  "call and answer": { messages: [user("W?"), { role: "assistant", content: "", tool_calls: [call("weather", { city: "Köln", days: 2, at: [1, "x", true], how: { long: 1.5 } })] }, { role: "tool", content: "12 \"degrees\"" }, assistant("12.")], tools, only: "tools" },
  "two calls": { messages: [user("W?"), { role: "assistant", content: "", tool_calls: [call("time", {}), call("time", {})] }], tools, only: "tools" },
};

const folder = new URL(".", import.meta.url);
const lines = [];
for (const template of ["chatml", "tools"]) {
  const compiled = new Template(fs.readFileSync(new URL(`${template}.jinja`, folder), "utf8"));
  for (const [name, { only, ...given }] of Object.entries(conversations)) {
    if (only && only !== template) continue;
    const variables = { add_generation_prompt: true, ...given, bos_token: "<s>", eos_token: "</s>" };
    let outcome;
    try {
      outcome = { rendered: compiled.render(variables) };
    } catch (error) {
      outcome = { error: error.message };
    }
    lines.push(JSON.stringify({ template, name, now, ...variables, ...outcome }));
  }
}
fs.writeFileSync(new URL("cases.jsonl", folder), lines.join("\n") + "\n");
