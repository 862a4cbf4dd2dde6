// Drives a running server with Anthropic's official client: node messages.mjs http://127.0.0.1:PORT
// Prints one JSON object for the test that started it.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: process.argv[2], apiKey: "unused", maxRetries: 0 });
const request = {
  model: "understory-demo", system: [{ type: "text", text: "You write Python.", cache_control: { type: "ephemeral" } }], max_tokens: 24, seed: 5,
  temperature: 0.9, messages: [{ role: "user", content: "def add(a, b):\n    # é 😀\n" }] };

const plain = await client.messages.create(request);

let text = "";
const types = [];
for await (const event of await client.messages.create({ ...request, stream: true })) {
  types.push(event.type);
  text += event.delta?.text ?? "";
}

// The client's own accumulator follows the events, and throws on any that does not fit.
const final = await client.messages.stream(request).finalMessage();
const count = await client.messages.countTokens({ model: request.model, system: request.system, messages: request.messages });

// A stop sequence that the text is known to hold.
const whole = plain.content[0].text;
const stop = whole.slice(-3);
const stopped = await client.messages.create({ ...request, stop_sequences: [stop] });

let refusal = null;
try {
  await client.messages.create({ ...request, max_tokens: -1 });
} catch (error) {
  refusal = { status: error.status, type: error.type, name: error.constructor.name, requestId: error.requestID };
}

const abandoned = await client.messages.create({ ...request, max_tokens: 1000, ignore_eos: true, stream: true });
for await (const event of abandoned) {
  abandoned.controller.abort();
  break;
}
const after = await client.messages.create({ ...request, max_tokens: 1 });

console.log(JSON.stringify({
  plain: whole, streamed: text, types, final: final.content[0].text, reason: plain.stop_reason, finalReason: final.stop_reason,
  usage: plain.usage.output_tokens, finalUsage: final.usage.output_tokens, input: plain.usage.input_tokens + plain.usage.cache_read_input_tokens, count: count.input_tokens,
  stop, stoppedBy: stopped.stop_sequence, stoppedReason: stopped.stop_reason, stopped: stopped.content[0]?.text ?? "", refusal,
  requestId: plain._request_id, after: after.usage.output_tokens,
}));
