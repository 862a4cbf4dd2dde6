using System.Text;
using Understory.Training.Curriculum;
using Understory.Training.Optimisation;

namespace Understory.Training.Demo;

/// <summary>What one should know of the demo, as its README.md says it.</summary>
internal sealed class DemoCard
{
    private const int Columns = 140;

    private readonly StringBuilder _text = new();

    /// <param name="parts">The files beside the card, and their bytes.</param>
    public static string Write(DemoPlan plan, DemoTexts texts, TrainingState target, TrainingState draft, DemoResult result,
        IReadOnlyDictionary<string, long> parts)
    {
        var card = new DemoCard();
        card.Say("# The demo");
        card.Say("A model that comes with Understory, so that it can be tried before anything is downloaded. It writes small Python "
            + "functions, adds small numbers, and tells how to use the server.");
        card.Say("**Not for** anything else: it knows nothing of the world, and what it writes must be read before it is run. Nobody has "
            + "made it safe. For real answers take a real model.");
        card.WhatItIs(plan, parts);
        card.HowItWasMade(plan, target, draft);
        card.HowGoodItIs(result);
        card.WhatItKnows(texts);
        return card._text.ToString();
    }

    private void WhatItIs(DemoPlan plan, IReadOnlyDictionary<string, long> parts)
    {
        PairSettings pair = plan.Settings;
        Say("## What it is");
        Table(["part", "file", "bytes"],
        [
            [$"target: Llama, {pair.Target.Parameters / 1e6:F2}M weights, Q8_0, vocabulary {plan.Vocabulary:N0}, context "
                + $"{pair.Target.Context:N0}", "target.gguf", $"{parts["target.gguf"]:N0}"],
            [$"draft: Llama, {pair.Draft.Parameters / 1e6:F2}M weights, Q8_0, distilled from the target", "draft.gguf",
                $"{parts["draft.gguf"]:N0}"],
            [$"Katz trigram of {plan.Request.NgramTokens:N0} tokens that the draft wrote", "draft.ngram", $"{parts["draft.ngram"]:N0}"],
        ]);
        Say($"Together {parts.Values.Sum() / 1048576.0:F1} MiB. MIT licence, like the program.");
    }

    private void HowItWasMade(DemoPlan plan, TrainingState target, TrainingState draft)
    {
        Say("## How it was made");
        Say($"    dotnet run -c Release --project src/Training -- demo {plan.Request.Options}");
        if (plan.Request.Excluded.Length > 0)
        {
            Say($"The files: {plan.Request.Excluded} (a hash of each).");
        }

        Say($"The target was trained on {Tokens(target):F2}M tokens in {target.Seconds / 3600:F2} hours, the draft on {Tokens(draft):F2}M "
            + $"in {draft.Seconds / 3600:F2}: nine tenths in texts of {plan.Settings.ShortTexts} tokens, the rest in texts of "
            + $"{plan.Settings.LongTexts:N0}. Curves: [target](target-loss.svg), [draft](draft-loss.svg).");
        foreach ((string name, TrainingState state) in new[] { ("target", target), ("draft", draft) })
        {
            if (state.HeldOut is [.., HeldOutPoint last])
            {
                Say($"Held-out loss of the {name}, nats a token: "
                    + string.Join(", ", last.Parts.Select(part => $"{part.Key} {part.Value:F3}")) + ".");
            }
        }

        static double Tokens(TrainingState state) => state.Step * state.Settings.BatchTokens / 1e6;
    }

    private void HowGoodItIs(DemoResult result)
    {
        Say("## How good it is");
        int each = CurriculumSource.HeldOutPrompts;
        Table([$"of {each} functions and {each} questions that no text of its training holds", "attained", "wanted"],
        [
            [$"functions that parse and end by themselves within {Examination.MostTokens} tokens, greedy", $"{result.Marks.Functions}",
                $"{Marks.WantedFunctions}"],
            ["questions answered with the words that they must have", $"{result.Marks.Questions}", $"{Marks.WantedQuestions}"],
            [$"of all {2 * each}, those with a line three times running", $"{result.Marks.Repeating}", $"at most {Marks.MostRepeating}"],
            ["tokens of the draft that the target takes", $"{100 * result.Acceptance:F0} %", $"{100 * DemoResult.WantedAcceptance:F0} %"],
            ["`auto`, in times the speed of `off`, median", $"{result.Auto:F2}", "1.00"],
            ["the same text with and without speculation", result.Equal ? "yes" : "no", "yes"],
            .. result.Tasks == 0 ? [] : (string[][])
                [[$"HumanEval: of {result.Tasks} prompts, those that parse with the answer", $"{result.TasksParsed}", "(not aimed at)"]],
        ]);
    }

    private void WhatItKnows(DemoTexts texts)
    {
        Say("## What it was trained on");
        Say($"The curriculum in `src/Training/Curriculum`, all words of this project's own: {FunctionTemplate.All.Count} small functions "
            + "in varied names, styles and docstrings, and conversations.");
        if (texts.Functions.Count == 0)
        {
            Say("Nothing else.");
            return;
        }

        Say($"As many tokens again of {texts.Functions.Count:N0} single functions with docstrings ({texts.FunctionTokens / 1e6:F2}M "
            + "tokens) from the Debian packages below, whose copyright files name permissive licences only. Functions that share a name "
            + "of several words, or eight words running, with HumanEval's were left out; some of the curriculum's own have such a name "
            + "(is_prime, find_max), none its text.");
        Table(["package", "version", "functions", "licences", "SHA-256 of the .deb"],
        [
            .. texts.Packages.Where(package => package.Functions > 0).Select(package => (string[])
                [package.Package, package.Version, $"{package.Functions:N0}", string.Join(", ", package.Licences), package.Sha256]),
        ]);
    }

    /// <summary>A paragraph, filled; what is indented stands as it is.</summary>
    private void Say(string paragraph)
    {
        _text.Append(_text.Length == 0 ? "" : "\n");
        int width = 0;
        foreach (string word in paragraph.StartsWith(' ') ? [paragraph] : paragraph.Split(' '))
        {
            bool begins = width == 0 || width + 1 + word.Length > Columns;
            _text.Append(width == 0 ? "" : begins ? "\n" : " ").Append(word);
            width = begins ? word.Length : width + 1 + word.Length;
        }

        _text.Append('\n');
    }

    private void Table(string[] heads, IEnumerable<string[]> rows)
    {
        _text.Append('\n');
        foreach (string[] cells in rows.Prepend([.. heads.Select(_ => "---")]).Prepend(heads))
        {
            _text.Append("| ").AppendJoin(" | ", cells).Append(" |\n");
        }
    }
}
