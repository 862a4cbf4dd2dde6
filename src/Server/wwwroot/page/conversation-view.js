// The conversation above the message that is being written.
import { $, count, h, oncePerFrame } from "./dom.js";

export class ConversationView {
  constructor(conversation) {
    this.conversation = conversation;
    this.update = oncePerFrame(() => this.drawAnswer());
  }

  draw(context) {
    const { exchanges, left, pending } = this.conversation;
    const items = exchanges.flatMap(({ question, answer }, i) => {
      const out = i < left ? " out" : "";
      return [turn("user", question, out), turn("assistant", answer, out)];
    });
    if (left > 0)
      items.splice(
        2 * left,
        0,
        h(
          "li",
          { class: "note" },
          `The ${left === 1 ? "oldest exchange is" : `${count(left)} oldest exchanges are`} left out from here on: ` +
            `together with the rest ${left === 1 ? "it does" : "they do"} not fit the context of ${count(context)} tokens.`,
        ),
      );
    if (pending) items.push(turn("user", pending.question), turn("assistant", pending.answer || "…"));
    $("turns").replaceChildren(...items);
    $("turns").hidden = items.length === 0;
    $("clear-chat").hidden = exchanges.length === 0;
    this.reveal();
  }

  /** The answer as it comes. */
  drawAnswer() {
    const { pending } = this.conversation;
    if (!pending) return;
    const list = $("turns");
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 24;
    list.lastElementChild.lastElementChild.textContent = pending.answer || "…";
    if (atEnd) this.toEnd();
  }

  /** Scrolls to the newest turn, and to the place of the next. */
  reveal() {
    this.toEnd();
    const newest = $("turns").lastElementChild;
    if (!newest) return;
    $("prompt").scrollIntoView({ block: "nearest" });
    $("turns").scrollIntoView({ block: "nearest" });
  }

  toEnd() {
    $("turns").scrollTop = $("turns").scrollHeight;
  }
}

function turn(role, text, out = "") {
  return h("li", { class: role + out }, h("b", {}, role), h("p", {}, text));
}
