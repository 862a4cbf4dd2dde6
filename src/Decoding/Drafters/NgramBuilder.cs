namespace Understory.Decoding.Drafters;

/// <summary>Where the n-gram model's text comes from: a draft model that samples.</summary>
public interface ISampleSource
{
    /// <summary>
    /// Says what the samples depend on besides seed and index: model, temperature, length. Counts of one description are
    /// never continued with another.
    /// </summary>
    string Description { get; }

    /// <summary>The tokens of sample <paramref name="index"/>: the same for the same seed and index.</summary>
    int[] Sample(ulong seed, int index);
}

/// <summary>How far a build is.</summary>
/// <param name="Samples">Counted so far, those of earlier runs included.</param>
/// <param name="Total">To be counted in all.</param>
public readonly record struct NgramBuildProgress(int Samples, int Total, long Tokens, int DistinctTrigrams);

/// <summary>
/// Counts the n-grams of samples 0 .. <c>samples</c> - 1. It saves what it has every so often and goes on from there when it
/// is run again, so that an interruption changes nothing in the result.
/// </summary>
public sealed class NgramBuilder(ISampleSource source, int vocabularySize, string vocabulary)
{
    /// <summary>Samples between two saves of the progress file.</summary>
    public int SaveEvery { get; init; } = 64;

    /// <param name="progressPath">Holds the counts of an unfinished run; the caller deletes it once it has no more use.</param>
    /// <param name="progress">Told once at the start and after every sample.</param>
    /// <exception cref="InvalidDataException">The progress file is broken, or of another seed, vocabulary or source.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; what was counted is saved.</exception>
    public NgramCounts Run(ulong seed, int samples, string progressPath, IProgress<NgramBuildProgress>? progress = null,
        CancellationToken cancel = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(samples);
        (NgramCounts counts, int done) = File.Exists(progressPath)
            ? Load(progressPath, seed, samples)
            : (new NgramCounts(vocabularySize, vocabulary), 0);
        int saved = done;
        Report();
        while (done < samples && !cancel.IsCancellationRequested)
        {
            counts.Add(source.Sample(seed, done));
            done++;
            if (done - saved >= SaveEvery)
            {
                Save(progressPath, seed, done, counts);
                saved = done;
            }

            Report();
        }

        if (done > saved)
        {
            Save(progressPath, seed, done, counts);
        }

        if (done < samples)
        {
            cancel.ThrowIfCancellationRequested();
        }

        return counts;

        void Report() => progress?.Report(new NgramBuildProgress(done, samples, counts.Tokens, counts.DistinctTrigrams));
    }

    private static ReadOnlySpan<byte> Magic => "UNGRAMP1"u8;

    private void Save(string path, ulong seed, int done, NgramCounts counts) => NgramFileWriter.Replace(path, Magic, writer =>
    {
        writer.WriteText(source.Description);
        writer.WriteLong((long)seed);
        writer.WriteInt(done);
        counts.Write(writer);
    });

    private (NgramCounts Counts, int Done) Load(string path, ulong seed, int samples)
    {
        using var reader = new NgramFileReader(path, Magic);
        string description = reader.ReadText("description");
        reader.Require(description == source.Description, $"it counts samples of \"{description}\", not of \"{source.Description}\"");
        ulong found = (ulong)reader.ReadLong("seed");
        reader.Require(found == seed, $"it counts samples of seed {found}, not {seed}");
        int done = reader.ReadInt("number of samples", 0, int.MaxValue);
        reader.Require(done <= samples, $"it counts {done} samples already, {samples} are asked for");
        NgramCounts counts = NgramCounts.Read(reader);
        reader.End();
        reader.Require(
            counts.VocabularySize == vocabularySize && counts.Vocabulary == vocabulary,
            "it counts tokens of another vocabulary");
        return (counts, done);
    }
}
