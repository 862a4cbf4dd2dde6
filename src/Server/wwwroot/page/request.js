// The form as a request, as a curl command, and as settings that are remembered.
import { $ } from "./dom.js";

const SETTINGS = "understory.form";
const NUMBERS = ["max_tokens", "temperature", "top_k", "top_p", "min_p", "repetition_penalty", "speculation_nodes"];
const REMEMBERED = [...NUMBERS, "seed", "stop", "system"];

/** A completion's own default, 16 tokens, is too short to see anything by. */
const COMPLETION_TOKENS = 256;

/** What stands in the prompt's place on either tab, and which is open. */
const prompts = { completion: "class Stack:\n    def __init__(self):", chat: "" };
let open = "completion";

export const isChat = (form) => form.elements.kind.value === "chat";

/**
 * The request that the form describes: { path, body }. A seed that was left open is drawn here, so that the same can be run again; of the
 * rest only what somebody filled in is sent.
 * @param messages Of a chat, less the system text.
 */
export function read(form, messages) {
  const chat = isChat(form);
  const body = {};
  if (chat) {
    const system = form.elements.system.value;
    body.messages = [...(system ? [{ role: "system", content: system }] : []), ...messages];
  } else {
    body.prompt = form.elements.prompt.value;
    body.max_tokens = COMPLETION_TOKENS;
  }
  for (const name of NUMBERS) {
    const input = form.elements[name];
    // What is no number goes out as it is: the server's refusal names it better than we could.
    if (input.value.trim() !== "") body[name] = Number.isFinite(Number(input.value)) ? Number(input.value) : input.value;
    else if (input.validity.badInput) body[name] = "not a number";
  }
  body.seed = seed(form.elements.seed.value.trim());
  const stop = form.elements.stop.value.split("\n").filter((line) => line !== "");
  if (stop.length) body.stop = stop;
  if (form.elements.ignore_eos.checked) body.ignore_eos = true;
  body.speculation = form.elements.speculation.value;
  return { path: chat ? "v1/chat/completions" : "v1/completions", body };
}

function seed(text) {
  if (text === "") return crypto.getRandomValues(new Uint32Array(1))[0];
  if (!/^-?\d+$/.test(text)) return text;
  // Seeds have 64 bits, numbers here 53.
  return Number.isSafeInteger(Number(text)) || !JSON.rawJSON ? Number(text) : JSON.rawJSON(text);
}

/** A command line for a POSIX shell that does the same. */
export function curl(request, withKey) {
  const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const key = withKey ? ` \\\n  -H "Authorization: Bearer $UNDERSTORY_API_KEY"` : "";
  const address = new URL(request.path, document.baseURI).href;
  const body = JSON.stringify({ ...request.body, stream: true }, null, 1).replace(/\n */g, " ");
  return `curl -N ${quote(address)} \\\n  -H 'Content-Type: application/json'${key} \\\n  -d ${quote(body)}`;
}

export function remember(form) {
  prompts[open] = form.elements.prompt.value;
  const settings = {
    prompts,
    kind: form.elements.kind.value,
    model: form.dataset.model ?? null,
    speculation: form.elements.speculation.value,
    other: $("other").value,
    ignore_eos: form.elements.ignore_eos.checked,
  };
  for (const name of REMEMBERED) settings[name] = form.elements[name].value;
  try {
    localStorage.setItem(SETTINGS, JSON.stringify(settings));
  } catch {
    // No storage, or none left: nothing is remembered.
  }
}

export function recall(form) {
  let settings = {};
  try {
    settings = JSON.parse(localStorage.getItem(SETTINGS) ?? "{}") ?? {};
  } catch {
    // As above, or somebody else's text under our name.
  }
  Object.assign(prompts, settings.prompts);
  for (const name of REMEMBERED) form.elements[name].value = settings[name] ?? "";
  for (const name of ["kind", "speculation"]) check(form, name, settings[name] ?? "");
  open = form.elements.kind.value;
  form.elements.prompt.value = prompts[open];
  if (settings.model) form.dataset.model = settings.model;
  if (settings.other) $("other").value = settings.other;
  form.elements.ignore_eos.checked = settings.ignore_eos === true;
}

/** Puts into the prompt's place what stood there on the tab that is open now. */
export function turnTo(form) {
  prompts[open] = form.elements.prompt.value;
  open = form.elements.kind.value;
  form.elements.prompt.value = prompts[open];
  form.elements.max_tokens.placeholder = isChat(form) ? "until it ends" : COMPLETION_TOKENS;
}

function check(form, name, value) {
  const radio = form.querySelector(`input[name="${name}"][value="${CSS.escape(value)}"]`);
  if (radio) radio.checked = true;
}

/**
 * Fits the form to what is served: the tab that it is made for, where this visitor has not chosen one for it; of the modes those that there
 * are; and what is taken where a field is left open. @param props The answer of /props.
 */
export function offer(form, { abilities, model_alias, speculation, default_generation_settings: { params } }) {
  if (form.dataset.model !== model_alias) {
    form.dataset.model = model_alias;
    check(form, "kind", abilities.includes("chat") ? "chat" : "completion");
  }
  for (const control of [...form.querySelectorAll('input[name="speculation"]'), ...$("other").options]) {
    control.disabled = !speculation.modes.includes(control.value);
    control.closest("label")?.classList.toggle("absent", control.disabled);
  }
  if (form.querySelector('input[name="speculation"]:checked')?.disabled) form.elements.speculation.value = speculation.default;
  if ($("other").selectedOptions[0]?.disabled) $("other").value = "off";
  form.elements.temperature.placeholder = params.temperature;
  form.elements.top_k.placeholder = params.top_k || "all";
  form.elements.top_p.placeholder = params.top_p;
  form.elements.min_p.placeholder = params.min_p;
  form.elements.repetition_penalty.placeholder = params.repeat_penalty;
}
