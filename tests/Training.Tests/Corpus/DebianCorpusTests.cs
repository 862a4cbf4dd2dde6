using System.Text.Json;
using Understory.Training.Corpus;

namespace Understory.Training.Tests.Corpus;

public sealed class DebianCorpusTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("understory-corpus-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>What was read is not downloaded again: with records for all packages neither apt nor the network is asked.</summary>
    [Fact]
    public void A_run_goes_on_behind_the_packages_that_were_read()
    {
        string function = "def f(x):\n    \"\"\"Document it.\"\"\"\n    return x\n";
        Put(new PackageRecord("python3-a", "1.0-1", "00", ["MIT"], null, 2, 90), function + "\0" + "def g(x):\n    return x\n");
        Put(new PackageRecord("python3-b", "2.0-1", "11", ["GPL-2"], "GPL-2", 0, 0), "");
        Put(new PackageRecord("python3-c", "2.0-1", "22", ["MIT"], null, 1, 50), function.Replace("x", "x "));
        var corpus = new DebianCorpus(_folder, new Overlap([]));
        var told = new List<string>();
        IReadOnlyList<PackageRecord> records =
            corpus.Collect(["python3-a", "python3-b", "python3-c"], record => told.Add(record.Package), CancellationToken.None);
        Assert.Equal(["python3-a", "python3-b", "python3-c"], told);
        // The copy in the third differs in blanks only.
        Assert.Equal([function, "def g(x):\n    return x\n"], corpus.Functions(records));
    }

    [Fact]
    public void Texts_are_shuffled_anew_in_every_round_and_held_out_ones_are_never_among_them()
    {
        string[] functions = [.. Enumerable.Range(0, 1000).Select(i => $"def f{i}(x):\n    return x + {i}\n")];
        var source = new CorpusSource(functions);
        string[] heldOut = [.. source.HeldOut()];
        int others = functions.Length - heldOut.Length;
        Assert.InRange(heldOut.Length, 5, 40);
        string[] texts = [.. source.Texts(1).Take(2 * others)];
        Assert.Empty(texts.Intersect(heldOut));
        Assert.Equal(functions.Except(heldOut).Order(), texts.Take(others).Order());
        Assert.Equal(functions.Except(heldOut).Order(), texts.Skip(others).Order());
        Assert.NotEqual(texts.Take(others), texts.Skip(others));
        Assert.Equal(texts, source.Texts(1).Take(2 * others));
    }

    [Fact]
    public void HumanEval_s_functions_are_known_by_name()
    {
        Overlap overlap = DebianCorpus.HumanEval([]);
        Assert.True(overlap.With("def has_close_elements(numbers):\n    pass\n"));
        Assert.False(overlap.With("def quite_another(numbers):\n    pass\n"));
    }

    [Fact]
    public void Packages_are_named_once() => Assert.Equal(DebianCorpus.Packages.Distinct(), DebianCorpus.Packages);

    private void Put(PackageRecord record, string text)
    {
        File.WriteAllText(Path.Combine(_folder, record.Package + ".json"), JsonSerializer.Serialize(record));
        File.WriteAllText(Path.Combine(_folder, record.Package + ".txt"), text);
    }
}
