// Writes two small tokenizers of our own and what npm's @huggingface/tokenizers makes of some texts:
//   NAME.tokenizer.json and NAME.cases.jsonl for byte-level and sentencepiece.
// Run `npm install @huggingface/tokenizers@0.2.0` somewhere, then `NODE_PATH=.../node_modules node make_tokenizers.mjs`.

import fs from "node:fs";
import { createRequire } from "node:module";

const { Tokenizer } = createRequire(import.meta.url)("@huggingface/tokenizers");

const corpus = `
def grow(tree, price):
    """Adds nodes while they pay for themselves."""
    for node in frontier(tree):
        if node.value > price:
            tree.add(node, [child for child in node.children])
    return tree

The under-storey is what grows between the forest's floor and its canopy: shrubs, saplings, ferns. It doesn't get much light,
and it's the draft of the next forest. 12 species in 1999, 2024 of them by 3030; the trees' seeds aren't counted. Größe, naïve, déjà vu.
for i in range(100): print(f"{i:>4} {i ** 2:>8}")      # 10000 at most
Das Unterholz wächst im Schatten. L'été, l'arbre pousse. Где растёт лес? 木の下に木がある。
`;

function train(words, alphabet, mergeCount) {
  const vocab = [...alphabet];
  const known = new Set(vocab);
  const merges = [];
  let splits = words.map((word) => [...word]);
  while (merges.length < mergeCount) {
    const counts = new Map();
    for (const parts of splits) {
      for (let i = 0; i + 1 < parts.length; i++) {
        const key = parts[i] + "\0" + parts[i + 1];
        counts.set(key, (counts.get(key) ?? 0) + 1);
      }
    }
    const [best] = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0];
    const [left, right] = best.split("\0");
    merges.push([left, right]);
    if (!known.has(left + right)) {
      known.add(left + right);
      vocab.push(left + right);
    }
    splits = splits.map((parts) => {
      const joined = [];
      for (let i = 0; i < parts.length; i++) {
        const merges = i + 1 < parts.length && parts[i] === left && parts[i + 1] === right;
        joined.push(merges ? parts[i] + parts[++i] : parts[i]);
      }
      return joined;
    });
  }
  return { vocab: Object.fromEntries(vocab.map((token, id) => [token, id])), merges };
}

function byteAlphabet() {
  const letters = [];
  let shifted = 0;
  for (let value = 0; value < 256; value++) {
    const printable = (value >= 33 && value <= 126) || (value >= 161 && value <= 172) || value >= 174;
    letters.push(String.fromCodePoint(printable ? value : 256 + shifted++));
  }
  return letters;
}

const added = (id, content, options = {}) =>
  ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true, ...options });

function byteLevel() {
  const pattern =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  const letters = byteAlphabet();
  const encode = (word) => [...Buffer.from(word, "utf8")].map((value) => letters[value]).join("");
  const words = [...corpus.matchAll(new RegExp(pattern.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)", "'[sS]|'[tT]"), "gu"))].map((m) => encode(m[0]));
  const model = train(words, letters, 160);
  const size = Object.keys(model.vocab).length;
  return {
    version: "1.0", truncation: null, padding: null,
    added_tokens: [
      added(size, "<|begin|>"), added(size + 1, "<|turn|>"), added(size + 2, "<|end|>"),
      added(size + 3, "<tool>", { special: false }), added(size + 4, "<pad>", { lstrip: true, rstrip: true }),
    ],
    normalizer: { type: "NFC" },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
      ],
    },
    post_processor: {
      type: "Sequence",
      processors: [
        { type: "ByteLevel", add_prefix_space: true, trim_offsets: false, use_regex: true },
        {
          type: "TemplateProcessing",
          single: [{ SpecialToken: { id: "<|begin|>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
          pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
          special_tokens: { "<|begin|>": { id: "<|begin|>", ids: [size], tokens: ["<|begin|>"] } },
        },
      ],
    },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE", dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null, fuse_unk: false,
      byte_fallback: false, ignore_merges: true, ...model,
    },
  };
}

function sentencePiece() {
  const text = corpus.replaceAll("\n", " ").replaceAll(" ", "\u2581");
  const words = text.match(/\u2581*[^\u2581]+/gu);
  const bytes = Array.from({ length: 256 }, (_, value) => `<0x${value.toString(16).toUpperCase().padStart(2, "0")}>`);
  const letters = [...new Set(text)].sort().filter((letter) => !"木下éГд".includes(letter));
  const isKnown = (word) => [...word].every((letter) => letters.includes(letter));
  const model = train(words.filter(isKnown), ["<unk>", "<s>", "</s>", ...bytes, ...letters], 160);
  const size = Object.keys(model.vocab).length;
  return {
    version: "1.0", truncation: null, padding: null,
    added_tokens: [
      added(0, "<unk>"), added(1, "<s>"), added(2, "</s>"),
      added(size, "<|user|>", { rstrip: true }), added(size + 1, "<|end|>"),
    ],
    normalizer: {
      type: "Sequence",
      normalizers: [{ type: "Prepend", prepend: "\u2581" }, { type: "Replace", pattern: { String: " " }, content: "\u2581" }],
    },
    pre_tokenizer: null,
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
      special_tokens: { "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] } },
    },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "\u2581" }, content: " " }, { type: "ByteFallback" }, { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
    model: {
      type: "BPE", dropout: null, unk_token: "<unk>", continuing_subword_prefix: null, end_of_word_suffix: null, fuse_unk: true,
      byte_fallback: true, ignore_merges: false, ...model, merges: model.merges.map((pair) => pair.join(" ")),
    },
  };
}

const texts = [
  "", " ", "  ", "   a", "a   ", "\n", "\r\n\r\n", "\t\tx", " \n \n  x\n", "tree", " tree", "trees and  forests", "The forest's floor doesn't grow.",
  "IT'S I'LL WE'VE they'RE", "def grow(tree):\n    return tree\n", "    for node in frontier(tree):\n        pass", "100", "12345", "x = 3.14159 ** 2",
  "größe GRÖSSE naïve déjà", "e\u0301te\u0301 \u212B \u1E9B\u0323", "Где растёт лес", "木の下に木がある。", "안녕 하세요", "😀👩‍💻🏽🇩🇪", "𝒜𝟙𐐀 and more",
  "!?.,;:-_()[]{}", "...---===>>>", "a\u00A0b\u2003c\u3000d\u0085e", "\u200B\u200D\uFEFF", "\u0000\u0001\u007F", "²½Ⅷ٣४",
  "<|begin|>", "<|turn|>user\nhi<|end|>", "a <|turn|> b", "x  <pad>  y", "<pad><pad> <pad>", "<tool>x</tool>", "<|tur n|>", "<<|turn|>>",
  "<s>", "</s> <s>a", "<|user|>  hello<|end|>  there", "<unk>", "<0x41>", "\u2581\u2581 \u2581a", "a".repeat(70), "=".repeat(100), " ".repeat(50),
  "treetreetreetreetreetreetreetreetreetreetreetree", "abcdefghijklmnopqrstuvwxyz".repeat(4), "The ".repeat(20), "Größe木é".repeat(12),
];

for (const [name, json] of [["byte-level", byteLevel()], ["sentencepiece", sentencePiece()]]) {
  const tokenizer = new Tokenizer(json, {});
  const lines = texts.map((text) => {
    const ids = tokenizer.encode(text).ids;
    const bare = tokenizer.encode(text, { add_special_tokens: false }).ids;
    const decode = (all, skip) =>
      all.length === 0 ? "" : tokenizer.decode(all, { skip_special_tokens: skip, clean_up_tokenization_spaces: false });
    return JSON.stringify({ text, ids, ids_no_special: bare, decoded: decode(bare, false), decoded_skip_special: decode(ids, true) });
  });
  const folder = new URL(".", import.meta.url);
  fs.writeFileSync(new URL(`${name}.tokenizer.json`, folder), JSON.stringify(json) + "\n");
  fs.writeFileSync(new URL(`${name}.cases.jsonl`, folder), lines.join("\n") + "\n");
}
