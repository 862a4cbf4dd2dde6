// Drives a running server with OpenAI's official client: node responses.mjs http://127.0.0.1:PORT/v1
// Prints one JSON object for the test that started it.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "unused", maxRetries: 0 });
const request = {
  model: "understory-demo", instructions: "You write Python.", input: "def add(a, b):\n    # é 😀\n", max_output_tokens: 24, seed: 5, temperature: 0.9 };

const plain = await client.responses.create(request);

let text = "";
const types = [];
let last = null;
for await (const event of await client.responses.create({ ...request, stream: true })) {
  types.push(event.type);
  if (event.type === "response.output_text.delta") {
    text += event.delta;
  }
  last = event.response ?? last;
}

// The client's own accumulator follows the events, and complains of any that does not fit.
const stream = client.responses.stream(request);
const final = await stream.finalResponse();

// The conversation goes on with the items that the server gave.
const next = await client.responses.create({
  ...request, input: [{ role: "user", content: request.input }, ...plain.output, { role: "user", content: "More." }], max_output_tokens: 4 });

// An answer held to a schema, read by the client itself.
const schema = { type: "object", properties: { kind: { enum: ["int", "str"] }, nullable: { type: "boolean" } }, required: ["kind", "nullable"], additionalProperties: false };
const parsed = await client.responses.parse({
  ...request, max_output_tokens: 100, text: { format: { type: "json_schema", name: "type_of_argument", strict: true, schema } } });

const refused = async (call) => {
  try {
    await call();
    return null;
  } catch (error) {
    return { status: error.status, param: error.param, name: error.constructor.name };
  }
};
const refusal = await refused(() => client.responses.create({ ...request, previous_response_id: plain.id }));
const missing = await refused(() => client.responses.retrieve(plain.id));

const abandoned = await client.responses.create({ ...request, max_output_tokens: 1000, ignore_eos: true, stream: true });
for await (const event of abandoned) {
  abandoned.controller.abort();
  break;
}
const after = await client.responses.create({ ...request, max_output_tokens: 1 });

console.log(JSON.stringify({
  plain: plain.output_text, streamed: text, types, last: last.output_text ?? last.output[0].content[0].text, final: final.output_text,
  status: plain.status, finalStatus: final.status, usage: plain.usage.output_tokens, finalUsage: final.usage.output_tokens,
  timings: plain.timings.target_passes, next: next.usage.output_tokens, refusal, missing, parsed: parsed.output_parsed, after: after.usage.output_tokens,
}));
