"""Writes normalization.txt, the part of the Unicode character database that normalisation forms need.

Run with any Python 3: `python3 make_normalization.py`. The version of Unicode is that of its unicodedata module; the file names it.
"""

import pathlib
import unicodedata

HANGUL_SYLLABLES = range(0xAC00, 0xD7A4)  # decompose by arithmetic


def combining_classes():
    """Ranges of code points of equal combining class, zero left out."""
    first = last = value = 0
    for code in range(0x110001):
        here = unicodedata.combining(chr(code)) if code < 0x110000 else 0
        if here == value and code == last + 1:
            last = code
            continue
        if value:
            yield f"{first:X}-{last:X}:{value}"
        first, last, value = code, code, here


def decompositions():
    for code in range(0x110000):
        fields = unicodedata.decomposition(chr(code)).split()
        if not fields or code in HANGUL_SYLLABLES:
            continue
        is_compatibility = fields[0].startswith("<")
        composes = unicodedata.normalize("NFC", chr(code)) == chr(code)
        sign = "~" if is_compatibility else "=" if composes else "!"
        yield f"{code:X}{sign}{' '.join(f'{int(part, 16):X}' for part in fields[is_compatibility:])}"


lines = [
    f"# Unicode {unicodedata.unidata_version}, written by make_normalization.py.",
    "# FIRST-LAST:CLASS combining class; A=B C canonical; A!B C canonical, never composed; A~B C compatibility",
    *combining_classes(),
    *decompositions(),
]
path = pathlib.Path(__file__).with_name("normalization.txt")
path.write_text("\n".join(lines) + "\n", encoding="ascii")
