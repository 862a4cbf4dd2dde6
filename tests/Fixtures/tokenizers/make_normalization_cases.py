"""Writes normalization.json: texts and their four normalisation forms as Python's unicodedata gives them.

Every fourth code point whose forms differ, every mark, and random mixtures of code points that interact.
"""

import json
import pathlib
import random
import unicodedata

FORMS = ["NFC", "NFD", "NFKC", "NFKD"]
random.seed(20260)

changing = [
    chr(code)
    for code in range(0x80, 0x110000)
    if not 0xD800 <= code < 0xE000
    and not 0xAC00 <= code < 0xD7A4
    and any(unicodedata.normalize(form, chr(code)) != chr(code) for form in FORMS)
]
marks = [chr(code) for code in range(0x110000) if unicodedata.combining(chr(code))]
parts = sorted({part for letter in changing for part in unicodedata.normalize("NFD", letter)})
hangul = [chr(code) for code in [0x1100, 0x1112, 0x1161, 0x1175, 0x11A7, 0x11A8, 0x11C2, 0x11C3, 0xAC00, 0xAC01, 0xAC1C, 0xD7A3]]

texts = ["".join(changing[i : i + 256 : 4]) for i in range(0, len(changing), 256)]
texts += ["a".join(marks[i : i + 64]) for i in range(0, len(marks), 64)]
for _ in range(120):
    pool = random.choice([parts, changing, hangul, parts + marks, ["a", "e", "o", " "] + marks])
    texts.append("".join(random.choice(pool) if random.random() < 0.8 else random.choice(marks) for _ in range(12)))

cases = {text: [unicodedata.normalize(form, text) for form in FORMS] for text in texts}
lines = ",\n".join(json.dumps([text, *forms]) for text, forms in cases.items())
path = pathlib.Path(__file__).with_name("normalization.json")
path.write_text("[\n" + lines + "\n]\n", encoding="ascii")
