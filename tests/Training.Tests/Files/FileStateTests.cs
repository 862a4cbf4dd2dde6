using Understory.Training.Files;

namespace Understory.Training.Tests.Files;

public sealed class FileStateTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void It_is_another_for_other_bytes_and_the_same_for_a_copy()
    {
        byte[] weights = new byte[3_000_000];
        new Random(1).NextBytes(weights);
        File.WriteAllBytes(_folder["a"], weights);
        File.Copy(_folder["a"], _folder["b"]);
        string state = FileState.Of(_folder["a"]);
        Assert.Equal(16, state.Length);
        Assert.Equal(state, FileState.Of(_folder["b"]));
        Array.Reverse(weights);
        File.WriteAllBytes(_folder["b"], weights);
        Assert.NotEqual(state, FileState.Of(_folder["b"]));
        File.WriteAllBytes(_folder["b"], [.. weights.Reverse(), 0]);
        Assert.NotEqual(state, FileState.Of(_folder["b"]));
        Assert.Equal("", FileState.Of(_folder["c"]));
    }

    [Fact]
    public void Of_a_folder_it_is_that_of_all_its_files_and_their_names()
    {
        Directory.CreateDirectory(_folder["m/below"]);
        File.WriteAllText(_folder["m/below/one"], "1");
        string state = FileState.Of(_folder["m"]);
        File.Move(_folder["m/below/one"], _folder["m/below/two"]);
        Assert.NotEqual(state, FileState.Of(_folder["m"]));
        File.WriteAllText(_folder["m/empty"], "");
        Assert.NotEqual("", FileState.Of(_folder["m"]));
    }
}
