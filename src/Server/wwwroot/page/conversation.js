// The chat so far. It may be longer than the context: then the oldest of it is left out, in steps of a quarter of the context, so that
// what stays is the same from message to message and the server's cache of it lives on. A reload keeps it.
const KEPT = "understory.conversation";

/** Tokens that a template puts around a question and an answer, about; what a measured prompt took corrects it. */
const AROUND = 12;

export class Conversation {
  constructor() {
    this.exchanges = []; // { question, answer, tokens }
    this.left = 0; // the oldest exchanges that are left out
    this.base = 0; // tokens of a prompt beside those of the exchanges: system text, template
    this.pending = null; // { question, answer, tokens }: what is being answered
    try {
      Object.assign(this, JSON.parse(sessionStorage.getItem(KEPT) ?? "{}"));
    } catch {
      // No storage, or somebody else's text under our name.
    }
  }

  get kept() {
    return this.exchanges.slice(this.left);
  }

  get tokens() {
    return this.kept.reduce((sum, exchange) => sum + exchange.tokens, this.base);
  }

  /** What is sent, less the system text. */
  get messages() {
    const messages = this.kept.flatMap(({ question, answer }) => [
      { role: "user", content: question },
      { role: "assistant", content: answer },
    ]);
    return this.pending ? [...messages, { role: "user", content: this.pending.question }] : messages;
  }

  /**
   * Puts a question, and leaves out of the conversation what does not fit before it and an answer.
   * @param tokens Of the question. @param context Of the model. @param wanted Tokens of the answer; null: nobody said.
   */
  ask(question, tokens, context, wanted) {
    this.pending = { question, answer: "", tokens };
    const quarter = Math.floor(context / 4);
    const room = context - Math.min(wanted ?? quarter, quarter) - tokens - AROUND;
    if (this.tokens > room) this.leaveOut(this.tokens - room + quarter);
    this.keep();
  }

  /** Leaves out the oldest exchanges of at least so many tokens; false: there was none left. */
  leaveOut(tokens) {
    const before = this.left;
    for (let freed = 0; freed < tokens && this.left < this.exchanges.length; this.left++) freed += this.exchanges[this.left].tokens;
    this.keep();
    return this.left > before;
  }

  /** The answer, whole or stopped, becomes part of it. @param tokens Of the answer. @param usage What the server counted; null: nothing. */
  answered(answer, tokens, usage) {
    const { question, tokens: asked } = this.pending;
    this.exchanges.push({ question, answer, tokens: asked + tokens + AROUND });
    this.pending = null;
    if (usage) this.base += usage.prompt_tokens + usage.completion_tokens - this.tokens;
    this.keep();
  }

  /** Takes the question back; returns it. */
  withdraw() {
    const question = this.pending?.question ?? "";
    this.pending = null;
    this.keep();
    return question;
  }

  clear() {
    Object.assign(this, { exchanges: [], left: 0, base: 0, pending: null });
    this.keep();
  }

  keep() {
    const { exchanges, left, base, pending } = this;
    try {
      sessionStorage.setItem(KEPT, JSON.stringify({ exchanges, left, base, pending }));
    } catch {
      // Full, or none: a reload forgets it then.
    }
  }
}
