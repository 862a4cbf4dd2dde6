using System.Text;
using Understory.Models.Tokenizers;

namespace Understory.Models.Tests.Fuzz;

/// <summary>Chat templates that would take all memory or all time, or that are simply damaged.</summary>
public sealed class HostileTemplateTests
{
    private static readonly Dictionary<string, object?> Variables = new()
    {
        ["messages"] = new List<object?> { new Dictionary<string, object?> { ["role"] = "user", ["content"] = "Hello" } },
        ["add_generation_prompt"] = true,
        ["bos_token"] = "<s>",
    };

    [Theory]
    [InlineData("{{ range(10**9) }}")]
    [InlineData("{% for i in range(9223372036854775797, 9223372036854775807, 100) %}{{ i }}{% endfor %}", "9223372036854775797")]
    [InlineData("{% for i in range(-9223372036854775807, -9223372036854775807 - 1, -9223372036854775807) %}{{ i }}{% endfor %}",
        "-9223372036854775807")]
    [InlineData("{{ range(-9223372036854775807, 9223372036854775807) }}")]
    [InlineData("{{ 'abcdef'[1::9223372036854775807] }}", "b")]
    [InlineData("{{ 'abcdef'[4::-9223372036854775807] }}", "e")]
    [InlineData("{{ [1, 2, 3][2:0:-9223372036854775807] }}", "[3]")]
    [InlineData("{{ -9223372036854775807 is divisibleby(-1) }}", "True")]
    [InlineData("{{ (-9223372036854775807 - 1) is divisibleby(-1) }}", "True")]
    [InlineData("{{ (-9223372036854775807 - 1) // -1 }}")]
    [InlineData("{{ 2 ** 9223372036854775807 }}")]
    [InlineData("{{ 'x' * 9223372036854775807 }}")]
    [InlineData("{{ [[1]] | tojson(indent='x' * 8000000) }}")]
    [InlineData("{{ range(100000) | list | join('x' * 1000000) }}")]
    [InlineData("{{ range(200000) | unique | length }}")]
    [InlineData("{% set l = range(1000000) %}{% for i in l %}{% if -1 in l %}{% endif %}{% endfor %}")]
    [InlineData("{% set ns = namespace(l=[]) %}{% set s = 'a' * 8000000 %}{% for i in range(1000) %}{% set ns.l = ns.l + [s.upper()] %}{% "
        + "endfor %}")]
    [InlineData("{% set ns = namespace(l=[]) %}{% set s = 'a,' * 4000000 %}{% for i in range(1000) %}{% set ns.l = ns.l + [s.split(',')] "
        + "%}{% endfor %}")]
    [InlineData("{% set ns = namespace(l=['a' * 1000000 + 'b', 'a' * 1000000 + 'c']) %}{% for i in range(18) %}{% set ns.l = ns.l + ns.l "
        + "%}{% endfor %}{{ ns.l | sort | length }}")]
    [InlineData("{% set ns = namespace(l=['a' * 1000000 + 'b', 'a' * 1000000 + 'c']) %}{% for i in range(18) %}{% set ns.l = ns.l + ns.l "
        + "%}{% endfor %}{{ ns.l | max | length }}")]
    [InlineData("{% set ns = namespace(l=['a' * 1000000 + 'b', 'a' * 1000000 + 'c']) %}{% for i in range(18) %}{% set ns.l = ns.l + ns.l "
        + "%}{% endfor %}{{ ('a' * 1000000 + 'd') in ns.l }}")]
    [InlineData("{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}")]
    [InlineData("{% macro a(x) %}{{ x(x) }}{% endmacro %}{{ a(a) }}")]
    public void A_template_that_asks_for_too_much_is_refused_or_answered_at_once(string source, string? rendered = null)
    {
        bool answered = FuzzRun.ReadOne(0, Encoding.UTF8.GetBytes(source), factor: 0, constant: 2L << 30, template =>
        {
            try
            {
                string text = ChatTemplate.Parse(Encoding.UTF8.GetString(template)).Render(Variables);
                Assert.Equal(rendered ?? "", text);
                return rendered is not null;
            }
            catch (ChatTemplateException)
            {
                return false;
            }
        });
        Assert.Equal(rendered is not null, answered);
    }

    [Theory]
    [InlineData("chatml")]
    [InlineData("tools")]
    public void A_damaged_template_is_rendered_or_refused(string name)
    {
        string source = File.ReadAllText(Repository.Fixture("chat_templates", $"{name}.jinja"));
        string[] pieces = ["{% for i in range(10**6) %}", "{% endfor %}", "{{ messages * 3 }}", " | tojson", ".split('')", "[::-1]",
            "{%- macro m(x) %}", "{% endmacro %}", "{{", "}}", "{%", "%}", "'", "\"", "~", "**", "not ", " is ", "(", ")", "[", "]",
            "loop.previtem", "namespace(", "\\ud800", "{# ", "{% raw %}", "1e999", "|sort|unique|list"];
        FuzzRun.Check(1500, factor: 0, constant: 1L << 30, mutator => Encoding.UTF8.GetBytes(mutator.Text(source, pieces)), file =>
        {
            try
            {
                _ = ChatTemplate.Parse(Encoding.UTF8.GetString(file)).Render(Variables);
                return true;
            }
            catch (Exception e) when (e is InvalidDataException or ChatTemplateException)
            {
                return false;
            }
        });
    }
}
