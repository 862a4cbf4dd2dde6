// Draws the tree of one pass: the accepted path runs along the top, what was refused hangs below.
import { s, stageName, visible } from "./dom.js";

const ROW = 34;
const BOX = 25;
const GAP = 30;
const LONGEST = 18;
const FONT = '12.5px ui-monospace, "SF Mono", "Cascadia Code", "JetBrains Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';

const canvas = document.createElement("canvas").getContext("2d");

/**
 * The drawing of a step, as an SVG element of role tree.
 * @param describe (text): tell of the node that is pointed at or focused; "" when none is.
 */
export function drawTree(step, describe) {
  const nodes = layOut(step);
  const width = Math.max(...nodes.map((node) => node.x + node.width)) + 2;
  const height = (Math.max(...nodes.map((node) => node.row)) + 1) * ROW;
  const svg = s("svg", {
    class: "tree",
    width,
    height,
    viewBox: `-1 0 ${width + 2} ${height}`,
    role: "tree",
    "aria-label": "Verified tree",
  });
  const edges = s("g", { "aria-hidden": "true" });
  svg.append(edges);
  for (const node of [...nodes].sort((x, y) => x.kept - y.kept)) {
    if (node.parent) edges.append(s("path", { class: `edge${node.kept ? " kept" : ""}`, d: edge(node.parent, node) }));
  }
  for (const node of nodes) {
    svg.append((node.element = box(node)));
  }

  let current = nodes[0];
  current.element.setAttribute("tabindex", "0");
  const byElement = new Map(nodes.map((node) => [node.element, node]));
  const nodeOf = (event) => byElement.get(event.target.closest?.(".node"));
  svg.addEventListener("pointerover", (event) => {
    const node = nodeOf(event);
    if (node) describe(node.told);
  });
  svg.addEventListener("pointerleave", () => describe(""));
  svg.addEventListener("focusin", (event) => {
    const node = nodeOf(event);
    if (node) describe(node.told);
  });
  svg.addEventListener("focusout", () => describe(""));
  svg.addEventListener("keydown", (event) => {
    const to = neighbour(nodes, current, event.key);
    if (to === undefined) return;
    event.preventDefault();
    if (to === null) return;
    current.element.setAttribute("tabindex", "-1");
    current = to;
    current.element.setAttribute("tabindex", "0");
    current.element.focus();
  });
  return svg;
}

/** Nodes with their places: columns by depth, as wide as their widest label; a first child stays in its parent's row. */
function layOut({ tree }) {
  const root = { text: tree.root.text, stage: "target", a: null, kept: true, depth: 0, children: [], kind: "root" };
  const all = tree.nodes.map((node) => ({
    text: node.text,
    stage: node.stage,
    a: node.a,
    kept: node.accepted,
    children: [],
    kind: "guess",
  }));
  let last = root;
  tree.nodes.forEach((node, i) => {
    all[i].parent = node.parent < 0 ? root : all[node.parent];
    all[i].depth = all[i].parent.depth + 1;
    all[i].parent.children.push(all[i]);
    if (node.accepted) last = all[i];
  });
  const bonus = {
    text: tree.bonus.text,
    stage: "target",
    a: null,
    kept: true,
    depth: last.depth + 1,
    children: [],
    parent: last,
    kind: "bonus",
  };
  last.children.push(bonus);

  const order = [];
  let rows = 0;
  const visit = (node, row) => {
    node.row = row;
    rows = Math.max(rows, row + 1);
    order.push(node);
    node.children.sort((x, y) => (y.kept ? 1 : 0) - (x.kept ? 1 : 0));
    node.children.forEach((child, i) => visit(child, i === 0 ? row : rows));
  };
  visit(root, 0);

  canvas.font = FONT;
  const columns = [];
  for (const node of order) {
    const shown = visible(node.text);
    node.label = shown.length > LONGEST ? `${shown.slice(0, LONGEST - 1)}…` : shown;
    node.labelWidth = canvas.measureText(node.label).width;
    node.width = node.labelWidth + (node.a === null ? 18 : 50);
    const told = `${chance(node)} ${tell(node)}`.trim();
    node.name = `${node.label} ${told}`;
    node.told = `${shown} · ${told}`;
    columns[node.depth] = Math.max(columns[node.depth] ?? 0, node.width);
  }
  const starts = columns.map((_, depth) => columns.slice(0, depth).reduce((x, width) => x + width + GAP, 0));
  for (const node of order) node.x = starts[node.depth];
  return order;
}

function tell(node) {
  if (node.kind === "root") return "the last token before this pass";
  if (node.kind === "bonus") return "decided by the target itself";
  return `expected · proposed by the ${stageName(node.stage)} · ${node.kept ? "accepted" : "not accepted"}`;
}

/** "37%": how likely the path was thought to go through the node. */
const chance = (node) => (node.a === null ? "" : `${Math.round(100 * node.a)}%`);

function box(node) {
  const y = node.row * ROW + (ROW - BOX) / 2;
  const element = s(
    "g",
    {
      class: `node ${node.kind} ${node.stage}${node.kept ? " kept" : ""}`,
      transform: `translate(${node.x} ${y})`,
      role: "treeitem",
      tabindex: "-1",
      "aria-level": node.depth + 1,
      "aria-label": node.name,
      "aria-selected": String(node.kept),
    },
    s("rect", { width: node.width, height: BOX, rx: 6 }),
    text("label", 9, node.label),
    s("line", { class: "mark", x1: 9, x2: 9 + node.labelWidth, y1: BOX - 4.5, y2: BOX - 4.5 }),
  );
  if (node.a !== null) element.append(" ", text("a", node.width - 8, chance(node), "end"));
  return element;
}

function text(name, x, content, anchor = "start") {
  const element = s("text", { class: name, x, y: BOX / 2 + 4, "text-anchor": anchor });
  element.textContent = content;
  return element;
}

function edge(from, to) {
  const x1 = from.x + from.width;
  const y1 = from.row * ROW + ROW / 2;
  const y2 = to.row * ROW + ROW / 2;
  // Bends close to the child, so that edges of one parent share their beginning.
  const bend = to.x - GAP * 0.55;
  return y1 === y2 ? `M${x1} ${y1}H${to.x}` : `M${x1} ${y1}H${bend - 8}C${bend + 4} ${y1} ${bend - 6} ${y2} ${to.x} ${y2}`;
}

/** Where an arrow key leads: right to the first child, left to the parent, up and down through the rows. Null: nowhere. */
function neighbour(nodes, node, key) {
  const at = nodes.indexOf(node);
  switch (key) {
    case "ArrowRight":
      return node.children[0] ?? null;
    case "ArrowLeft":
      return node.parent ?? null;
    case "ArrowDown":
      return nodes[at + 1] ?? null;
    case "ArrowUp":
      return nodes[at - 1] ?? null;
    case "Home":
      return nodes[0];
    case "End":
      return nodes.at(-1);
    default:
      return undefined;
  }
}
