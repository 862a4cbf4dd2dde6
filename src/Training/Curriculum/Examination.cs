using System.Text.RegularExpressions;

namespace Understory.Training.Curriculum;

/// <summary>What a model wrote.</summary>
/// <param name="Ended">It ended by itself, not by the limit.</param>
internal sealed record Reply(string Text, bool Ended);

/// <summary>How the examination went, of <see cref="CurriculumSource.HeldOutPrompts"/> each.</summary>
/// <param name="Functions">Whole functions that parse and ended by themselves, and not before they began.</param>
/// <param name="Questions">Answers that have the words they must.</param>
/// <param name="Repeating">Of all, those that say a line three times running.</param>
internal sealed record Marks(int Functions, int Questions, int Repeating)
{
    public const int WantedFunctions = 36;
    public const int WantedQuestions = 34;
    public const int MostRepeating = 2;

    public bool Passed => Functions >= WantedFunctions && Questions >= WantedQuestions && Repeating <= MostRepeating;
}

/// <summary>
/// Examines a model by prompts that it cannot have seen: functions to write and questions to answer, greedy, of at most
/// <see cref="MostTokens"/> tokens.
/// </summary>
internal static class Examination
{
    public const int MostTokens = 128;

    /// <param name="write">Answers a prompt, special tokens in it read as such, greedy, within <see cref="MostTokens"/> tokens.</param>
    public static Marks Hold(Func<string, Reply> write)
    {
        IReadOnlyList<WrittenFunction> functions = CurriculumSource.HeldOutFunctions();
        IReadOnlyList<Exchange> questions = CurriculumSource.HeldOutQuestions();
        Reply[] bodies = [.. functions.Select(function => write(function.Prompt))];
        Reply[] answers = [.. questions.Select(question => write(question.Prompt))];
        string?[] faults = PythonCheck.Faults([.. functions.Zip(bodies, (function, body) => function.Prompt + body.Text)]);
        return new Marks(
            bodies.Zip(faults).Count(pair => pair.First.Ended && !string.IsNullOrWhiteSpace(pair.First.Text) && pair.Second is null),
            questions.Zip(answers).Count(pair => HasWords(pair.Second.Text, pair.First.Musts)),
            bodies.Concat(answers).Count(reply => Repeats(reply.Text)));
    }

    /// <summary>Whether <paramref name="answer"/> has all words, as whole words, whatever their case; of <c>a/b</c> one.</summary>
    public static bool HasWords(string answer, IReadOnlyList<string> musts) =>
        musts.All(must => Has(answer, must) || (!must.Contains("//") && must.Split('/').Any(choice => Has(answer, choice))));

    /// <summary>Whether a line that is not empty comes three times running.</summary>
    public static bool Repeats(string text)
    {
        string[] lines = text.Split('\n');
        for (int i = 2; i < lines.Length; i++)
        {
            if (lines[i].Trim().Length > 0 && lines[i] == lines[i - 1] && lines[i] == lines[i - 2])
            {
                return true;
            }
        }

        return false;
    }

    private static bool Has(string answer, string word) =>
        word.Length > 0 && Regex.IsMatch(answer, $@"(?<!\w){Regex.Escape(word)}(?!\w)", RegexOptions.IgnoreCase);
}
