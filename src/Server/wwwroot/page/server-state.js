// What the server is doing, asked for while somebody looks: /health, /slots, /metrics and, once, /props.
import { $, count } from "./dom.js";
import { Disconnected, get } from "./api.js";

const EVERY = 2000;

export class ServerState {
  /** @param needsKey (): the server asked for a key. @param met (props): what is served became known. */
  constructor(needsKey, met) {
    this.needsKey = needsKey;
    this.met = met;
    this.state = "unknown";
    this.stage = null;
    this.props = null;
    this.poll();
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.poll();
    });
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
      this.props = null; // Whoever answers next may serve something else.
    }
    this.draw();
    if (!document.hidden) this.timer = setTimeout(() => this.poll(), this.state === "loading" ? 500 : EVERY);
  }

  async look() {
    const [slots, metrics] = await Promise.all([get("slots"), get("metrics")]);
    if (slots.status === 401 || metrics.status === 401) this.needsKey();
    if (slots.ok) $("server-queue").textContent = busy(await slots.json());
    if (metrics.ok) {
      const kept = value(await metrics.text(), "understory_kv_cache_tokens");
      $("server-cache").textContent = `${count(kept)} ${kept === 1 ? "token" : "tokens"}`;
    }
    if (!this.props) await this.meet();
  }

  async meet() {
    const response = await get("props");
    if (!response.ok) return;
    this.props = await response.json();
    this.met(this.props);
  }

  draw() {
    const element = $("server-state");
    element.dataset.state = this.state;
    element.textContent =
      {
        ok: "ready",
        loading: this.stage ? `loading: ${this.stage}` : "loading",
        draining: "shutting down",
        offline: "offline",
        unknown: "connecting",
      }[this.state] ?? this.state;
  }
}

/** "empty", "1 running", "1 running, 2 of 64 waiting". */
function busy({ slots, waiting, places }) {
  const running = slots.filter((slot) => slot.is_processing).length;
  const parts = [];
  if (running > 0) parts.push(`${count(running)} running`);
  if (waiting.length > 0) parts.push(`${count(waiting.length)} of ${count(places)} waiting`);
  return parts.join(", ") || "empty";
}

/** The sum of a metric's series in Prometheus' text format. */
function value(text, name) {
  let sum = 0;
  for (const line of text.split("\n")) {
    if (line.startsWith(name) && (line[name.length] === " " || line[name.length] === "{"))
      sum += Number(line.slice(line.lastIndexOf(" ") + 1));
  }
  return sum;
}
