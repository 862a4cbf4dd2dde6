using Understory.Training.Texts;

namespace Understory.Training.Curriculum;

/// <summary>Requests for functions, and what may be asked about one that was written.</summary>
internal static class Requests
{
    private static readonly string[] _fence = ["Here it is:\n", "Here is one:\n", "Sure:\n", "Gladly:\n", ""];

    public static Exchange Draw(SeededRandom random)
    {
        FunctionTemplate template = random.Of(FunctionTemplate.All);
        string? name = random.Percent(25) ? random.Of(template.Names) : null;
        string does = Phrase.Relative(random.Of<string>([.. template.Descriptions.Where(line => !line.Contains('$'))]), random);
        string called = name is null ? "" : $" {name}";
        string question = random.Pick(
            $"Write a function{called} that {does}.", $"Write a function{called} that {does}.", $"write a function{called} that {does}",
            $"Write a Python function{called} that {does}.", $"Can you write a function{called} that {does}?",
            $"Please write a function{called} that {does}.", $"Give me a function{called} that {does}.",
            $"I need a function{called} that {does}.", $"I need a Python function{called} which {does}.",
            $"How do I write a function{called} that {does}?", $"Show me a function{called} that {does}, please.",
            $"Define a function{called} that {does}.", $"python function{called} that {does}",
            $"Could you write me a function{called} that {does}?", $"Implement a function{called} that {does}.");
        WrittenFunction function = FunctionWriter.Write(template, random, name);
        return new Exchange("function", question, random.Of(_fence) + Fenced(function), ["def", "return"], function);
    }

    /// <summary>What may be said after a function was written.</summary>
    public static Exchange FollowUp(WrittenFunction written, SeededRandom random)
    {
        FunctionTemplate template = written.Template;
        if (random.Percent(50))
        {
            Example example = random.Of(template.Examples);
            string question = random.Pick(
                "What is {0}?", "What does {0} return?", "what does {0} give", "And {0}?", "What do I get from {0}?",
                "Which value has {0}?")
                .Replace("{0}", $"{written.Name}({example.Arguments})");
            string answer = $"`{written.Name}({example.Arguments})` returns `{example.Value}`.";
            return new Exchange("example", question, answer, [example.Value]);
        }

        WrittenFunction other;
        do
        {
            other = FunctionWriter.Write(template, random, written.Name);
        }
        while (other.Body == written.Body);
        string another = random.Pick("Can you do it in another way?", "Another way, please.", "Write it differently.",
            "Is there another way?", "Show me another version.", "Can you write it differently?", "Please write it in another way.",
            "Give me an alternative.");
        string opener = random.Pick("Here is another way:\n", "In another way:\n", "");
        return new Exchange("function", another, opener + Fenced(other), ["def"], other);
    }

    private static string Fenced(WrittenFunction function) => $"```python\n{function.Text}```";
}
