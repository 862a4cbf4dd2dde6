using System.Runtime.InteropServices;
using Understory.Models.Tokenizers;
using Understory.Training.Files;

namespace Understory.Training.Texts;

/// <summary>The tokens of many texts, one behind the other, each ended by the end-of-text token.</summary>
/// <param name="Tokens">All of them.</param>
public sealed record TokenFile(int[] Tokens)
{
    private static ReadOnlySpan<byte> Magic => "UNTOKEN1"u8;

    /// <summary>
    /// Takes texts from all sources, about as many tokens of each, until there are enough; a source that ends begins again with another
    /// seed.
    /// </summary>
    /// <exception cref="TrainingException">A source has no text.</exception>
    public static TokenFile Collect(IReadOnlyList<ITextSource> sources, Tokenizer tokenizer, int end, long wanted, int seed)
    {
        var tokens = new List<int>(checked((int)wanted));
        Cursor[] cursors = [.. sources.Select(source => new Cursor(source, seed))];
        try
        {
            while (tokens.Count < wanted)
            {
                Cursor least = cursors.MinBy(cursor => cursor.Tokens)!;
                int[] text = tokenizer.Bare.Encode(least.Next());
                tokens.AddRange(text);
                tokens.Add(end);
                least.Tokens += text.Length + 1;
            }
        }
        finally
        {
            Array.ForEach(cursors, cursor => cursor.Dispose());
        }

        return new TokenFile([.. tokens]);
    }

    public void Save(string path) => AtomicFile.Write(path, stream =>
    {
        stream.Write(Magic);
        stream.Write(MemoryMarshal.AsBytes(Tokens.AsSpan()));
    });

    /// <exception cref="TrainingException">It is no such file.</exception>
    public static TokenFile Load(string path)
    {
        using FileStream stream = File.OpenRead(path);
        byte[] magic = new byte[Magic.Length];
        int read = stream.ReadAtLeast(magic, magic.Length, throwOnEndOfStream: false);
        if (read < magic.Length || !magic.AsSpan().SequenceEqual(Magic) || (stream.Length - magic.Length) % sizeof(int) != 0)
        {
            throw new TrainingException($"{path} holds no tokens: delete it to have it made anew.");
        }

        int[] tokens = new int[(stream.Length - magic.Length) / sizeof(int)];
        stream.ReadExactly(MemoryMarshal.AsBytes(tokens.AsSpan()));
        return new TokenFile(tokens);
    }

    private sealed class Cursor(ITextSource source, int seed) : IDisposable
    {
        private IEnumerator<string> _texts = source.Texts(seed).GetEnumerator();
        private int _seed = seed;

        public long Tokens { get; set; }

        public string Next()
        {
            if (_texts.MoveNext())
            {
                return _texts.Current;
            }

            _texts.Dispose();
            _texts = source.Texts(++_seed).GetEnumerator();
            return _texts.MoveNext() ? _texts.Current : throw new TrainingException($"The source '{source.Name}' has no texts.");
        }

        public void Dispose() => _texts.Dispose();
    }
}
