using Understory.Training.Torch;

namespace Understory.Training.Tests.Torch;

public class TorchRuntimeTests
{
    private const string StandardLibrary = "/usr/lib/x86_64-linux-gnu/libstdc++.so.6";

    [Fact]
    public async Task Without_libtorch_the_trainer_says_so_in_one_line_that_names_where_it_looked_and_a_way_out()
    {
        (int exit, string output, string errors) = await Checkout.RunAsync(
            ["info"], new Dictionary<string, string> { [TorchRuntime.FolderVariable] = "/no/such/folder" });
        Assert.Equal(1, exit);
        Assert.Empty(output);
        Assert.Single(errors.TrimEnd().Split('\n'));
        Assert.StartsWith("understory-train: There is no libtorch", errors);
        Assert.Contains("/no/such/folder", errors);
        Assert.Contains("docker compose --profile trainer", errors);
    }

    [Fact]
    public async Task With_libtorch_it_says_where_that_computes_or_in_one_line_what_the_system_lacks()
    {
        (int exit, string output, string errors) = await Checkout.RunAsync(["info"]);
        string said = exit == 0 ? output : errors;
        Assert.Single(said.TrimEnd().Split('\n'));
        Assert.Contains("libtorch", said);
        // Where the C++ library is young enough, nothing is lacking.
        if (File.Exists(StandardLibrary) && File.ReadAllBytes(StandardLibrary).AsSpan().IndexOf("GLIBCXX_3.4.32"u8) >= 0)
        {
            Assert.True(exit == 0, errors);
        }
    }

    [Fact]
    public void What_the_loader_misses_is_named()
    {
        const string Message = "Unable to load shared library '/x/libtorch_cpu.so' or one of its dependencies.\n"
            + "/lib/x86_64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by /x/libtorch_cpu.so)\n";
        Assert.StartsWith("libtorch cannot be loaded: it needs GLIBCXX_3.4.32, which", TorchRuntime.Explained(Message));
        Assert.Equal("libtorch cannot be loaded: two lines", TorchRuntime.Explained("two\nlines\n"));
    }
}
