// A run as a card: figures, acceptance, the strip of passes, and the tinted text.
import { count, figure, h, oncePerFrame, percent, s, stageName, visible } from "./dom.js";

const STRIP = 150; // passes in the strip
const LEAST_HEIGHT = 6; // tokens at the strip's full height, where no pass gave more
const ORDER = ["grammar", "prediction", "ngram", "draft"]; // as they come in a step

export class RunView {
  /** @param select (run, step index): a pass was chosen. */
  constructor(run, select) {
    this.run = run;
    this.select = select;
    this.shown = 0; // tokens in the text so far
    this.current = -1; // token under the keyboard
    this.marked = -1; // step that is marked
    this.drawnSteps = -1;
    this.speed = h("b", { class: "speed" }, "–");
    this.state = h("span", { class: "state" });
    this.figures = h("dl", { class: "figures" });
    this.acceptance = h("div", { class: "acceptance" });
    this.strip = s("svg", { class: "strip", "aria-hidden": "true", preserveAspectRatio: "none" });
    this.text = h("div", {
      class: "text mono",
      tabIndex: 0,
      role: "group",
      "aria-label": `Text, speculation ${run.mode}. Arrow keys go from token to token.`,
    });
    this.element = h(
      "article",
      { class: "card run", "aria-label": `Run with speculation ${run.mode}` },
      h(
        "header",
        {},
        h("h2", {}, h("span", { class: "mode mono" }, run.mode), this.state),
        h("p", { class: "rate" }, this.speed, " tok/s"),
      ),
      this.figures,
      this.acceptance,
      this.strip,
      this.text,
    );
    this.text.addEventListener("click", (event) => this.choose(indexOf(event.target)));
    this.text.addEventListener("pointerover", (event) => this.name(event.target));
    this.text.addEventListener("keydown", (event) => this.walk(event));
    this.strip.addEventListener("click", (event) => this.chooseInStrip(event));
    this.update = oncePerFrame(() => this.draw());
    this.draw();
  }

  draw() {
    const { run } = this;
    this.element.dataset.state = run.state;
    this.state.textContent = stateText(run);
    this.speed.textContent = figure(run.speed);
    const rows = [
      ["tokens", count(run.tokenCount)],
      ["passes", count(run.steps.length)],
      ["tokens per batch", figure(run.tokensPerBatch)],
      ["decoding", `${figure(run.timings?.predicted_ms ?? run.milliseconds)} ms`],
    ];
    this.figures.replaceChildren(...rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    this.drawAcceptance();
    this.drawText();
    if (this.drawnSteps !== run.steps.length) this.drawStrip();
  }

  drawAcceptance() {
    const rows = [...this.run.stages]
      .sort(([a], [b]) => ORDER.indexOf(a) - ORDER.indexOf(b))
      .map(([stage, { proposed, accepted }]) =>
        h(
          "div",
          { class: "stage" },
          h("span", { class: `token ${stage}` }, stageName(stage)),
          bar(stage, accepted / proposed),
          h("span", { class: "share" }, h("b", {}, percent(accepted / proposed)), ` ${count(accepted)} of ${count(proposed)} kept`),
        ),
      );
    if (rows.length === 0 && this.run.steps.length > 0) rows.push(h("p", { class: "note" }, "Nothing was guessed: one token per pass."));
    this.acceptance.replaceChildren(...rows);
  }

  drawText() {
    const { tokens } = this.run;
    if (this.shown === tokens.length) return;
    const atEnd = this.text.scrollHeight - this.text.scrollTop - this.text.clientHeight < 24;
    const added = document.createDocumentFragment();
    for (; this.shown < tokens.length; this.shown++) {
      const token = tokens[this.shown];
      const span = h("span", { class: `token ${token.stage}` }, token.text);
      if (token.text.includes("\n")) span.classList.add("breaks");
      span.dataset.i = this.shown;
      if (token.step === this.marked && this.marked >= 0) span.classList.add("marked");
      added.append(span);
    }
    this.text.append(added);
    if (atEnd) this.text.scrollTop = this.text.scrollHeight;
  }

  /** A bar per pass, as high as the tokens it gave, stacked by who proposed them. */
  drawStrip() {
    const { steps } = this.run;
    this.drawnSteps = steps.length;
    const from = Math.max(0, steps.length - STRIP);
    const width = Math.max(60, steps.length - from);
    const tallest = steps.slice(from).reduce((most, step) => Math.max(most, step.committed), LEAST_HEIGHT);
    this.strip.setAttribute("viewBox", `0 0 ${width} ${tallest}`);
    this.stripFrom = from;
    const bars = [];
    for (let i = from; i < steps.length; i++) {
      const kept = steps[i].tree.nodes.filter((node) => node.accepted);
      let y = tallest;
      for (const [stage, number] of [...runsOf(kept.map((node) => node.stage)), ["target", 1]]) {
        y -= number;
        bars.push(
          s("rect", {
            class: `bar ${stage}${i === this.marked ? " marked" : ""}`,
            x: i - from + 0.1,
            y,
            width: 0.8,
            height: number,
            "data-step": i,
          }),
        );
      }
    }
    this.strip.replaceChildren(...bars);
  }

  /** Marks the tokens of a pass; -1: of none. @param reveal Scrolls the text to them. */
  mark(step, reveal) {
    if (step === this.marked) return;
    for (const element of this.element.querySelectorAll(".marked")) element.classList.remove("marked");
    this.marked = step;
    for (const span of this.text.children) {
      if (step >= 0 && this.run.tokens[span.dataset.i].step === step) span.classList.add("marked");
    }
    const first = reveal ? this.text.querySelector(".marked:not(:empty)") : null;
    if (first) {
      // The text alone: scrollIntoView would move the page as well.
      const top = first.offsetTop; // the text is its offset parent
      if (top < this.text.scrollTop || top > this.text.scrollTop + this.text.clientHeight - 40)
        this.text.scrollTop = top - this.text.clientHeight / 2;
    }
    for (const rect of this.strip.querySelectorAll(`[data-step="${step}"]`)) rect.classList.add("marked");
  }

  choose(index) {
    if (index < 0 || index >= this.shown) return;
    this.current = index;
    const { step } = this.run.tokens[index];
    if (step >= 0) this.select(this.run, step, describe(this.run.tokens[index]));
  }

  walk(event) {
    const to = { ArrowRight: this.current + 1, ArrowLeft: this.current - 1, Home: 0, End: this.shown - 1 }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey || this.shown === 0) return;
    event.preventDefault();
    this.choose(Math.min(Math.max(to, 0), this.shown - 1));
    this.text.children[this.current].scrollIntoView({ block: "nearest" });
  }

  chooseInStrip(event) {
    const step = Number(event.target.dataset?.step ?? NaN);
    if (Number.isInteger(step)) this.select(this.run, step);
  }

  name(target) {
    const index = indexOf(target);
    if (index >= 0) target.title = describe(this.run.tokens[index]);
  }
}

const indexOf = (target) => Number(target.dataset?.i ?? -1);

function describe(token) {
  if (token.step < 0) return visible(token.text);
  const who = token.stage === "target" ? "decided by the target" : `proposed by the ${stageName(token.stage)}`;
  return `${visible(token.text)} · ${who} · probability ${percent(Math.exp(token.logprob))} · pass ${token.step + 1} · token ${token.id}`;
}

function bar(stage, share) {
  const svg = s(
    "svg",
    { class: "meter", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
    s("rect", { class: "ground", width: 100, height: 6 }),
  );
  if (share > 0) svg.append(s("rect", { class: `bar ${stage}`, width: Math.max(100 * share, 2), height: 6 }));
  return svg;
}

/** ["a", "a", "b"] as [["a", 2], ["b", 1]]. */
function runsOf(items) {
  const runs = [];
  for (const item of items) {
    if (runs.at(-1)?.[0] === item) runs.at(-1)[1]++;
    else runs.push([item, 1]);
  }
  return runs;
}

function stateText(run) {
  switch (run.state) {
    case "waiting":
      return "waiting";
    case "streaming":
      return "decoding";
    case "stopped":
      return "stopped by you";
    case "failed":
      return "broken off";
    default:
      return { stop: "ended by itself", length: "reached its length", tool_calls: "calls a tool" }[run.finish] ?? "done";
  }
}
