// What goes to the server and comes back. All addresses are relative: the page works below a path prefix too.

/** An answer that is an error: OpenAI's error object, with its status. */
export class ApiError extends Error {
  constructor(status, error, retryAfter) {
    super(error?.message ?? `The server answered with status ${status}.`);
    this.status = status;
    this.param = error?.param ?? null;
    this.code = error?.code ?? null;
    this.retryAfter = retryAfter;
  }
}

/** The connection broke, or could not be made. */
export class Disconnected extends Error {}

const KEY = "understory.key";

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

function headers(more = {}) {
  const value = key.get();
  return value ? { ...more, Authorization: `Bearer ${value}` } : more;
}

async function errorOf(response) {
  let error = null;
  try {
    error = (await response.json()).error;
  } catch {
    // Not ours: a proxy's page, perhaps. The status says enough.
  }
  const after = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  return new ApiError(response.status, error, Number.isFinite(after) ? after : null);
}

/** GET; the response whatever its status. */
export async function get(path, signal) {
  try {
    return await fetch(path, { headers: headers(), signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Disconnected("The server does not answer.");
  }
}

/** How many tokens a text is; where the server does not say, a guess. */
export async function countTokens(text, signal) {
  try {
    const response = await fetch("tokenize", {
      method: "POST",
      headers: headers({ "Content-Type": "application/json" }),
      body: JSON.stringify({ text }),
      signal,
    });
    return (await response.json()).tokens.length;
  } catch {
    return Math.ceil(text.length / 3);
  }
}

/**
 * Posts a request of a stream and gives its chunks one by one.
 * Throws ApiError, in mid-stream too; Disconnected where the stream ends without its [DONE]; AbortError after the signal.
 */
export async function* stream(path, body, signal) {
  let response;
  try {
    response = await fetch(path, { method: "POST", headers: headers({ "Content-Type": "application/json" }), body, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Disconnected("The server does not answer.");
  }
  if (!response.ok) throw await errorOf(response);

  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) {
        if (!event.startsWith("data: ")) continue;
        if (event === "data: [DONE]") return;
        const chunk = JSON.parse(event.slice("data: ".length));
        if (chunk.error) throw new ApiError(500, chunk.error, null);
        yield chunk;
      }
    }
  } catch (error) {
    if (error.name === "AbortError" || error instanceof ApiError) throw error;
    throw new Disconnected("The connection broke in the middle of the answer.");
  }
  throw new Disconnected("The connection broke in the middle of the answer.");
}
