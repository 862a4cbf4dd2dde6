// Drives a running server with the official client's helpers for tools and structured outputs: node tools.mjs http://127.0.0.1:PORT/v1
// Prints one JSON object for the test that started it.
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "unused", maxRetries: 0 });
const messages = [{ role: "user", content: "Weather in Zürich?" }];
const request = { model: "understory-demo", messages, max_tokens: 120, seed: 5, temperature: 0.9 };

const Answer = z.object({ city: z.enum(["Bern", "Zürich"]), warm: z.boolean(), days: z.number().int().min(0).max(9) });
const parsed = await client.chat.completions.parse({ ...request, response_format: zodResponseFormat(Answer, "answer") });

const called = [];
const Weather = z.object({ city: z.enum(["Bern", "Zürich"]), celsius: z.boolean() });
const weather = zodFunction({
  name: "get_weather", parameters: Weather, description: "Current weather",
  function: (argument) => { called.push(argument); return "21"; },
});
const named = { type: "function", function: { name: "get_weather" } };
const runner = client.chat.completions.runTools({ ...request, tools: [weather], tool_choice: named });
await runner.done();

const plain = await client.chat.completions.parse({ ...request, tools: [weather], tool_choice: "required", parallel_tool_calls: false });
const stream = client.chat.completions.stream({ ...request, tools: [weather], tool_choice: "required", parallel_tool_calls: false });
let deltas = 0;
stream.on("tool_calls.function.arguments.delta", () => deltas++);
const streamed = await stream.finalChatCompletion();

const call = plain.choices[0].message.tool_calls[0];
const result = await client.chat.completions.create({
  ...request, max_tokens: 8, tools: [weather],
  messages: [...messages, plain.choices[0].message, { role: "tool", tool_call_id: call.id, content: "21" }],
});

let refusal = null;
try {
  await client.chat.completions.create({ ...request, response_format: { type: "json_schema", json_schema: { name: "a", schema: { type: "strng" } } } });
} catch (error) {
  refusal = { status: error.status, param: error.param, message: error.message };
}

console.log(JSON.stringify({
  parsed: parsed.choices[0].message.parsed, called,
  reason: plain.choices[0].finish_reason, plain: call.function, streamed: streamed.choices[0].message.tool_calls[0].function,
  streamedReason: streamed.choices[0].finish_reason, deltas, result: result.choices[0].finish_reason, refusal,
}));
