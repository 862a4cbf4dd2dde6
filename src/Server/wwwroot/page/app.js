// Puts the parts together: the form starts runs, runs fill cards, cards and the tree point at each other.
import { $, copy, count, figure, h } from "./dom.js";
import { ApiError, key } from "./api.js";
import { Run, compare } from "./run.js";
import { RunView } from "./run-view.js";
import { TreePanel } from "./tree-panel.js";
import { ServerState } from "./server-state.js";
import * as request from "./request.js";
import * as problem from "./problem.js";

const form = $("form");
const turns = []; // the conversation so far: { role, content }
let views = [];
let running = null; // AbortController of what runs or waits
const server = new ServerState(askForKey, (props) => {
  request.offer(form, props);
  drawCurl();
});
const tree = new TreePanel((run, step, chosen) => views.forEach((view) => view.mark(view.run === run ? step : -1, chosen)));

request.recall(form);
$("key").value = key.get();
if (key.get()) $("key-box").hidden = false;
kindChanged();
drawCurl();
drawTheme();

form.addEventListener("submit", (event) => {
  event.preventDefault();
  void start();
});
form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    void start();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") running?.abort();
});
form.addEventListener("input", () => {
  request.remember(form);
  drawCurl();
});
for (const radio of form.querySelectorAll('input[name="kind"]')) radio.addEventListener("change", kindChanged);
$("stop-run").addEventListener("click", () => running?.abort());
$("compare").addEventListener("click", () => void startOther());
$("clear-chat").addEventListener("click", () => {
  turns.length = 0;
  drawTurns();
  drawCurl();
  $("prompt").focus();
});
$("key").addEventListener("change", () => {
  key.set($("key").value.trim());
  drawCurl();
  void server.poll();
});
$("copy-curl").addEventListener("click", async () =>
  say((await copy($("curl").textContent)) ? "Copied." : "The browser does not let this page copy; select the text instead."),
);
$("theme").addEventListener("click", () => {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("understory.theme", theme);
  } catch {
    /* Not remembered then. */
  }
  drawTheme();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawTheme);

/** Runs what the form says. */
async function start() {
  if (running) return;
  key.set($("key").value.trim());
  const run = new Run(request.read(form, turns));
  views.forEach((view) => view.element.remove());
  views = [];
  $("verdict").hidden = true;
  if (!(await perform(run))) return;
  if (run.request.body.messages && run.state === "done") {
    turns.push(run.request.body.messages.at(-1), { role: "assistant", content: run.text });
    drawTurns();
    $("prompt").value = "";
  }
}

/** Runs the first run's request once more, with the other mode, beside it. */
async function startOther() {
  if (running || views.length === 0) return;
  const first = views[0].run;
  views.splice(1).forEach((view) => view.element.remove());
  $("verdict").hidden = true;
  const second = new Run({ path: first.request.path, body: { ...first.request.body, speculation: $("other").value } });
  if (await perform(second)) drawVerdict(first, second);
}

/** Sends a run, again where the server was busy or loading; true when something came of it. */
async function perform(run) {
  running = new AbortController();
  const { signal } = running;
  const view = new RunView(run, (chosen, step, detail) => tree.show(chosen, step, detail));
  views.push(view);
  $("empty").hidden = true;
  $("runs").append(view.element);
  $("runs").dataset.count = views.length;
  tree.follow(views.map((each) => each.run));
  drawButtons();
  say(`Running with speculation ${run.mode}.`);
  try {
    for (;;) {
      problem.hide();
      try {
        await run.go(signal, () => {
          view.update();
          tree.update();
        });
        break;
      } catch (error) {
        if (error instanceof ApiError && error.status === 401) askForKey();
        if (await problem.show(error, server, signal)) continue;
        if (signal.aborted) problem.hide();
        break;
      }
    }
  } finally {
    running = null;
    view.update();
    tree.update();
    if (run.text === "" && run.state !== "done") dismiss(view);
    drawButtons();
  }
  void server.poll();
  say(toldOf(run));
  return run.text !== "" || run.state === "done";
}

/** A run that came to nothing leaves no empty card. */
function dismiss(view) {
  view.element.remove();
  views = views.filter((each) => each !== view);
  $("runs").dataset.count = views.length;
  $("empty").hidden = views.length > 0 || !$("problem").hidden;
  tree.follow(views.map((each) => each.run));
}

function drawVerdict(first, second) {
  const { same, brief, alike, partial, bytes, fast, ratio } = compare(first, second);
  const all = bytes === 1 ? "1 byte" : `${count(bytes)} bytes`;
  const equal = !same ? `Different bytes after the first ${count(bytes)}` : partial ? "Same bytes as far as both went" : "Same bytes";
  // The mode that speculates is the one to judge; where both do, the first.
  const judged = first.mode === "off" ? second : first;
  const other = judged === first ? second : first;
  const speed =
    brief || !Number.isFinite(ratio)
      ? "too short to time"
      : alike
        ? "same work"
        : ratio < 1.02
          ? "equally fast"
          : `${ratio.toFixed(2)} × ${fast === judged ? "faster" : "slower"}`;
  const box = $("verdict");
  box.hidden = false;
  box.dataset.same = same;
  box.dataset.faster = !brief && !alike && fast === judged && ratio >= 1.02;
  box.replaceChildren(
    h("p", { class: "headline" }, h("span", { class: "same" }, equal), ", ", h("span", { class: "times" }, speed)),
    h(
      "p",
      { class: "note" },
      `${judged.mode} against ${other.mode}, seed ${first.seed}: ` +
        `${figure(judged.speed)} and ${figure(other.speed)} tokens per second of decoding${same ? `; ${all} of text compared` : ""}. ` +
        `${alike ? "Neither guessed anything: the difference is the machine's." : "One run each."}`,
    ),
  );
  say(`${equal}. ${judged.mode} against ${other.mode}: ${speed}.`);
}

function toldOf(run) {
  if (run.text === "" && run.state !== "done") return "";
  const start = run.state === "done" ? "Finished" : run.state === "stopped" ? "Stopped" : "Broken off";
  return `${start}: ${count(run.tokenCount)} tokens, ${figure(run.speed)} per second, ${figure(run.tokensPerBatch)} per batch.`;
}

function drawButtons() {
  $("run").disabled = running !== null;
  $("stop-run").disabled = running === null;
  $("compare").disabled = running !== null || views.length === 0;
  form.setAttribute("aria-busy", String(running !== null));
}

function drawCurl() {
  const { path, body } = request.read(form, turns);
  if ($("seed").value.trim() === "") {
    const shown = views[0]?.run.request.body.seed;
    if (shown === undefined) delete body.seed;
    else body.seed = shown;
  }
  $("curl").textContent = request.curl({ path, body }, key.get() !== "");
}

function kindChanged() {
  const chat = form.elements.kind.value === "chat";
  $("chat-only").hidden = !chat;
  $("prompt-label").textContent = chat ? "Message" : "Prompt";
}

function drawTurns() {
  $("turns").replaceChildren(
    ...turns.map((turn) => h("li", { class: turn.role }, h("b", {}, turn.role), h("p", { class: "mono" }, turn.content))),
  );
  $("clear-chat").hidden = turns.length === 0;
}

function askForKey() {
  if (!$("key-box").hidden) return;
  $("key-box").hidden = false;
  say("This server asks for an API key.");
}

function isDark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function drawTheme() {
  $("theme").setAttribute("aria-pressed", String(isDark()));
}

/** For those who do not see the page: what has happened, never the text as it streams. */
function say(text) {
  $("say").textContent = text;
}
