using Understory.Server.Hosting;

namespace Understory.Server.Tests.Hosting;

public sealed class DemoBundleTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("understory-bundle-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_part_of_the_bundle_is_a_gguf_file_or_else_a_folder()
    {
        string folder = Path.Combine(_folder, "target");
        Assert.Equal(folder, DemoBundle.Part(_folder, "target"));
        File.WriteAllText(folder + ".gguf", "");
        Assert.Equal(folder + ".gguf", DemoBundle.Part(_folder, "target"));
        Assert.Equal(Path.Combine(_folder, "draft"), DemoBundle.Part(_folder, "draft"));
    }

    [Fact]
    public void The_bundle_that_comes_with_the_program_is_there()
    {
        Assert.True(Path.Exists(DemoBundle.Target), DemoBundle.Target);
        Assert.True(Path.Exists(DemoBundle.Draft), DemoBundle.Draft);
        Assert.True(File.Exists(DemoBundle.Ngram), DemoBundle.Ngram);
    }
}
