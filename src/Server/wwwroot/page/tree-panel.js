// The card around the drawing: which run, which pass, what it did.
import { $, count, figure, h, oncePerFrame } from "./dom.js";
import { drawTree } from "./tree.js";

const HINT = "Point at a token, or walk through the tree with the arrow keys.";

export class TreePanel {
  /** @param marked (run, step, chosen): this pass is shown now; chosen by the visitor, or as the latest. */
  constructor(marked) {
    this.marked = marked;
    this.runs = [];
    this.run = null;
    this.at = -1;
    this.following = true;
    this.update = oncePerFrame(() => this.draw());
    $("step").addEventListener("input", () => this.show(this.run, Number($("step").value) - 1));
    $("step-back").addEventListener("click", () => this.show(this.run, this.at - 1));
    $("step-on").addEventListener("click", () => this.show(this.run, this.at + 1));
  }

  /** Takes up runs; the newest is followed. */
  follow(runs) {
    this.runs = runs;
    this.run = runs.at(-1) ?? null;
    this.following = true;
    this.at = -1;
    this.drawn = null;
    $("tree-runs").hidden = runs.length < 2;
    $("tree-runs").replaceChildren(
      ...runs.map((run) => {
        const button = h("button", { type: "button" }, run.mode);
        button.addEventListener("click", () => this.show(run, run.steps.length - 1));
        return button;
      }),
    );
    this.update();
  }

  /** Shows a pass and stays there. */
  show(run, step, detail = "") {
    if (!run || run.steps.length === 0) return;
    this.run = run;
    this.following = false;
    this.at = Math.min(Math.max(step, 0), run.steps.length - 1);
    this.draw();
    $("tree-detail").textContent = detail || HINT;
  }

  draw() {
    // While something runs it is followed; at the end, what has a tree is worth more than what has none.
    if (this.following)
      this.run = this.runs.at(-1)?.ended
        ? this.runs.reduce((most, run) => (run.guesses > most.guesses ? run : most))
        : (this.runs.at(-1) ?? null);
    const { run } = this;
    $("tree-card").hidden = !run || run.steps.length === 0;
    if (!run || run.steps.length === 0) return;
    // The last pass of a text is often cut short; the one with the richest tree is worth looking at first.
    if (this.following) this.at = run.ended ? richest(run) : run.steps.length - 1;
    const step = run.steps[this.at];
    const slider = $("step");
    slider.max = run.steps.length;
    slider.value = this.at + 1;
    slider.setAttribute("aria-valuetext", `pass ${this.at + 1} of ${run.steps.length}`);
    $("step-back").disabled = this.at === 0;
    $("step-on").disabled = this.at === run.steps.length - 1;
    $("tree-title").textContent = `Tree of pass ${count(this.at + 1)} of ${count(run.steps.length)}`;
    for (const [i, button] of [...$("tree-runs").children].entries()) button.setAttribute("aria-pressed", String(this.runs[i] === run));
    if (this.drawn === step) return;
    this.drawn = step;
    $("tree-sum").textContent = summary(step);
    $("tree-detail").textContent = HINT;
    $("tree-view").replaceChildren(
      drawTree(step, (text) => {
        $("tree-detail").textContent = text || HINT;
      }),
    );
    this.marked(run, this.at, !this.following);
  }
}

/** The pass that accepted most; of equals the one that tried most. */
function richest(run) {
  let best = 0;
  run.steps.forEach((step, i) => {
    const most = run.steps[best];
    if (step.committed > most.committed || (step.committed === most.committed && step.rows > most.rows)) best = i;
  });
  return best;
}

function summary(step) {
  const guesses = step.rows - 1;
  const kept =
    guesses === 0
      ? "no guesses, 1 token"
      : `${step.committed - 1} of ${guesses} ${guesses === 1 ? "guess" : "guesses"} kept, and 1 token of the target's own`;
  const draft = step.draft_passes > 0 ? `, draft ${figure(step.draft_ms)}` : "";
  return `${kept} · ${figure(step.ms)} ms: target ${figure(step.target_ms)}${draft}`;
}
