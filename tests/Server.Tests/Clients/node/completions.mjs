// Drives a running server with the official client: node completions.mjs http://127.0.0.1:PORT/v1
// Prints one JSON object for the test that started it.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "unused", maxRetries: 0 });
const request = { model: "understory-demo", prompt: "def add(a, b):\n    # é 😀\n", max_tokens: 24, seed: 5, temperature: 0.9 };

const plain = await client.completions.create(request);

let streamed = "";
let reason = null;
let usage = null;
for await (const chunk of await client.completions.create({ ...request, stream: true, stream_options: { include_usage: true } })) {
  streamed += chunk.choices[0]?.text ?? "";
  reason = chunk.choices[0]?.finish_reason ?? reason;
  usage = chunk.usage ?? usage;
}

const chat = await client.chat.completions.create({
  model: "understory-demo", messages: [{ role: "user", content: "hello" }], max_tokens: 8, seed: 5 });
let chatStreamed = "";
for await (const chunk of await client.chat.completions.create({
  model: "understory-demo", messages: [{ role: "user", content: "hello" }], max_tokens: 8, seed: 5, stream: true })) {
  chatStreamed += chunk.choices[0]?.delta?.content ?? "";
}

// Extensions in the chunks pass through the client untouched.
let events = "";
for await (const chunk of await client.completions.create({ ...request, stream: true, speculation_events: true })) {
  events += chunk.speculation?.tokens.map((token) => token.text).join("") ?? "";
}

const vectors = await client.embeddings.create({ model: "understory-demo", input: ["import os", "x"] });
const numbers = await client.embeddings.create({ model: "understory-demo", input: "import os", encoding_format: "float" });
const echoed = await client.completions.create({ ...request, max_tokens: 0, echo: true, logprobs: 1 });
const best = await client.completions.create({ ...request, n: 2, best_of: 4 });
const model = await client.models.retrieve("understory-demo");

let refusal = null;
try {
  await client.completions.create({ ...request, max_tokens: -2 });
} catch (error) {
  refusal = { status: error.status, param: error.param, name: error.constructor.name };
}

// Hours of work, if it were not abandoned.
const abandoned = await client.completions.create({
  ...request, prompt: Array(128).fill("x"), max_tokens: 1000, n: 8, ignore_eos: true, stream: true });
for await (const chunk of abandoned) {
  abandoned.controller.abort();
  break;
}
const next = await client.completions.create({ ...request, max_tokens: 1 });

console.log(JSON.stringify({
  plain: plain.choices[0].text, streamed, events, reason, plainReason: plain.choices[0].finish_reason,
  usage: usage.completion_tokens, plainUsage: plain.usage.completion_tokens, timings: plain.timings.target_passes,
  vectors: vectors.data.map((item) => item.embedding), numbers: numbers.data[0].embedding, embedded: vectors.usage.prompt_tokens,
  echoed: echoed.choices[0], bestChoices: best.choices.length, bestUsage: best.usage.completion_tokens, model: model.id,
  chat: chat.choices[0].message.content, chatStreamed, refusal, next: next.usage.completion_tokens,
}));
