using Understory.Server.Hub;

namespace Understory.Server.Tests.Hub;

public sealed class HubReferenceTests
{
    [Theory]
    [InlineData("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B", "main", null)]
    [InlineData("a/b@v1.0", "a/b", "v1.0", null)]
    [InlineData("a/b@refs/pr/1", "a/b", "refs/pr/1", null)]
    [InlineData("a/b:x-Q8_0.gguf", "a/b", "main", "x-Q8_0.gguf")]
    [InlineData("a/b@main:sub/x.gguf", "a/b", "main", "sub/x.gguf")]
    public void A_name_has_an_owner_and_perhaps_a_revision_and_a_file(string text, string repository, string revision, string? file)
    {
        Assert.True(HubReference.TryParse(text, out HubReference reference));
        Assert.Equal(new HubReference(repository, revision, file), reference);
    }

    [Theory]
    [InlineData("name")]
    [InlineData("/absolute/path")]
    [InlineData("./a/b")]
    [InlineData("a/b/c")]
    [InlineData("../a")]
    [InlineData("a/b@../c")]
    [InlineData("a/b:../c.gguf")]
    [InlineData("a/b@")]
    [InlineData("https://huggingface.co/a/b")]
    public void Other_texts_are_none(string text) => Assert.False(HubReference.TryParse(text, out _));

    [Fact]
    public void The_variables_of_the_hubs_own_tools_are_obeyed()
    {
        var said = new Dictionary<string, string>
        {
            ["HF_HOME"] = "/h",
            ["HF_ENDPOINT"] = "http://mirror:1/x/",
            ["HF_TOKEN"] = "t",
            ["HF_HUB_OFFLINE"] = "1"
        };
        HubSettings settings = HubSettings.From(said.GetValueOrDefault);
        Assert.Equal(new HubSettings(new Uri("http://mirror:1/x/"), "t", Path.Combine("/h", "hub"), true), settings);
        said["HF_HUB_CACHE"] = "/c";
        Assert.Equal("/c", HubSettings.From(said.GetValueOrDefault).CacheFolder);
        said["HF_ENDPOINT"] = "mirror";
        Assert.Contains("'mirror'", Assert.Throws<FormatException>(() => HubSettings.From(said.GetValueOrDefault)).Message);
    }
}
