// The form as a request, as a curl command, and as settings that are remembered.
import { $ } from "./dom.js";

const SETTINGS = "understory.settings";
const NUMBERS = ["max_tokens", "temperature", "top_k", "top_p", "min_p", "repetition_penalty", "speculation_nodes"];
const REMEMBERED = [...NUMBERS, "seed", "stop", "system", "prompt"];
const DEFAULTS = { max_tokens: "256", temperature: "0", prompt: "class Stack:\n    def __init__(self):" };

/** The request that the form describes: { path, body }. A seed that was left open is drawn here, so that the same can be run again. */
export function read(form, turns) {
  const chat = form.elements.kind.value === "chat";
  const body = {};
  if (chat) {
    const system = form.elements.system.value;
    body.messages = [
      ...(system ? [{ role: "system", content: system }] : []),
      ...turns,
      { role: "user", content: form.elements.prompt.value },
    ];
  } else {
    body.prompt = form.elements.prompt.value;
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
  const settings = {
    kind: form.elements.kind.value,
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
  let settings = DEFAULTS;
  try {
    settings = { ...DEFAULTS, ...JSON.parse(localStorage.getItem(SETTINGS) ?? "{}") };
  } catch {
    // As above, or somebody else's text under our name.
  }
  for (const name of REMEMBERED) form.elements[name].value = settings[name] ?? "";
  for (const name of ["kind", "speculation"]) {
    const radio = form.querySelector(`input[name="${name}"][value="${CSS.escape(settings[name] ?? "")}"]`);
    if (radio) radio.checked = true;
  }
  if (settings.other) $("other").value = settings.other;
  form.elements.ignore_eos.checked = settings.ignore_eos === true;
}

/** Leaves of the modes those that the server has, and shows what it takes where a field is left open. @param props The answer of /props. */
export function offer(form, { speculation, default_generation_settings: { params } }) {
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
