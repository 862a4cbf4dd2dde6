using System.Runtime.InteropServices;
using Understory.Models.Tokenizers;
using Understory.Models.Tokenizers.PreTokenization;

namespace Understory.Training.Tokens;

/// <summary>Counts the words of texts, cut as the tokenizer will cut them; special tokens are no words.</summary>
internal sealed class WordCounter(IReadOnlyList<string> specials)
{
    /// <summary>
    /// Digits stand alone, so that sums can be learned. So do line breaks: a prompt often ends in one, and must be cut as the beginning of
    /// a text that goes on. (GPT-2 puts a line break and the next line's blanks together: behind a lone one only ends of texts were ever
    /// seen.) GGUF files call it so.
    /// </summary>
    public const string PreTokenizer = "seed-coder";

    /// <summary>The same as a tokenizer.json has it.</summary>
    public const string Pattern = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|"
        + @"\s+(?!\S)|\s+";

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
