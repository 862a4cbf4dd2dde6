using System.Text;

namespace Understory.Models.Tokenizers.PreTokenization;

/// <summary>Cuts text into the words that are encoded one by one.</summary>
internal interface IPreTokenizer
{
    /// <summary>It only cuts: the pieces are stretches of the text as it was.</summary>
    bool CutsOnly => false;

    void Apply(Pieces pieces);
}

/// <summary>One pre-tokenizer after the other, each on the pieces of the one before.</summary>
internal sealed class PreTokenizerSequence(IReadOnlyList<IPreTokenizer> steps) : IPreTokenizer
{
    /// <summary>The first step, and the others; null where there is none.</summary>
    public (IPreTokenizer? First, PreTokenizerSequence Others) Parted => (steps.Count > 0 ? steps[0] : null, new([.. steps.Skip(1)]));

    public void Apply(Pieces pieces)
    {
        foreach (IPreTokenizer step in steps)
        {
            step.Apply(pieces);
        }
    }
}

/// <summary>
/// GPT-2's pre-tokenizer. That symbols are bytes is mostly the encoding's matter (<see cref="BytePairOptions.ByteLevel"/>); what remains
/// is the blank put in front of a piece, and GPT-2's pattern.
/// </summary>
/// <param name="writesBytes">The bytes are written out here as letters, since further steps look at them.</param>
internal sealed class ByteLevelPreTokenizer(bool addPrefixSpace, bool usePattern, bool writesBytes) : IPreTokenizer
{
    public bool CutsOnly => !addPrefixSpace && usePattern && !writesBytes;

    public void Apply(Pieces pieces)
    {
        if (addPrefixSpace)
        {
            pieces.Rewrite((text, _) => text.StartsWith(' ') ? null : ' ' + text);
        }

        if (usePattern)
        {
            pieces.Cut(WordScanner.Gpt2.Cut);
        }

        if (writesBytes)
        {
            pieces.Rewrite((text, _) => ByteAlphabet.Write(Encoding.UTF8.GetBytes(text)));
        }
    }
}

/// <summary>Cuts into the words of a known pattern.</summary>
internal sealed class ScannerPreTokenizer(WordScanner scanner) : IPreTokenizer
{
    public bool CutsOnly => true;

    public void Apply(Pieces pieces) => pieces.Cut(scanner.Cut);
}

/// <summary>When <see cref="MetaspacePreTokenizer"/> puts its letter in front of a piece.</summary>
internal enum PrependScheme
{
    Never,
    First,
    Always,
}

/// <summary>SentencePiece's writing of blanks: <paramref name="letter"/> for a blank, and cuts in front of each.</summary>
internal sealed class MetaspacePreTokenizer(char letter, PrependScheme scheme, bool split) : IPreTokenizer
{
    public void Apply(Pieces pieces)
    {
        pieces.Rewrite((text, start) =>
        {
            string written = text.Replace(' ', letter);
            bool prepend = scheme == PrependScheme.Always || (scheme == PrependScheme.First && start == 0 && pieces.IsStart);
            return prepend && !written.StartsWith(letter) ? letter + written : ReferenceEquals(written, text) ? null : written;
        });

        if (split)
        {
            var cutter = new SplitPreTokenizer(new LiteralMatcher(letter.ToString()), SplitBehavior.MergedWithNext, invert: false);
            cutter.Apply(pieces);
        }
    }
}
