// One request and what came of it: text, tokens, steps and figures. Knows nothing of how it is shown.
import { stream } from "./api.js";

export class Run {
  /** @param request { path, body }: where to post what. */
  constructor(request) {
    this.request = request;
    this.mode = request.body.speculation;
    this.seed = request.body.seed?.rawJSON ?? request.body.seed; // as text where 53 bits are too few
    this.state = "waiting"; // waiting, streaming, done, stopped, failed
    this.text = "";
    this.tokens = []; // { id, text, stage, logprob, step: index into steps, end: no more of it will come }
    this.steps = [];
    this.stages = new Map(); // stage -> { proposed, accepted }
    this.committed = 0;
    this.milliseconds = 0;
    this.timings = null;
    this.usage = null;
    this.finish = null;
  }

  /** Runs it; calls changed() after every chunk. Throws what the stream throws. */
  async go(signal, changed) {
    try {
      for await (const chunk of stream(
        this.request.path,
        JSON.stringify({ ...this.request.body, stream: true, speculation_events: true }),
        signal,
      )) {
        this.take(chunk);
        changed();
      }
      this.state = "done";
    } catch (error) {
      this.state = error.name === "AbortError" ? "stopped" : "failed";
      if (this.state === "failed") throw error;
    } finally {
      changed();
    }
  }

  take(chunk) {
    this.state = "streaming";
    const choice = chunk.choices[0];
    const text = choice?.text ?? choice?.delta?.content ?? "";
    this.text += text;
    this.finish = choice?.finish_reason ?? this.finish;
    this.timings = chunk.timings ?? this.timings;
    this.usage = chunk.usage ?? this.usage;
    if (chunk.speculation) this.takeStep(chunk.speculation);
    // A proxy may have dropped the extension: the text is shown all the same.
    else if (text) this.tokens.push({ text, stage: "plain", step: -1 });
  }

  takeStep(step) {
    const index = this.steps.push(step) - 1;
    for (const token of step.tokens) {
      if (token.continued) {
        this.tokens.push({ ...token, step: this.tokens.at(-1)?.step ?? index });
      } else {
        this.tokens.push({ ...token, step: index });
      }
    }
    for (const node of step.tree.nodes) {
      const stage = this.stages.get(node.stage) ?? { proposed: 0, accepted: 0 };
      stage.proposed++;
      stage.accepted += node.accepted ? 1 : 0;
      this.stages.set(node.stage, stage);
    }
    this.committed += step.committed;
    this.milliseconds += step.ms;
  }

  get ended() {
    return this.state === "done" || this.state === "stopped" || this.state === "failed";
  }

  /** Tree nodes that were verified. */
  get guesses() {
    let sum = 0;
    for (const { proposed } of this.stages.values()) sum += proposed;
    return sum;
  }

  get tokenCount() {
    return this.usage?.completion_tokens ?? this.tokens.reduce((n, token) => n + (token.continued ? 0 : 1), 0);
  }

  get tokensPerBatch() {
    return this.timings?.tokens_per_batch ?? (this.steps.length ? this.committed / this.steps.length : NaN);
  }

  /** Tokens per second: of the whole once it is done, of the last quarter of a second of decoding while it runs. */
  get speed() {
    if (this.timings) return this.timings.predicted_per_second;
    if (this.ended) return this.milliseconds > 0 ? (1000 * this.committed) / this.milliseconds : NaN;
    let tokens = 0;
    let milliseconds = 0;
    for (let i = this.steps.length - 1; i >= 0 && milliseconds < 250; i--) {
      tokens += this.steps[i].committed;
      milliseconds += this.steps[i].ms;
    }
    return milliseconds > 0 ? (1000 * tokens) / milliseconds : NaN;
  }
}
