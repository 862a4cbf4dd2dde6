namespace Understory.Models.Tokenizers;

/// <summary>Takes the tokens of a text.</summary>
internal sealed class TokenSink
{
    private int _counted;

    /// <summary>The tokens, or where they are only counted the last of them.</summary>
    public List<int> Ids { get; } = [];

    public int Count => _counted + Ids.Count;

    /// <summary>Tokens are not kept.</summary>
    public bool Counts { get; init; }

    /// <summary>Is told what each token came of; null: nobody asks.</summary>
    public EncodingTrace? Trace { get; init; }

    /// <summary>Encoding may stop once there are more.</summary>
    public int Most { get; init; } = int.MaxValue;

    public bool IsFull => Count > Most;

    /// <summary>A stretch of text has become the tokens that were added last.</summary>
    public void Told(ReadOnlySpan<char> text)
    {
        Trace?.Add(text, Ids.Count);
        if (Counts)
        {
            _counted += Ids.Count;
            Ids.Clear();
        }
    }
}
