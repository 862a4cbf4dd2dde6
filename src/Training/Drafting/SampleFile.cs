using System.Runtime.InteropServices;

namespace Understory.Training.Drafting;

/// <summary>A piece of text with what the target thinks comes next at every place.</summary>
/// <param name="Tokens"><c>[length + 1]</c></param>
/// <param name="Kept"><c>[length, kept]</c>: the tokens that the target deems most probable behind each of the first <c>length</c>.</param>
/// <param name="LogProbs"><c>[length, kept]</c>: their log-probabilities, at temperature 1.</param>
internal sealed record Sample(int[] Tokens, int[] Kept, Half[] LogProbs);

/// <summary>
/// Samples of one size in a file that grows: what was only half written when a process ended is cut off when it is opened again.
/// </summary>
internal sealed class SampleFile : IDisposable
{
    private readonly FileStream _stream;
    private readonly int _length;
    private readonly int _kept;

    /// <param name="length">Places of a sample.</param>
    /// <param name="kept">Tokens kept at each.</param>
    /// <exception cref="TrainingException">The file has samples of another size.</exception>
    public SampleFile(string path, int length, int kept)
    {
        (_length, _kept) = (length, kept);
        _stream = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read);
        Span<byte> head = stackalloc byte[HeadBytes];
        Magic.CopyTo(head);
        BitConverter.TryWriteBytes(head[8..], length);
        BitConverter.TryWriteBytes(head[12..], kept);
        if (_stream.Length < HeadBytes)
        {
            _stream.SetLength(0);
            _stream.Write(head);
            _stream.Flush();
        }

        Span<byte> found = stackalloc byte[HeadBytes];
        _stream.Position = 0;
        _stream.ReadExactly(found);
        if (!found.SequenceEqual(head))
        {
            throw new TrainingException(
                $"{path} has no samples of {length} places with {kept} tokens each: delete it, or give another --work.");
        }

        Count = (int)((_stream.Length - HeadBytes) / SampleBytes);
        _stream.SetLength(HeadBytes + (Count * SampleBytes));
    }

    public int Count { get; private set; }

    private static ReadOnlySpan<byte> Magic => "UNSAMPL1"u8;

    private static int HeadBytes => 16;

    private long SampleBytes => (4L * (_length + 1)) + (6L * _length * _kept);

    public void Append(Sample sample)
    {
        _stream.Position = HeadBytes + (Count * SampleBytes);
        _stream.Write(MemoryMarshal.AsBytes(sample.Tokens.AsSpan()));
        _stream.Write(MemoryMarshal.AsBytes(sample.Kept.AsSpan()));
        _stream.Write(MemoryMarshal.AsBytes(sample.LogProbs.AsSpan()));
        _stream.Flush();
        Count++;
    }

    public Sample Read(int number)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)number, (uint)Count);
        var sample = new Sample(new int[_length + 1], new int[_length * _kept], new Half[_length * _kept]);
        _stream.Position = HeadBytes + (number * SampleBytes);
        _stream.ReadExactly(MemoryMarshal.AsBytes(sample.Tokens.AsSpan()));
        _stream.ReadExactly(MemoryMarshal.AsBytes(sample.Kept.AsSpan()));
        _stream.ReadExactly(MemoryMarshal.AsBytes(sample.LogProbs.AsSpan()));
        return sample;
    }

    public void Dispose() => _stream.Dispose();
}
