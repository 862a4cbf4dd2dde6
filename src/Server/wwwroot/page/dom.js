// Small helpers for building and naming things.

/** Element by id. */
export const $ = (id) => document.getElementById(id);

/** An element: h("p", { class: "note", hidden: true }, "text", child). Properties where the element has them, attributes else. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** The same for SVG. */
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** A number for people: 12,345; 12.3; 1.23. */
export function figure(value) {
  if (!Number.isFinite(value)) return "–";
  return Math.abs(value) >= 100 ? whole.format(value) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);
}

export const count = (value) => whole.format(value);

export const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.095 ? 1 : 0)} %`;

/** White space made visible, for labels. */
export function visible(text) {
  const shown = text.replaceAll("\n", "↵").replaceAll("\t", "⇥").replaceAll("\r", "␍").replaceAll(" ", "␣");
  return shown === "" ? "∅" : shown;
}

const names = { ngram: "n-gram", draft: "draft", target: "target", grammar: "grammar", prediction: "prediction" };

export const stageName = (stage) => names[stage] ?? stage;

/** Scrolls to what has just come, unless its beginning is well in sight. */
export function reveal(element) {
  const { top, bottom } = element.getBoundingClientRect();
  const begins = top >= 0 && top < 0.6 * innerHeight;
  if (!(begins || (top >= 0 && bottom <= innerHeight))) element.scrollIntoView({ block: "start" });
}

/** Does something at most once a frame, however often it is asked for. */
export function oncePerFrame(action) {
  let asked = false;
  return () => {
    if (!asked) {
      asked = true;
      requestAnimationFrame(() => {
        asked = false;
        action();
      });
    }
  };
}

/** Text to the clipboard; where the browser keeps that for secure pages, through a selection. */
export async function copy(text) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Not allowed: the old way may be.
    }
  }
  const area = h("textarea", { class: "hidden", readOnly: true });
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}
