using System.Runtime.InteropServices;
using Understory.Models.Tokenizers;
using Understory.Models.Tokenizers.PreTokenization;

namespace Understory.Training.Tokens;

/// <summary>Counts the words of texts, cut as the tokenizer will cut them; special tokens are no words.</summary>
internal sealed class WordCounter(IReadOnlyList<string> specials)
{
    /// <summary>
    /// Digits stand alone, so that sums can be learned; all else as GPT-2 cuts it. GGUF files call it so.
    /// </summary>
    public const string PreTokenizer = "smollm";

    private readonly IPreTokenizer _words = GgufPreTokenizers.Find(PreTokenizer).Words;
    private readonly Dictionary<string, long> _counts = [];

    public IReadOnlyDictionary<string, long> Counts => _counts;

    public void Add(string text)
    {
        foreach (string part in text.Split([.. specials], StringSplitOptions.RemoveEmptyEntries))
        {
            var pieces = new Pieces(part.AsMemory(), isStart: true);
            _words.Apply(pieces);
            var known = _counts.GetAlternateLookup<ReadOnlySpan<char>>();
            foreach (Piece piece in pieces.All)
            {
                CollectionsMarshal.GetValueRefOrAddDefault(known, pieces[piece], out _)++;
            }
        }
    }
}
