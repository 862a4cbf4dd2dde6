// What runs here, at the head of the page; and where the demo runs, what to do for more.
import { $, copy, count, figure, h } from "./dom.js";

const abilities = { chat: "chats", tools: "calls tools", thinking: "thinks before it answers", infill: "fills in the middle" };

/** @param props The answer of /props. */
export function introduce(props) {
  $("model-name").textContent = props.model_alias;
  $("model-size").textContent = `${large(props.parameters)} parameters`;
  $("model-context").textContent = `context of ${count(props.default_generation_settings.n_ctx)}`;
  const can = props.abilities.map((ability) => abilities[ability]).filter(Boolean);
  $("model-abilities").textContent = (props.abilities.includes("chat") ? can : ["completes text", ...can]).join(", ");
  $("model-kernels").textContent = props.kernels;
  $("demo").hidden = !props.demo;
  if (!props.demo) return;
  $("demo-about").textContent = props.demo.about;
  $("demo-models").replaceChildren(...props.demo.suggestions.map(suggestion));
  $("demo-more").hidden = props.demo.suggestions.length === 0;
}

function suggestion({ parameters, bytes, memory_bytes, command }) {
  const button = h("button", { type: "button", class: "quiet small", "aria-label": `Copy: ${command}` }, "Copy");
  button.addEventListener("click", async () => {
    button.textContent = (await copy(command)) ? "Copied" : "Select it";
  });
  return h(
    "li",
    {},
    h("p", {}, `${large(parameters)} parameters, ${gigabytes(bytes)} to fetch, ${gigabytes(memory_bytes)} of memory`),
    h("p", { class: "command" }, h("code", { class: "mono" }, command), button),
  );
}

const large = (number) =>
  number >= 1e9 ? `${figure(number / 1e9)} billion` : number >= 1e6 ? `${figure(number / 1e6)} million` : count(number);

const gigabytes = (bytes) => `${figure(bytes / 1e9)} GB`;
