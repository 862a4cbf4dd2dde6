using Understory.Decoding.Drafters;

namespace Understory.Decoding.Tests.Drafters;

public sealed class NgramFileTests
{
    [Theory]
    [InlineData(60)]
    [InlineData(65_536)]
    [InlineData(70_000)]
    public void A_saved_model_loads_as_it_was(int vocabulary)
    {
        NgramCounts counts = new NgramText(1, 60, 3000, true).Counts();
        var wide = new NgramCounts(vocabulary, "tokens of ümlaut");
        wide.Add([0, vocabulary - 1, 0, vocabulary - 1, vocabulary - 2]);
        NgramModel model = NgramModel.Build(vocabulary == 60 ? counts : wide, new NgramBuildOptions());
        using var files = new TemporaryFiles();
        model.Save(files["model"]);
        NgramModel loaded = NgramModel.Load(files["model"]);
        Assert.Equal(model.Vocabulary, loaded.Vocabulary);
        Assert.Equal(model.VocabularySize, loaded.VocabularySize);
        Assert.Equal(new FileInfo(files["model"]).Length, loaded.Bytes);
        Assert.Equal(model.Bytes, loaded.Bytes);
        foreach (int u in (int[])[-1, 0, 1, vocabulary - 1])
        {
            foreach (int t in (int[])[-1, 0, 5, vocabulary - 1])
            {
                foreach (int v in (int[])[0, 1, 7, vocabulary - 2, vocabulary - 1])
                {
                    Assert.Equal(model.Probability(u, t, v), loaded.Probability(u, t, v));
                }
            }
        }
    }

    [Fact]
    public void Every_truncated_model_is_refused()
    {
        using var files = new TemporaryFiles();
        new NgramText(1, 5, 100, true).Model(long.MaxValue).Save(files["model"]);
        byte[] bytes = File.ReadAllBytes(files["model"]);
        for (int length = 0; length < bytes.Length; length++)
        {
            File.WriteAllBytes(files["cut"], bytes[..length]);
            var error = Assert.Throws<InvalidDataException>(() => NgramModel.Load(files["cut"]));
            Assert.Contains(files["cut"], error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Every_changed_byte_of_a_model_is_noticed()
    {
        using var files = new TemporaryFiles();
        new NgramText(1, 5, 100, true).Model(long.MaxValue).Save(files["model"]);
        byte[] bytes = File.ReadAllBytes(files["model"]);
        for (int i = 0; i < bytes.Length; i++)
        {
            foreach (byte change in (byte[])[1, 0x80, 0xFF])
            {
                bytes[i] ^= change;
                File.WriteAllBytes(files["changed"], bytes);
                Assert.Throws<InvalidDataException>(() => NgramModel.Load(files["changed"]));
                bytes[i] ^= change;
            }
        }
    }

    [Fact]
    public void Counts_that_are_cut_or_changed_are_refused()
    {
        using var files = new TemporaryFiles();
        new NgramText(1, 5, 100, true).Counts().Save(files["counts"]);
        byte[] bytes = File.ReadAllBytes(files["counts"]);
        for (int i = 0; i < bytes.Length; i++)
        {
            File.WriteAllBytes(files["broken"], bytes[..i]);
            Assert.Throws<InvalidDataException>(() => NgramCounts.Load(files["broken"]));
            bytes[i] ^= 0x81;
            File.WriteAllBytes(files["broken"], bytes);
            Assert.Throws<InvalidDataException>(() => NgramCounts.Load(files["broken"]));
            bytes[i] ^= 0x81;
        }
    }

    [Fact]
    public void A_message_names_the_file_and_what_is_wrong_with_it()
    {
        using var files = new TemporaryFiles();
        File.WriteAllText(files["text"], "This is not a model, but it is long enough to be one.");
        Assert.Contains("magic", Refusal("text"), StringComparison.Ordinal);
        File.WriteAllText(files["later"], "UNGRAMM2 and what may come");
        Assert.Contains("version 2", Refusal("later"), StringComparison.Ordinal);
        new NgramText(1, 5, 100, true).Model(long.MaxValue).Save(files["model"]);
        File.AppendAllText(files["model"], "x");
        Assert.Contains("1 bytes follow the end", Refusal("model"), StringComparison.Ordinal);
        byte[] bytes = File.ReadAllBytes(files["model"]);
        BitConverter.TryWriteBytes(bytes.AsSpan(8), 1 << 24);
        File.WriteAllBytes(files["huge"], bytes);
        Assert.Contains("are left", Refusal("huge"), StringComparison.Ordinal);

        string Refusal(string name)
        {
            string message = Assert.Throws<InvalidDataException>(() => NgramModel.Load(files[name])).Message;
            Assert.StartsWith(files[name], message, StringComparison.Ordinal);
            return message;
        }
    }

    [Fact]
    public void A_file_made_to_harm_is_refused_though_its_checksum_is_right()
    {
        var good = new NgramModelOrder([0, 1, 2, 2], [1, 1, 1], [1, 2], [9, 8]);
        var trigrams = new NgramModelOrder([0, 2], [0.5f], [0, 2], [9, 8]);
        ulong context = NgramCounts.Key(0, 1);
        Assert.Null(Refusal(good, [context], trigrams));
        Assert.Contains("back-off", Refusal(good with { Backoff = [1, float.NaN, 1] }, [context], trigrams), StringComparison.Ordinal);
        Assert.Contains("back-off", Refusal(good, [context], trigrams with { Backoff = [-1] }), StringComparison.Ordinal);
        Assert.Contains("out of order", Refusal(good with { Starts = [0, 2, 1, 2] }, [context], trigrams), StringComparison.Ordinal);
        Assert.Contains("out of order", Refusal(good with { Starts = [0, 9, 1, 2] }, [context], trigrams), StringComparison.Ordinal);
        Assert.Contains("cover", Refusal(good with { Starts = [0, 1, 1, 1] }, [context], trigrams), StringComparison.Ordinal);
        Assert.Contains("out of order", Refusal(good, [context], trigrams with { Codes = [8, 9] }), StringComparison.Ordinal);
        Assert.Contains("out of order", Refusal(good, [context], trigrams with { Tokens = [0, 0], Codes = [8, 8] }),
            StringComparison.Ordinal);
        Assert.Contains("not below 3", Refusal(good, [context], trigrams with { Tokens = [0, 3] }), StringComparison.Ordinal);
        Assert.Contains("not below 3", Refusal(good, [NgramCounts.Key(3, 1)], trigrams), StringComparison.Ordinal);
        Assert.Contains("cover", Refusal(good, [context], trigrams with { Starts = [0, 1] }), StringComparison.Ordinal);
        Assert.Contains("past the end", Refusal(good, [context], trigrams with { Starts = [0, 3] }), StringComparison.Ordinal);
        var two = new NgramModelOrder([0, 1, 2], [1, 1], [1, 2], [9, 8]);
        Assert.Contains("out of order", Refusal(good, [context, context], two), StringComparison.Ordinal);

        static string? Refusal(NgramModelOrder bigrams, ulong[] contexts, NgramModelOrder trigrams)
        {
            using var files = new TemporaryFiles();
            new NgramModel("v", [5, 4, 3], bigrams, contexts, trigrams).Save(files["m"]);
            return Record.Exception(() => NgramModel.Load(files["m"])) is { } error
                ? Assert.IsType<InvalidDataException>(error).Message : null;
        }
    }

    [Fact]
    public void Saving_replaces_the_file_and_leaves_nothing_else()
    {
        using var files = new TemporaryFiles();
        File.WriteAllText(files["model"], "old");
        new NgramText(1, 5, 100, true).Model(long.MaxValue).Save(files["model"]);
        Assert.Equal(5, NgramModel.Load(files["model"]).VocabularySize);
        Assert.Single(Directory.GetFileSystemEntries(Path.GetDirectoryName(files["model"])!));
    }
}

/// <summary>A folder that is gone after the test.</summary>
internal sealed class TemporaryFiles : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("understory-").FullName;

    public string this[string name] => Path.Combine(_folder, name);

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
