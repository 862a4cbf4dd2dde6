using System.Text.RegularExpressions;
using Understory.Training.Texts;

namespace Understory.Training.Curriculum;

/// <summary>A function as it was written.</summary>
/// <param name="Name">What it is called.</param>
/// <param name="Prompt">Everything before the body: imports, signature, docstring. It ends with a line break.</param>
/// <param name="Body">Indented; ends with a line break.</param>
/// <param name="Template">What it was written from.</param>
internal sealed record WrittenFunction(string Name, string Prompt, string Body, FunctionTemplate Template)
{
    public string Text => Prompt + Body;
}

/// <summary>
/// Writes functions from templates in varied names, styles, docstrings and type hints. Without a docstring a prompt would be the beginning
/// of others, so that only prompts with one are ever held out (<see cref="WriteHeldOut"/>).
/// </summary>
internal static partial class FunctionWriter
{
    private const string Indent = "    ";

    private enum Hints
    {
        None,
        Modern,
        Typing,
    }

    /// <summary>A function to train on: its prompt is not held out.</summary>
    public static WrittenFunction Write(FunctionTemplate template, SeededRandom random, string? name = null)
    {
        WrittenFunction written;
        do
        {
            written = Draw(template, random, name);
        }
        while (HoldOut.Holds(written.Prompt));
        return written;
    }

    /// <summary>A function whose prompt is held out; it has a docstring.</summary>
    public static WrittenFunction WriteHeldOut(FunctionTemplate template, SeededRandom random)
    {
        WrittenFunction written;
        do
        {
            written = Draw(template, random, null);
        }
        while (!HoldOut.Holds(written.Prompt) || !written.Prompt.EndsWith("\"\"\"\n", StringComparison.Ordinal));
        return written;
    }

    private static WrittenFunction Draw(FunctionTemplate template, SeededRandom random, string? name)
    {
        name ??= random.Of(template.Names);
        string body = random.Of(template.Bodies);
        Dictionary<string, string> names = ChooseNames(template, body, name, random);
        Hints hints = random.Below(100) switch { < 45 => Hints.None, < 85 => Hints.Modern, _ => Hints.Typing };
        string signature = Signature(template, name, names, hints, out string imports);
        string prompt = imports + Documented(template, name, names, signature, random);
        return new WrittenFunction(name, prompt, Indented(Fill(body, names)), template);
    }

    /// <summary>A name for everything behind a <c>$</c>: no two the same, and none that the body uses as it is.</summary>
    private static Dictionary<string, string> ChooseNames(FunctionTemplate template, string body, string name, SeededRandom random)
    {
        HashSet<string> taken = [.. Words().Matches(body).Select(match => match.Value), name];
        var names = new Dictionary<string, string> { ["f"] = name };
        foreach (TemplateParameter parameter in template.Parameters)
        {
            Choose(parameter.Key, parameter.Names);
        }

        foreach (Match variable in Variables().Matches(body))
        {
            if (!names.ContainsKey(variable.Groups[1].Value))
            {
                Choose(variable.Groups[1].Value, CommonNames.Of(variable.Groups[1].Value));
            }
        }

        return names;

        void Choose(string key, IReadOnlyList<string> choices)
        {
            // The usual name is the likeliest.
            string chosen = random.Percent(45) ? choices[0] : random.Of(choices);
            if (!taken.Add(chosen))
            {
                chosen = choices.FirstOrDefault(taken.Add) ?? key;
                for (int number = 2; names.ContainsValue(chosen); number++)
                {
                    chosen = key + number;
                }

                taken.Add(chosen);
            }

            names.Add(key, chosen);
        }
    }

    private static string Signature(
        FunctionTemplate template, string name, Dictionary<string, string> names, Hints hints, out string imports)
    {
        imports = "";
        if (hints == Hints.None)
        {
            return $"def {name}({string.Join(", ", template.Parameters.Select(parameter => names[parameter.Key]))}):\n";
        }

        var generics = new SortedSet<string>(StringComparer.Ordinal);
        string signature = $"def {name}({string.Join(", ", template.Parameters.Select(parameter =>
            $"{names[parameter.Key]}: {Written(parameter.Type)}"))}) -> {Written(template.Returns)}:\n";
        imports = generics.Count > 0 ? $"from typing import {string.Join(", ", generics)}\n\n\n" : "";
        return signature;

        string Written(string type) => (hints == Hints.Modern ? type : Generics().Replace(type, match =>
        {
            string generic = Phrase.Capital(match.Value);
            generics.Add(generic);
            return generic;
        })).Replace(",", ", ");
    }

    private static string Documented(
        FunctionTemplate template, string name, Dictionary<string, string> names, string signature, SeededRandom random)
    {
        string sentence = Phrase.Docstring(Fill(random.Of(template.Descriptions), names), random);
        string examples = string.Concat(
            template.Examples.Take(random.Between(1, 2)).Select(example =>
                $"{Indent}>>> {name}({example.Arguments})\n{Indent}{example.Value}\n"));
        return random.Below(100) switch
        {
            < 12 => signature,
            < 20 => $"# {sentence}\n{signature}",
            < 55 => $"{signature}{Indent}\"\"\"{sentence}\"\"\"\n",
            < 62 => $"{signature}{Indent}'''{sentence}'''\n",
            < 70 => $"{signature}{Indent}\"\"\"\n{Indent}{sentence}\n{Indent}\"\"\"\n",
            < 85 => $"{signature}{Indent}\"\"\"{sentence}\n\n{examples}{Indent}\"\"\"\n",
            _ => $"{signature}{Indent}\"\"\" {sentence}\n{examples}{Indent}\"\"\"\n",
        };
    }

    private static string Fill(string text, Dictionary<string, string> names) =>
        Variables().Replace(text, match => names[match.Groups[1].Value]);

    private static string Indented(string body) => string.Concat(body.Split('\n').Select(line => $"{Indent}{line}\n"));

    [GeneratedRegex(@"\$([a-z_]+[0-9]*)")]
    private static partial Regex Variables();

    [GeneratedRegex(@"(?<![\w$.])[A-Za-z_]\w*")]
    private static partial Regex Words();

    [GeneratedRegex(@"\b(list|dict|tuple)(?=\[)")]
    private static partial Regex Generics();
}
