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
            corpus.Collect(["python3-a", "python3-b", "python3-c"], retry: true, record => told.Add(record.Package), default);
        Assert.Equal(["python3-a", "python3-b", "python3-c"], told);
        // The copy in the third differs in blanks only.
        Assert.Equal([function, "def g(x):\n    return x\n"], corpus.Functions(records));
    }

    /// <summary>Whatever was excluded when its package was read.</summary>
    [Fact]
    public void What_must_not_be_trained_on_is_left_out_of_packages_that_were_read_before()
    {
        Put(new PackageRecord("python3-a", "1.0-1", "00", ["MIT"], null, 2, 90),
            "def one_thing(x):\n    return x\n\0def other(x):\n    return x\n");
        var corpus = new DebianCorpus(_folder, new Overlap(["def one_thing(x):\n    pass\n"]));
        IReadOnlyList<PackageRecord> records = corpus.Collect(["python3-a"], retry: true, _ => { }, CancellationToken.None);
        Assert.Equal(["def other(x):\n    return x\n"], corpus.Functions(records));
    }

    /// <summary>A package that no distribution has stands for one that the network kept from coming.</summary>
    [DebianFact]
    public void Packages_that_do_not_come_are_asked_for_again_until_the_texts_are_written()
    {
        var corpus = new DebianCorpus(_folder, new Overlap([]));
        string[] packages = ["python3-a", "understory-no-such-package", "understory-no-such-package-either"];
        Put(new PackageRecord("python3-a", "1.0-1", "00", ["MIT"], null, 1, 50), "def f(x):\n    return x\n");
        TrainingException error = Assert.Throws<TrainingException>(() => corpus.Collect(packages, retry: true, _ => { }, default));
        Assert.Contains("2 of 3 packages", error.Message);
        Assert.Contains("--packages 0", error.Message);
        Assert.Throws<TrainingException>(() => corpus.Collect(packages, retry: true, _ => { }, default));
        Assert.Equal([false, true, true], corpus.Collect(packages, retry: false, _ => { }, default).Select(record => record.Missing));
    }

    [Theory]
    [InlineData("{\"prompt\": \"def f():\"}\n\n{\"prompt\": null, \"canonical_solution\": \"pass\"}\n", null)]
    [InlineData("{\"prompt\": \"def f():\"}\n\u001f\u008b\u0008\n", "line 2")]
    [InlineData("[1, 2]\n", "line 1")]
    public void A_file_of_tasks_that_is_none_is_named_with_the_line(string text, string? place)
    {
        string path = Path.Combine(_folder, "tasks.jsonl");
        File.WriteAllText(path, text);
        if (place is null)
        {
            Assert.Equal([("def f():", null), (null, "pass")], DebianCorpus.ReadTaskFile(path));
            return;
        }

        Assert.StartsWith($"{path}, {place} is no JSON", Assert.Throws<TrainingException>(() => DebianCorpus.ReadTaskFile(path)).Message);
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
