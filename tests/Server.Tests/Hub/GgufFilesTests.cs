using Understory.Server.Hub;

namespace Understory.Server.Tests.Hub;

public sealed class GgufFilesTests
{
    [Theory]
    [InlineData("a-Q2_K a-Q4_K_M a-Q8_0", "a-Q4_K_M")]
    [InlineData("a-Q2_K a-Q8_0 a-Q5_K_S a-Q6_K", "a-Q5_K_S")]
    [InlineData("a-IQ2_XS a-Q3_K_L a-Q2_K", "a-Q3_K_L")]
    [InlineData("a-Q4_K_S a-BF16", "a-BF16")]
    [InlineData("a-UD-Q4_K_XL a-Q3_K_M", "a-UD-Q4_K_XL")]
    [InlineData("mmproj-a-F16 a-Q2_K", "a-Q2_K")]
    [InlineData("a.i1-imatrix a.Q4_0", "a.Q4_0")]
    [InlineData("sub/a-q4_k_m a-q8_0", "sub/a-q4_k_m")]
    [InlineData("a", "a")]
    [InlineData("mmproj-a-F16", null)]
    public void The_default_is_the_usual_one_else_the_next_larger_else_the_largest(string files, string? expected) =>
        Assert.Equal(expected is null ? null : expected + ".gguf", GgufFiles.Default(Models(files))?.Paths[0]);

    [Fact]
    public void Parts_are_one_model()
    {
        GgufModel model = Assert.Single(Models("d/a-Q6_K-00002-of-00003 d/a-Q6_K-00001-of-00003 d/a-Q6_K-00003-of-00003"));
        Assert.Equal(["d/a-Q6_K-00001-of-00003.gguf", "d/a-Q6_K-00002-of-00003.gguf", "d/a-Q6_K-00003-of-00003.gguf"], model.Paths);
        Assert.Equal(("Q6_K", 30), (model.Quantisation, model.Bytes));
        Assert.Same(model, GgufFiles.Named([model], "d/a-Q6_K-00002-of-00003.gguf"));
        Assert.Same(model, GgufFiles.Named([model], "q6_k"));
        Assert.Null(GgufFiles.Named([model], "Q6"));
    }

    [Fact]
    public void Two_models_of_one_quantisation_must_be_named() =>
        Assert.Contains("a-Q4_K_M.gguf, b-Q4_K_M.gguf",
            Assert.Throws<HubException>(() => GgufFiles.Default(Models("a-Q4_K_M b-Q4_K_M a-Q8_0"))).Message, StringComparison.Ordinal);

    private static IReadOnlyList<GgufModel> Models(string files) =>
        GgufFiles.Models(files.Split(' ').Select(file => (file + ".gguf", 10L)));
}
