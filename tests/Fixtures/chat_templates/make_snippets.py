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
{% filter upper | trim %} said {{ word }} {% endfilter %}| {% with a = 1, b = word %}{{ a }}{{ b }}{% endwith %}{{ a }}| {% set a = 7 %}{% with a = a + 1, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }} {% with %}{% set a = 3 %}{{ a }}{% endwith %}{{ a }}
{% macro box(title, n=2) %}[{{ title }}: {{ caller() }} {{ caller() }}]{% endmacro %}{% call box('a') %}in {{ word }}{% endcall %} {% macro rows(items) %}{% for i in items %}{{ caller(i, loop.index) }};{% endfor %}{% endmacro %}{% call(item, at) rows(list) %}{{ at }}={{ item }}{% endcall %}
{% for node in [{'n': 1, 'c': [{'n': 2, 'c': []}, {'n': 3, 'c': [{'n': 4, 'c': []}]}]}, {'n': 5, 'c': []}] recursive %}{{ node.n }}/{{ loop.depth }}{{ loop.depth0 }}/{{ loop.index }}({{ loop(node.c) }}){% endfor %} {% for i in [1, 1, 2] %}{{ loop.changed(i) }} {% endfor %}
{{ '%s is %d years, %.2f m, %5d|%-5d|%05d|%+d|% d|%x|%#X|%o|%e|%g|%g|%c|%r|%%' % ('Ann', 30, 1.755, 7, 7, 7, 7, 7, 255, 255, 8, 12345.678, 0.00001234, 1234567.0, 'c', 'it') }} {{ '%s' % word }} {{ '%(a)s-%(b)03d' % {'a': 'x', 'b': 5} }} {{ '%s' % [[1, 'a']] }} {{ '%s %s' % (list, none) }} {{ '%*d|%.*f' % (6, 42, 1, 2.25) }} {{ '%.0f %.0f %.0f %.1f' % (0.5, 1.5, 2.5, 0.25) }} {{ '%d' % 3.9 }} {{ '%.3s' % 'abcdef' }}
{{ '{} {1} {name}'.replace('{1}', '{}').format(1, 'two', name=none) }} {{ '{0}{1}{0}'.format('a', 'b') }} {{ '{:>6}|{:<6}|{:^6}|{:*^7}|{:06.2f}|{:,}|{:+}|{:.1%}|{:x}|{:#b}|{:e}|{:g}'.format('ab', 'ab', 'ab', 'ab', 3.14159, 1234567, 5, 0.256, 255, 5, 1234.5, 0.5) }} {{ '{0.a} {0[b]} {1[0]}'.format(dict(a=1, b=2), [7]) if no else 'attributes' }} {{ '{0[b]} {1[0]}'.format({'b': 2}, [7]) }} {{ '{{}} {!r} {!s}'.format('x', 'y') }} {{ '{:{w}}|'.format('a', w=4) }} {{ '{:5}|{:5}|{:<5}|{}'.format(3, 'a', 3, 1.0) }} {{ '{:.3}'.format('abcdef') }}
{{ '%s, %s!' | format('a', 2) }} {{ '%(x)s' | format(x=1) }} {{ list | batch(2) | list }} {{ list | batch(2, 'x') | list }} {{ range(7) | slice(3) | list }} {{ range(7) | slice(3, 'x') | list }} {{ 'a longer text than that' | truncate(12) }} {{ 'a longer text than that' | truncate(12, true) }} {{ 'a longer text than that' | truncate(12, false, '!', 0) }} {{ 'short' | truncate(3) }} {{ 'Hello, wörld of_words 12!' | wordcount }} {{ word | center(10) }}|
{{ people | groupby('age') | list | length }} {% for age, group in people | groupby('age') %}{{ age }}: {{ group | map(attribute='name') | join(',') }}; {% endfor %} {% for g in people | groupby('tags', default=['x']) if no %}{{ g.grouper }}{% endfor %} {% for g in [{'k': 'b'}, {'k': 'A'}, {'k': 'a'}] | groupby('k') %}{{ g.grouper }}{{ g.list | length }} {% endfor %} {% for g in [{'k': 'b'}, {'z': 1}] | groupby('k', default='c') %}{{ g[0] }}{% endfor %}
{{ none | select | list }} {{ none | map('upper') | list }} {{ none | selectattr('a') | list }} {{ none | reject('odd') | list }} {{ none | rejectattr('a') | list }} {{ zzz | map(attribute='a') | list }} {{ words | unique | list }} {{ people | unique(attribute='age') | map(attribute='name') | list }} {{ people | map(attribute='age') | max }} {{ (people | min(attribute='age')).name }} {{ words | max }}
{% set budget = {0: 'none', 512: 128, 1024: 'x', 'a': 1} %}{{ budget[512] }} {{ budget[0] }} {{ budget['512'] }}| {{ budget.get(1024) }} {{ budget.get(5, 'no') }} {{ 512 in budget }} {{ '512' in budget }} {{ budget }} {{ budget | tojson }} {{ budget.a }} {% for k, v in {4096: 1, 512: 2, 1024: 3} | dictsort %}{{ k + 1 }}={{ v }} {% endfor %} {% for k in budget %}{{ k }},{% endfor %} {{ budget | length }} {{ {1: 'a', 1.0: 'b', true: 'c'} }} {{ {1: 2} == {1.0: 2} }} {{ {none: 1} }} {{ budget.keys() | list }} {{ budget.items() | list }}
{{ (1, 2) }} {{ (1,) }} {{ () }} {{ {'b': 1, 'A': 2, 'c': 0} | dictsort }} {{ {'b': 1, 'A': 2} | dictsort(true) }} {{ {'b': 1, 'a': 2} | dictsort(by='value') }} {{ {'b': 1, 'a': 2} | dictsort(reverse=true) }} {{ map.items() | list }} {{ (1, 2) == [1, 2] }} {{ (1, 2) == (1, 2) }} {{ (1, 2) + (3,) }} {{ (1, [2]) | tojson }} {{ [(1, 2), (0, 5)] | sort }} {{ [[2, 1], [1, 9]] | min }}
{{ 123456789012345678901234567890 }} {{ 123456789012345678901234567890 | tojson }} {{ 123456789012345678901234567890 == 123456789012345678901234567890 }} {{ 123456789012345678901234567890 is integer }}
{{ map.items is callable }} {{ map['items'] }} {{ {'get': 1}.get('get') }} {{ {'keys': 2}['keys'] }} {{ [{'a': [1, {'b': none}]}] == [{'a': [1, {'b': none}]}] }} {{ [{'a': 1}] != [{'a': 2}] }} {{ {'a': true} ~ '' }} {{ [true, none, 'x'] | string }} {{ 'n: ' ~ [1.0, false] }}
{{ 'ab'.ljust(4) }}|{{ 'ab'.rjust(4, '.') }}|{{ 'ab'.center(5) }}|{{ 'abc'.center(6) }}|{{ '-7'.zfill(4) }}|{{ 'k=v=w'.partition('=') }} {{ 'k=v=w'.rpartition('=') }} {{ 'k'.partition('=') }} {{ 'aB'.swapcase() }} {{ ' a b  c '.rsplit(none, 1) }} {{ 'abc'.index('c') }} {{ list | select('>', 1) | list }} {{ list | select('!=', 1) | list }} {{ 'upper' is filter }} {{ 'frob' is filter }} {{ 'odd' is test }}
{% if no %}{{ map | from_json }}{{ x is frobnicated }}{{ x | a.b.c }}{% endif %}reached {{ (map | from_json) if no else 'not' }}
{% generation %}said{% endgeneration %} {% if no %}a{% elif yes %}b{% else %}c{% endif %} {% if zzz %}a{% endif %} {{ zzz }}| {{ zzz | length }} {{ zzz == none }} {% for i in zzz %}x{% endfor %} {{ 'a' in zzz }} {{ not zzz }}
""".strip().split("\n")

SNIPPETS += [
    "{% if yes %}\n  a\n{% endif %}\n    {% if yes %}\n  b\n    {% endif %}\n  c {% if yes %}\nd{% endif %}  \n  {{ word }}\n\n{# c #}\n  {# c #}\nend\n",
    "x\n  {%- if yes %}\n  y\n  {%- endif %}\n\n{{- word }}\n {{ word -}}\n\n z {%- for i in list -%} {{ i }} {%- endfor +%}\n w\n\n",
    "  {% set a = 1 %}\n  {%+ set b = 2 %}\n{{ a }}\n{{ b }}\r\nline\r\n",
    "{{ raise_exception('no: ' ~ n) }}", "{{ zzz.y }}", "{{ zzz + 1 }}", "{{ 'a' + 1 }}", "{{ zzz() }}", "{{ 1 / 0 }}", "{{ map | tojson | fromjson }}",
    "{{ '%d' % 'a' }}", "{{ '%s %s' % ('a',) }}", "{{ '%s' % ('a', 'b') }}", "{{ '{} {}'.format(1) }}", "{{ 'a' is frobnicated }}", "{{ {[1]: 2} }}", "{{ caller() }}",
    "{{ [1] + (2,) }}", "{{ 'x' + [1] }}", "{{ none | length }}", "{{ none | list }}", "{{ zzz | tojson }}", "{{ 'ab'.index('z') }}", "{{ (1, 2) < [1, 2] if no else none.x.y }}",
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
    except jinja2.TemplateAssertionError:  # an unknown filter or test, which is found where it is reached
        outcome = {"error": None}
    except jinja2.TemplateSyntaxError:
        outcome = {"broken": True}
    except (jinja2.TemplateError, TypeError, ValueError, IndexError, ZeroDivisionError):
        outcome = {"error": None}
    cases.append({"source": source, **outcome})

path = pathlib.Path(__file__).with_name("snippets.json")
path.write_text(json.dumps({"variables": VARIABLES, "cases": cases}, indent=1) + "\n", encoding="ascii")
