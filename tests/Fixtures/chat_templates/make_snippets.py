"""Writes snippets.json: templates of a line or two, their variables, and what Python's Jinja2 makes of them.

The environment is that of Hugging Face's transformers. Run with Jinja2 3.1: `python3 make_snippets.py`.
"""

import json
import pathlib

import jinja2
import jinja2.ext
import jinja2.sandbox

VARIABLES = {
    "word": "tree", "text": "  Under the tree\n", "empty": "", "none": None, "n": 7, "x": 2.5, "yes": True, "no": False,
    "list": [3, 1, 2], "words": ["b", "A", "c", "A"], "map": {"b": 1, "a": {"c": [1, 2]}, "items": "own"},
    "people": [{"name": "Ann", "age": 30, "tags": ["x"]}, {"name": "bob", "age": 4}, {"name": "Cy", "age": 30, "tags": []}],
}

SNIPPETS = r"""
{{ 1 + 2 * 3 - 4 }} {{ (1 + 2) * 3 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 3 }} {{ 2 ** -1 }} {{ -2 ** 2 }}
{{ 1 ~ 2 ~ word }} {{ 'a' + 'b' ~ 1 + 'c' }} {{ 'ab' * 3 }} {{ 1.0 }} {{ 1e22 }} {{ 1.5e-7 }} {{ 100000.0 * 3 }} {{ 0.1 + 0.2 }} {{ 1e15 }} {{ 1e16 }} {{ 0.0001 }} {{ 0.00001 }}
{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 }} {{ yes == 1 }} {{ 'a' < 'b' }} {{ none == none }} {{ [1, 2] == [1, 2] }} {{ {'a': 1} == {'a': 1.0} }} {{ 'a' == 1 }}
{{ yes and word }} {{ no or empty or 0 }} {{ not no }} {{ not word == 'x' }} {{ 1 in list }} {{ 9 not in list }} {{ 're' in word }} {{ 'a' in map }} {{ 'z' in map }}
{{ word if yes else 'no' }} {{ word if no }}| {{ 'a' if no else 'b' if no else 'c' }}
{{ list[0] }} {{ list[-1] }} {{ list[9] }}| {{ word[1] }} {{ word[-1] }} {{ map['b'] }} {{ map.a.c[1] }} {{ map['items'] }} {{ none.x }}| {{ map.zzz }}|
{{ list[1:] }} {{ list[:-1] }} {{ list[::-1] }} {{ word[1:3] }} {{ word[::-1] }} {{ word[::2] }} {{ list[5:] }} {{ list[-2:] }} {{ word[10:] }}| {{ list[2:0:-1] }}
{{ word is string }} {{ n is number }} {{ x is integer }} {{ x is float }} {{ yes is boolean }} {{ yes is true }} {{ map is mapping }} {{ list is iterable }} {{ list is sequence }} {{ zzz is defined }} {{ none is none }} {{ n is odd }} {{ n is even }} {{ n is divisibleby 7 }} {{ n is divisibleby(3) }} {{ word is eq 'tree' }} {{ n is in [7] }} {{ zzz is not defined and yes }} {{ word is not string or no }}
{{ text | trim }}| {{ text | trim | upper }} {{ word | title }} {{ 'ONE two' | capitalize }} {{ word | length }} {{ map | length }} {{ list | first }} {{ list | last }} {{ word | first }}
{{ words | join(', ') }} {{ list | join }} {{ people | join('+', attribute='name') }} {{ words | sort }} {{ words | sort(reverse=true) }} {{ words | sort(case_sensitive=true) }} {{ words | unique | list }} {{ list | sum }} {{ list | min }} {{ list | max }} {{ list | reverse | list }} {{ word | reverse }}
{{ people | map(attribute='name') | list }} {{ words | map('lower') | join }} {{ people | selectattr('age', 'equalto', 30) | map(attribute='name') | list }} {{ people | rejectattr('tags', 'defined') | map(attribute='name') | list }} {{ people | selectattr('tags') | map(attribute='name') | list }} {{ list | select('gt', 1) | list }} {{ list | reject('odd') | list }} {{ people | sort(attribute='name') | map(attribute='name') | list }} {{ people | map(attribute='tags', default='none') | list }}
{{ zzz | default('d') }} {{ empty | default('d') }}| {{ empty | default('d', true) }} {{ none | default('d') }} {{ '12' | int + 1 }} {{ 'x' | int }} {{ 'x' | int(5) }} {{ '1.5' | float }} {{ -3 | abs }} {{ 2.567 | round(2) }} {{ 2.5 | round }} {{ 7 | string + '!' }} {{ 3.9 | int }}
{{ map | tojson }} {{ [1, 'a"\\\n\t<é木', none, true, 1.5, {}, []] | tojson }} {{ 'x' | tojson }} {{ map | tojson(indent=2) }} {{ [] | tojson(indent=2) }} {{ list | tojson(separators=(',', ':')) }} {{ map | tojson(sort_keys=true) }} {{ 'é' | tojson(ensure_ascii=true) }}
{{ map | items | list | length }} {% for k, v in map | items %}{{ k }}={{ v }};{% endfor %} {% for k, v in map.items() %}{{ k }};{% endfor %} {% for k in map %}{{ k }};{% endfor %} {{ map.keys() | list }} {{ map.get('b') }} {{ map.get('q', 'w') }} {{ map.get('q') }} {{ map | dictsort | length }}
{{ text.strip() }} {{ 'xxaxx'.strip('x') }} {{ 'xxaxx'.lstrip('x') }} {{ 'xxaxx'.rstrip('x') }} {{ 'a,b,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ 'a b c'.split(none, 1) }} {{ 'ab'.startswith('a') }} {{ 'ab'.endswith(('x', 'b')) }} {{ 'aXa'.replace('a', 'b') }} {{ 'aXa'.replace('a', 'b', 1) }} {{ 'a-b'.title() }} {{ 'AB'.lower() }} {{ 'abcb'.find('b') }} {{ 'abcb'.rfind('b') }} {{ 'abcb'.count('b') }} {{ '-'.join(['a', 'b']) }} {{ 'a\nb\n'.splitlines() }} {{ 'ab'.removeprefix('a') }} {{ '12'.isdigit() }} {{ 'aB'.isupper() }} {{ '{}'.upper() }}
{% for i in range(3) %}{{ i }}{{ ',' if not loop.last }}{% endfor %} {% for i in range(5, 0, -2) %}{{ i }}{% endfor %} {% for i in [] %}x{% else %}none{% endfor %} {% for i in list if i > 1 %}{{ loop.index }}/{{ loop.length }}:{{ i }} {% endfor %} {% for a in words %}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('o', 'e') }} {% endfor %} {% for c in 'añ木' %}{{ c }}.{% endfor %}
{% set a = 1 %}{% for i in list %}{% set a = a + i %}{{ a }} {% endfor %}{{ a }} {% set ns = namespace(a=1) %}{% for i in list %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }} {% if yes %}{% set a = 5 %}{% endif %}{{ a }} {% set p, q = 1, 2 %}{{ p }}{{ q }} {% set b %} block {{ a }} {% endset %}[{{ b }}] {% set c | trim | upper %} x {% endset %}[{{ c }}]
{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %} {% for i in list %}{% for j in list %}{% if j == 1 %}{% break %}{% endif %}{{ i }}{{ j }} {% endfor %}{% endfor %}
{% macro m(a, b='B', c=none) %}<{{ a }}{{ b }}{{ c }}>{% endmacro %}{{ m(1) }}{{ m(1, 2) }}{{ m(1, c=3) }}{{ m(b=1, a=2) }} {% macro r(n) %}{{ n }}{% if n > 0 %}{{ r(n - 1) }}{% endif %}{% endmacro %}{{ r(3) }}
a {#- comment -#} b {# c #} d {%- if yes -%} e {%- endif -%} f {{- 1 -}} g {% raw %}{{ x }}{% endraw %} h {%+ if yes %} i {%+ endif %} j
{{ 'a\'b' }} {{ "a\"b" }} {{ 'a\\n' }} {{ '\u00e9\x41' }} {{ 'a' 'b' }} {{ '%}' }} {{ "}}" }} {{ {'a': {'b': 1}}['a']['b'] }} {{ {'k': [1, {'z': 2}]} }} {{ (1, 2)[1] }} {{ [1, 'a', none, true, 1.5] }} {{ ['it\'s'] }} {{ none }} {{ yes }} {{ 'a\qb' }}
{{ 'x\ny\n\nz' | indent }} {{ 'x\ny' | indent(2, true) }} {{ '<&>' | escape }} {{ word | replace('e', 'E') }} {{ word | safe }} {{ word | list }} {{ dict(a=1, b=2) }} {{ list | count }}
{% generation %}said{% endgeneration %} {% if no %}a{% elif yes %}b{% else %}c{% endif %} {% if zzz %}a{% endif %} {{ zzz }}| {{ zzz | length }} {{ zzz == none }} {% for i in zzz %}x{% endfor %} {{ 'a' in zzz }} {{ not zzz }}
""".strip().split("\n")

SNIPPETS += [
    "{% if yes %}\n  a\n{% endif %}\n    {% if yes %}\n  b\n    {% endif %}\n  c {% if yes %}\nd{% endif %}  \n  {{ word }}\n\n{# c #}\n  {# c #}\nend\n",
    "x\n  {%- if yes %}\n  y\n  {%- endif %}\n\n{{- word }}\n {{ word -}}\n\n z {%- for i in list -%} {{ i }} {%- endfor +%}\n w\n\n",
    "  {% set a = 1 %}\n  {%+ set b = 2 %}\n{{ a }}\n{{ b }}\r\nline\r\n",
    "{{ raise_exception('no: ' ~ n) }}", "{{ zzz.y }}", "{{ zzz + 1 }}", "{{ 'a' + 1 }}", "{{ zzz() }}", "{{ 1 / 0 }}", "{{ map | tojson | fromjson }}",
    "{% if %}", "{% for x %}", "{{ 1 + }}", "{% endif %}", "{{ 'a }}", "{% frobnicate %}", "{% if yes %}", "{{ [1, 2 }}", "{{ a b }}", "{# no end",
]


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.Scope(body, lineno=line)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


class Refusal(Exception):
    pass


def raise_exception(message):
    raise Refusal(message)


environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", Generation])
environment.filters["tojson"] = tojson
environment.globals["raise_exception"] = raise_exception

cases = []
for source in SNIPPETS:
    try:
        outcome = {"rendered": environment.from_string(source).render(**VARIABLES)}
    except Refusal as refusal:
        outcome = {"error": str(refusal)}
    except jinja2.TemplateSyntaxError:
        outcome = {"broken": True}
    except (jinja2.TemplateError, TypeError, ZeroDivisionError):
        outcome = {"error": None}
    cases.append({"source": source, **outcome})

path = pathlib.Path(__file__).with_name("snippets.json")
path.write_text(json.dumps({"variables": VARIABLES, "cases": cases}, indent=1) + "\n", encoding="ascii")
