namespace Understory.Models.Tokenizers.PreTokenization;

/// <summary>A stretch of text being cut into words, by one pre-tokenizer after the other.</summary>
/// <param name="text">The normalised text between two added tokens.</param>
/// <param name="isStart">Whether it begins where the whole input begins.</param>
internal sealed class Pieces(ReadOnlyMemory<char> text, bool isStart)
{
    private List<Piece> _pieces = [new Piece(0, text.Length)];
    private List<Piece> _cut = [];

    public ReadOnlyMemory<char> Text { get; private set; } = text;

    public bool IsStart { get; } = isStart;

    public IReadOnlyList<Piece> All => _pieces;

    public ReadOnlySpan<char> this[Piece piece] => Text.Span.Slice(piece.Start, piece.Length);

    /// <summary>Leaves the pieces from one on out.</summary>
    public void Truncate(int count) => _pieces.RemoveRange(count, _pieces.Count - count);

    /// <summary>Cuts every piece: <paramref name="cut"/> adds what is to remain of it. Empty pieces vanish.</summary>
    public void Cut(PieceCutter cut)
    {
        _cut.Clear();
        ReadOnlySpan<char> text = Text.Span;
        foreach (Piece piece in _pieces)
        {
            var sink = new PieceSink(_cut, piece.Start);
            cut(text.Slice(piece.Start, piece.Length), sink);
        }

        (_pieces, _cut) = (_cut, _pieces);
    }

    /// <summary>Replaces the text of every piece; null keeps it.</summary>
    public void Rewrite(Func<string, int, string?> rewrite)
    {
        var texts = new string[_pieces.Count];
        bool changed = false;
        for (int i = 0; i < texts.Length; i++)
        {
            string old = this[_pieces[i]].ToString();
            texts[i] = rewrite(old, _pieces[i].Start) ?? old;
            changed |= !ReferenceEquals(texts[i], old);
        }

        if (!changed)
        {
            return;
        }

        int start = 0;
        for (int i = 0; i < texts.Length; i++)
        {
            _pieces[i] = new Piece(start, texts[i].Length);
            start += texts[i].Length;
        }

        Text = string.Concat(texts).AsMemory();
    }
}

/// <summary>A range of <see cref="Pieces.Text"/>, in UTF-16 units.</summary>
internal readonly record struct Piece(int Start, int Length);

/// <summary>Cuts one piece: adds ranges of <paramref name="text"/> to <paramref name="sink"/>, in order.</summary>
internal delegate void PieceCutter(ReadOnlySpan<char> text, PieceSink sink);

/// <summary>Takes the ranges that a cutter adds, relative to the piece being cut.</summary>
internal readonly struct PieceSink(List<Piece> pieces, int origin)
{
    public void Add(int start, int end)
    {
        if (end > start)
        {
            pieces.Add(new Piece(origin + start, end - start));
        }
    }
}
