// What the server is doing, asked for while somebody looks: /health, /metrics and, once, the model.
import { $, count } from "./dom.js";
import { Disconnected, get } from "./api.js";

const EVERY = 2000;

export class ServerState {
  /** @param needsKey (): the server asked for a key. */
  constructor(needsKey) {
    this.needsKey = needsKey;
    this.state = "unknown";
    this.stage = null;
    this.model = null;
    this.poll();
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.poll(); });
  }

  /** Asks once, at once. */
  async poll() {
    clearTimeout(this.timer);
    try {
      const response = await get("health");
      const body = await response.json();
      this.state = body.status;
      this.stage = body.stage ?? null;
      if (this.state === "ok") await this.look();
    } catch (error) {
      this.state = error instanceof Disconnected ? "offline" : "unknown";
    }
    this.draw();
    if (!document.hidden) this.timer = setTimeout(() => this.poll(), this.state === "loading" ? 500 : EVERY);
  }

  async look() {
    const response = await get("metrics");
    if (response.status === 401) {
      this.needsKey();
      return;
    }
    if (!response.ok) return;
    const text = await response.text();
    $("server-queue").textContent = waiting(value(text, "understory_queue_depth"));
    const kept = value(text, "understory_kv_cache_tokens");
    $("server-cache").textContent = `${count(kept)} ${kept === 1 ? "token" : "tokens"}`;
    if (!this.model) await this.meet();
  }

  async meet() {
    const response = await get("v1/models");
    if (!response.ok) return;
    this.model = (await response.json()).data[0];
    $("model-name").textContent = this.model.id;
    $("model-context").textContent = `context of ${count(this.model.context_length)}`;
  }

  draw() {
    const element = $("server-state");
    element.dataset.state = this.state;
    element.textContent = { ok: "ready", loading: this.stage ? `loading: ${this.stage}` : "loading", draining: "shutting down", offline: "offline", unknown: "connecting" }[this.state] ?? this.state;
  }
}

const waiting = (n) => (n === 0 ? "empty" : `${count(n)} waiting`);

/** The sum of a metric's series in Prometheus' text format. */
function value(text, name) {
  let sum = 0;
  for (const line of text.split("\n")) {
    if (line.startsWith(name) && (line[name.length] === " " || line[name.length] === "{")) sum += Number(line.slice(line.lastIndexOf(" ") + 1));
  }
  return sum;
}
