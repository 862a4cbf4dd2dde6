using Understory.Training.Texts;

namespace Understory.Training.Curriculum;

/// <summary>
/// What people may ask, and what the demo answers. The file <c>dialogues.txt</c> holds one after the other, parted by empty lines: the
/// name, questions (<c>?</c>), answers (<c>&gt;</c>), and the words that every answer has (<c>!</c>; <c>a/b</c>: one of the two).
/// </summary>
internal sealed record Topic(string Name, IReadOnlyList<string> Questions, IReadOnlyList<string> Answers, IReadOnlyList<string> Musts)
{
    private static readonly Lazy<IReadOnlyList<Topic>> _all =
        new(() => [.. Resources.Paragraphs(Resources.Text("dialogues.txt")).Select(Parse)]);

    public static IReadOnlyList<Topic> All => _all.Value;

    public static Topic Named(string name) => All.Single(topic => topic.Name == name);

    /// <summary>A question of it. Those with more wordings are likelier.</summary>
    public string Ask(SeededRandom random)
    {
        long[] weights = [.. Questions.Select(question => 1 + (long)Math.Sqrt(Alternatives.Count(question)))];
        long at = random.Below((int)weights.Sum());
        int chosen = 0;
        while (at >= weights[chosen])
        {
            at -= weights[chosen++];
        }

        return Alternatives.Choose(Questions[chosen], random);
    }

    public string Answer(SeededRandom random) => Alternatives.Choose(random.Of(Answers), random);

    private static Topic Parse(string text)
    {
        string[] lines = text.Split('\n');
        return new Topic(lines[0], Behind("? "), Behind("> "), [.. Behind("! ").SelectMany(line => line.Split(' '))]);

        List<string> Behind(string mark) =>
            [.. lines.Where(line => line.StartsWith(mark, StringComparison.Ordinal)).Select(line => line[mark.Length..])];
    }
}
