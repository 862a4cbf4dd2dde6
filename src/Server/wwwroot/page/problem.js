// Errors, shown where the result would be, with what can be done about them.
import { $, h, reveal } from "./dom.js";
import { ApiError, Disconnected } from "./api.js";

/** Shows an error; resolves to true when the same request should be sent again, to false when the visitor gives it up. */
export async function show(error, server, signal) {
  const box = $("problem");
  box.hidden = false;
  if (error instanceof ApiError && error.status === 429) return countDown(error, box, signal);
  if (error instanceof ApiError && error.code === "loading") return untilLoaded(server, box, signal);
  const title =
    error instanceof Disconnected ? "Connection lost" : error instanceof ApiError ? titleOf(error) : "Something went wrong in this page";
  fill(box, title, error.message);
  const field = error instanceof ApiError && error.param ? fieldOf(error.param) : null;
  if (field) point(field, error.message);
  else reveal(box);
  return false;
}

export function hide() {
  $("problem").hidden = true;
  $("problem").replaceChildren();
  for (const field of document.querySelectorAll('[aria-invalid="true"]')) {
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-describedby");
  }
  $("blame")?.remove();
}

function fill(box, title, text, ...more) {
  box.replaceChildren(h("h2", {}, title), h("p", {}, text), ...more);
}

function titleOf(error) {
  switch (error.status) {
    case 400:
    case 404:
    case 413:
    case 415:
    case 422:
      return "The server refuses this request";
    case 401:
    case 403:
      return "The server does not let you in";
    case 503:
      return "The server takes no requests now";
    case 504:
      return "It took too long";
    default:
      return `The server answered with an error (${error.status})`;
  }
}

/** The field that is to blame; null: it is none of the form's. */
function fieldOf(parameter) {
  const name = { messages: "prompt", max_completion_tokens: "max_tokens" }[parameter] ?? parameter;
  return document.querySelector(`#form [name="${CSS.escape(name)}"]`);
}

/** Marks it and says beside it what is wrong: the box may be out of sight from there. */
function point(field, message) {
  for (let box = field.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
  const blame = h("p", { id: "blame", class: "blame" }, message);
  field.after(blame);
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", "blame");
  field.focus({ preventScroll: true });
  blame.scrollIntoView({ block: "nearest" });
  field.scrollIntoView({ block: "nearest" });
}

/** Queue full: waits as long as the server said, then tries again. */
async function countDown(error, box, signal) {
  const left = h("b", { class: "left" });
  const seconds = error.retryAfter ?? 5;
  fill(box, "The queue is full", error.message, h("p", {}, "Trying again in ", left, "."));
  reveal(box);
  for (let second = seconds; second > 0; second--) {
    left.textContent = `${second} s`;
    await pause(1000, signal);
    if (signal.aborted) return false;
  }
  return true;
}

/** Still loading: shows the stage, and tries again once it is ready. */
async function untilLoaded(server, box, signal) {
  const stage = h("b", {}, server.stage ?? "…");
  fill(box, "The server is loading", "The request goes out as soon as it is ready.", h("p", {}, "Now: ", stage));
  reveal(box);
  for (;;) {
    await pause(300, signal);
    if (signal.aborted) return false;
    await server.poll();
    if (server.state === "ok") return true;
    stage.textContent = server.stage ?? server.state;
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}
