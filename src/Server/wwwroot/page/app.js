// Puts the parts together: the form starts runs, runs fill cards, cards and the tree point at each other.
import { $, copy, count, figure, h, reveal } from "./dom.js";
import { ApiError, countTokens, key } from "./api.js";
import { Run } from "./run.js";
import { Comparison } from "./comparison.js";
import { Conversation } from "./conversation.js";
import { ConversationView } from "./conversation-view.js";
import { RunView } from "./run-view.js";
import { TreePanel } from "./tree-panel.js";
import { ServerState } from "./server-state.js";
import { introduce } from "./introduction.js";
import { tellRound, tellVerdict } from "./verdict.js";
import * as request from "./request.js";
import * as problem from "./problem.js";

const form = $("form");
const conversation = new Conversation();
const chat = new ConversationView(conversation);
let views = [];
let running = null; // AbortController of what runs or waits
const server = new ServerState(askForKey, (props) => {
  request.offer(form, props);
  introduce(props);
  kindChanged();
});
const tree = new TreePanel((run, step, chosen) => views.forEach((view) => view.mark(view.run === run ? step : -1, chosen)));

request.recall(form);
$("key").value = key.get();
if (key.get()) $("key-box").hidden = false;
// A question that a reload cut off can be put again.
const cutOff = conversation.withdraw();
kindChanged();
if (cutOff && request.isChat(form) && !$("prompt").value) $("prompt").value = cutOff;
drawTheme();

form.addEventListener("submit", (event) => {
  event.preventDefault();
  void start();
});
form.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.isComposing) return;
  const sends = event.target === $("prompt") && request.isChat(form) && !event.shiftKey;
  if (sends || event.ctrlKey || event.metaKey) {
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
$("compare").addEventListener("click", () => void startComparison());
$("clear-chat").addEventListener("click", () => {
  conversation.clear();
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

/** Does something that takes a while, unless something else is being done. */
async function alone(action) {
  if (running) return;
  key.set($("key").value.trim());
  running = new AbortController();
  drawButtons();
  try {
    await action(running.signal);
  } finally {
    running = null;
    drawButtons();
  }
  void server.poll();
}

/** Runs what the form says. */
function start() {
  return alone(async (signal) => {
    const talks = request.isChat(form);
    if (talks && $("prompt").value.trim() === "") return;
    clearViews();
    if (talks) await converse(signal);
    else await perform(new Run(request.read(form, [])), signal);
    // It has grown since it was scrolled to; whoever has read on stays there.
    if (!talks && views.length > 0 && views[0].element.getBoundingClientRect().top > 0) reveal(views[0].element);
  });
}

/** Puts a question; its answer, whole or stopped, becomes part of the conversation. */
async function converse(signal) {
  const context = contextLength();
  const question = $("prompt").value;
  const wanted = Number.parseInt($("max_tokens").value, 10);
  conversation.ask(question, await countTokens(question, signal), context, Number.isFinite(wanted) ? wanted : null);
  setPrompt("");
  drawTurns();
  const run = new Run(request.read(form, conversation.messages));
  await perform(run, signal, {
    changed: () => {
      conversation.pending.answer = run.text;
      chat.update();
    },
    // Counted wrongly: the server knows better.
    shorter: () => conversation.leaveOut(context / 4) && request.read(form, conversation.messages),
  });
  if (run.state === "done" || (run.state === "stopped" && run.text !== "")) {
    conversation.answered(run.text, run.tokenCount, run.usage);
    drawTurns();
  } else {
    setPrompt(conversation.withdraw());
    drawTurns();
    if (!$("problem").hidden) reveal($("problem"));
  }
  drawCurl();
}

/** Runs the first run's request in its own mode and in the other, in turn, until enough is known. */
function startComparison() {
  if (views.length === 0) return;
  return alone(async (signal) => {
    const { run: first } = views[0];
    const modes = [first.mode, $("other").value];
    const comparison = new Comparison(first.text);
    clearViews();
    while (!comparison.enough) {
      const { turn } = comparison;
      tellRound(comparison.rounds + 1, modes[turn]);
      const run = new Run({ path: first.request.path, body: { ...first.request.body, speculation: modes[turn] } });
      await perform(run, signal, { place: turn });
      if (run.state !== "done") break;
      comparison.add(run);
    }
    // The cards show what is spoken of: the middle runs.
    const medians = [0, 1].filter((which) => comparison.runs[which].length > 0).map((which) => comparison.median(which));
    if (medians.length > 0) {
      clearViews();
      medians.forEach((run, i) => place(run, i));
      say(tellVerdict(comparison, modes));
      reveal($("verdict"));
    } else {
      $("verdict").hidden = true;
    }
  });
}

/**
 * Sends a run, again where the server was busy or loading; true when something came of it.
 * @param changed Called after every chunk. @param shorter Gives another request where this one is too long for the context, or false.
 * @param place Of its card.
 */
async function perform(run, signal, { changed = () => {}, shorter = () => false, place: at = views.length } = {}) {
  const view = place(run, at);
  if (!request.isChat(form)) reveal(at > 0 || views.length > 1 ? $("verdict") : view.element);
  say(`Running with speculation ${run.mode}.`);
  for (;;) {
    problem.hide();
    try {
      await run.go(signal, () => {
        changed();
        view.update();
        tree.update();
      });
      break;
    } catch (error) {
      if (error instanceof ApiError && error.code === "context_length_exceeded") {
        const request = shorter();
        if (request) {
          run.request = request;
          continue;
        }
      }
      if (error instanceof ApiError && error.status === 401) askForKey();
      if (await problem.show(error, server, signal)) continue;
      if (signal.aborted) problem.hide();
      break;
    }
  }
  view.update();
  tree.update();
  const came = run.text !== "" || run.state === "done";
  if (!came) dismiss(view);
  say(toldOf(run));
  return came;
}

/** Shows a run's card at a place: the first, the second. */
function place(run, at) {
  const view = new RunView(run, (chosen, step, detail) => tree.show(chosen, step, detail));
  if (views[at]) views[at].element.replaceWith(view.element);
  else $("runs").append(view.element);
  views[at] = view;
  $("empty").hidden = true;
  $("runs").dataset.count = views.length;
  tree.follow(views.map((each) => each.run));
  return view;
}

function clearViews() {
  views = [];
  $("runs").replaceChildren();
  $("verdict").hidden = true;
}

/** A run that came to nothing leaves no empty card. */
function dismiss(view) {
  view.element.remove();
  views = views.filter((each) => each !== view);
  $("runs").dataset.count = views.length;
  $("empty").hidden = views.length > 0 || !$("problem").hidden;
  tree.follow(views.map((each) => each.run));
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
  const asked = request.isChat(form) ? [...conversation.messages, { role: "user", content: $("prompt").value }] : [];
  const { path, body } = request.read(form, asked);
  if ($("seed").value.trim() === "") {
    const shown = views[0]?.run.request.body.seed;
    if (shown === undefined) delete body.seed;
    else body.seed = shown;
  }
  $("curl").textContent = request.curl({ path, body }, key.get() !== "");
}

function kindChanged() {
  request.turnTo(form);
  const talks = request.isChat(form);
  $("chat-only").hidden = !talks;
  $("prompt-label").textContent = talks ? "Message" : "Prompt";
  $("prompt").rows = talks ? 3 : 7;
  $("run").replaceChildren(talks ? "Send " : "Run ", h("kbd", { "aria-hidden": "true" }, talks ? "↵" : "Ctrl ↵"));
  if (talks) drawTurns();
  drawCurl();
}

function setPrompt(text) {
  $("prompt").value = text;
  request.remember(form);
}

function drawTurns() {
  chat.draw(contextLength());
}

/** Of the model; Infinity while that is not known. */
function contextLength() {
  return server.props?.default_generation_settings.n_ctx ?? Infinity;
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
