namespace Understory.Decoding.Tree;

/// <summary>
/// Who proposes: what an answer and the metrics call it, and what is believed of it before anything was observed. A drafter makes one of
/// its own; those of the house stand here. Compared by reference.
/// </summary>
public sealed class Stage
{
    private static int _made;

    /// <param name="name">Lower case, as in answers and metrics.</param>
    public Stage(string name)
    {
        Name = name;
        Index = Interlocked.Increment(ref _made) - 1;
    }

    /// <summary>The root, and every token that the target added itself.</summary>
    public static Stage Target { get; } = new("target") { Colour = -1 };

    /// <summary>What stood in the text before, and the trigram.</summary>
    public static Stage Ngram { get; } = new("ngram")
    {
        Colour = 172,
        Prior = [0.25f, 0.08f, 0.04f, 0.02f],
        PriorSampled = [0.25f, 0.08f, 0.04f, 0.02f],
        // A draft that was asked and did not say so seldom errs, until it is seen to.
        Disputed = new Stage("disputed") { Trust = 0.3f },
    };

    /// <summary>The draft model.</summary>
    public static Stage Draft { get; } = new("draft") { Colour = 69, Decay = 0.95f, Steady = true };

    /// <summary>What the target said behind guessed texts of earlier passes.</summary>
    public static Stage Lookahead { get; } = new("lookahead")
    {
        Prior = [0.2f, 0.08f, 0.04f, 0.02f],
        PriorSampled = [0.15f, 0.06f, 0.04f, 0.02f],
        Trust = 0.5f,
    };

    /// <summary>The only text that a constraint leaves.</summary>
    public static Stage Grammar { get; } = new("grammar");

    /// <summary>The answer that the request predicts.</summary>
    public static Stage Prediction { get; } = new("prediction");

    public string Name { get; }

    /// <summary>Its place in tables; stages are numbered as they are made.</summary>
    public int Index { get; }

    /// <summary>Of the 256 colours of a terminal; -1: none.</summary>
    public int Colour { get; init; } = 72;

    /// <summary>
    /// How often the first, second, ... candidate is right, greedy, before any was seen. The house's are chosen, near what the demo's
    /// draft attains.
    /// </summary>
    public IReadOnlyList<float> Prior { get; init; } = [0.55f, 0.15f, 0.06f, 0.03f];

    /// <summary>The same where the request samples.</summary>
    public IReadOnlyList<float> PriorSampled { get; init; } = [0.45f, 0.15f, 0.07f, 0.05f];

    /// <summary>
    /// What one decision leaves of the memory of how a sequence goes: 0.95 remembers some 20 tokens, 0.88 some 8. Chosen.
    /// </summary>
    public float Decay { get; init; } = 0.88f;

    /// <summary>Share of its own estimate that is believed before anything was observed.</summary>
    public float Trust { get; init; } = 1;

    /// <summary>
    /// How a sequence goes moves all of its estimates alike. Else those that are sure go by themselves: an n-gram that is sure has found a
    /// long repetition, and that it knew little before says nothing of it.
    /// </summary>
    public bool Steady { get; init; }

    /// <summary>The judge of its guesses that a draft model does not confirm; null: no draft model is a judge of them.</summary>
    public Stage? Disputed { get; init; }

    public override string ToString() => Name;
}
