using System.Globalization;
using Understory.Training.Network;

namespace Understory.Training.Demo;

/// <summary>What is asked for; a work folder holds the run of one request.</summary>
/// <param name="Hours">That training may take.</param>
/// <param name="Tokens">To train the target on, in place of what the hours allow; null: as many as they do.</param>
/// <param name="NgramTokens">That the draft writes for the n-gram.</param>
/// <param name="Packages">So many of Debian's packages are read, the first ones of the list.</param>
/// <param name="Excluded">The files whose text must not be trained on, by name and hash; empty: none.</param>
internal sealed record DemoRequest(double Hours, long? Tokens, long NgramTokens, int Packages, int Seed, string Excluded = "")
{
    /// <summary>As they were given.</summary>
    public string Options => string.Create(CultureInfo.InvariantCulture,
        $"{(Tokens is { } tokens ? $"--tokens {tokens}" : $"--hours {Hours}")} --ngram-tokens {NgramTokens} --packages {Packages} "
        + $"--seed {Seed}{(Excluded.Length == 0 ? "" : " --exclude FILES")}");

    public string Describe() => Excluded.Length == 0 ? Options : $"{Options} ({Excluded})";
}

/// <summary>How much is trained on, once the machine's speed is known.</summary>
/// <param name="Threads">That it is trained with: a run that goes on elsewhere takes as many.</param>
internal sealed record DemoPlan(
    DemoRequest Request, int Vocabulary, double TokensPerSecond, long TargetTokens, long DraftTokens, int Threads)
{
    /// <summary>Of the vocabulary, special tokens included.</summary>
    public const int VocabularySize = 4096;

    /// <summary>Longest text in tokens that is trained on at once, and of functions that are taken.</summary>
    public const int TextTokens = 256;

    private const int Context = 1024;

    /// <summary>
    /// Of the hours, what the target's own steps get; the draft learns from half as many tokens, at about half of their time (the target's
    /// forward and a ninth of its size), and the n-gram is counted in the rest.
    /// </summary>
    private const double TargetShare = 0.65;

    private const long FewestTokens = 100_000;

    /// <summary>4.7M weights.</summary>
    public static LlamaShape Target(int vocabulary) =>
        new(vocabulary, Hidden: 256, Layers: 5, Heads: 4, KvHeads: 2, Width: 704, Context);

    /// <summary>0.58M weights.</summary>
    public static LlamaShape Draft(int vocabulary) => new(vocabulary, Hidden: 96, Layers: 2, Heads: 3, KvHeads: 3, Width: 192, Context);

    /// <param name="tokensPerSecond">That the target's training takes here.</param>
    public static DemoPlan Make(DemoRequest request, int vocabulary, double tokensPerSecond)
    {
        long target = request.Tokens ?? Math.Max(FewestTokens, (long)(request.Hours * 3600 * TargetShare * tokensPerSecond));
        return new DemoPlan(request, vocabulary, tokensPerSecond, target, Math.Max(1, target / 2), Environment.ProcessorCount);
    }

    public PairSettings Settings => new(Target(Vocabulary), Draft(Vocabulary), TargetTokens, DraftTokens, Request.NgramTokens)
    {
        ShortTexts = TextTokens,
        LongTexts = Context,
        Seed = Request.Seed,
        Threads = Threads,
    };
}
