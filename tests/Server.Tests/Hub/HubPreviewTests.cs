using System.Buffers.Binary;
using System.Text;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Server.Hub;

namespace Understory.Server.Tests.Hub;

/// <summary>What is known of a model before its weights are fetched.</summary>
public sealed class HubPreviewTests : IAsyncLifetime
{
    private const int Tail = 3_000_000;

    private static readonly HubReference Tiny = new(FakeHub.Repository, HubReference.DefaultRevision, null);
    private static readonly string Golden = Path.Combine(Tools.Root, "tests", "Fixtures", "golden", "gpt2", "model.gguf");

    private FakeHub _hub = null!;

    public async Task InitializeAsync() => _hub = await FakeHub.StartAsync();

    public async Task DisposeAsync() => await _hub.DisposeAsync();

    private async Task<ModelSurvey> SurveyAsync()
    {
        var settings = new HubSettings(_hub.Address, null, Path.GetTempPath(), Offline: false);
        using var client = new HubClient(settings, TimeSpan.FromMilliseconds(1));
        HubListing all = await client.ListAsync(Tiny, default);
        _hub.Requests.Clear();
        return await new HubPreview(client).SurveyAsync(Tiny, all, target: null, default);
    }

    private string[] Stored => [.. _hub.Requests.Where(request => request.StartsWith("GET store/", StringComparison.Ordinal))];

    /// <summary>A model of the fixtures in GGUF, with so many bytes of a key more, and much behind its tensors.</summary>
    private static byte[] Gguf(int keyBytes = 0, uint? typeOfQkv = null)
    {
        byte[] file = File.ReadAllBytes(Golden);
        if (typeOfQkv is { } type)
        {
            ReadOnlySpan<byte> name = "blk.0.attn_qkv.weight"u8;
            int at = file.AsSpan().IndexOf(name) + name.Length;
            int dimensions = (int)BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(at));
            BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(at + 4 + (8 * dimensions)), type);
        }

        const int Head = 24; // magic, version, number of tensors, number of keys
        using var made = new MemoryStream();
        if (keyBytes > 0)
        {
            ulong keys = BinaryPrimitives.ReadUInt64LittleEndian(file.AsSpan(16));
            BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(16), keys + 1);
            made.Write(file.AsSpan(0, Head));
            using var writer = new BinaryWriter(made, Encoding.UTF8, leaveOpen: true);
            const string Key = "some.long.one";
            // As much as keeps the tensors where they are aligned.
            int text = (keyBytes / 32 * 32) - (8 + Key.Length + 4 + 8);
            writer.Write((ulong)Key.Length);
            writer.Write(Encoding.ASCII.GetBytes(Key));
            writer.Write(8u);
            writer.Write((ulong)text);
            writer.Write(Encoding.ASCII.GetBytes(new string('x', text)));
            writer.Flush();
        }
        else
        {
            made.Write(file.AsSpan(0, Head));
        }

        made.Write(file.AsSpan(Head));
        made.Write(new byte[Tail]);
        return made.ToArray();
    }

    [Fact]
    public async Task The_head_of_a_GGUF_file_tells_what_all_of_it_would()
    {
        byte[] file = Gguf();
        _hub.Add("tiny-F32.gguf", file, large: true);
        ModelSurvey survey = await SurveyAsync();
        using IKernels kernels = KernelCatalog.Create("reference", 1);
        using Transformer loaded = ModelLoader.LoadTransformer(Golden, kernels, new LoadOptions());
        Assert.Equal("gpt2", survey.Config.Family.Name);
        Assert.Equal(loaded.Parameters, survey.Parameters);
        Assert.Equal(loaded.CacheBytesPerToken, survey.CacheBytesPerToken);
        Assert.InRange(survey.WeightBytes, 4 * survey.Parameters, 8 * survey.Parameters);
        Assert.Equal("GET store/tiny-F32.gguf bytes=0-262143", Assert.Single(Stored));
    }

    [Fact]
    public async Task A_head_that_goes_on_is_read_on_and_no_further()
    {
        _hub.Add("tiny-F32.gguf", Gguf(keyBytes: 600_000), large: true);
        ModelSurvey survey = await SurveyAsync();
        Assert.Equal("gpt2", survey.Config.Family.Name);
        Assert.Equal(["GET store/tiny-F32.gguf bytes=0-262143", "GET store/tiny-F32.gguf bytes=262144-1048575"], Stored);
    }

    [Fact]
    public async Task A_type_that_cannot_be_run_is_refused_by_its_tensor()
    {
        _hub.Add("tiny-F32.gguf", Gguf(typeOfQkv: 31), large: true);
        string told = (await Assert.ThrowsAsync<HubException>(SurveyAsync)).Message;
        Assert.StartsWith("someone/tiny cannot be served, so nothing was fetched: tiny-F32.gguf: tensor \"blk.0.attn_qkv.weight\"", told);
        Assert.Contains("Q4_0_4_4", told);
        Assert.DoesNotContain(Path.GetTempPath(), told);
        Assert.Single(Stored);
    }

    [Fact]
    public async Task A_damaged_file_is_refused_as_such()
    {
        _hub.Add("tiny.gguf", [.. "GGUF"u8, 3, 0, 0, 0, .. new byte[400_000]], large: true);
        string told = (await Assert.ThrowsAsync<HubException>(SurveyAsync)).Message;
        Assert.Contains("tiny.gguf: ", told);
    }

    [Theory]
    [InlineData("\"gpt2\"", "\"mamba\"", "config.json: Models of type \"mamba\" are not supported")]
    [InlineData("\"n_embd\": 192", "\"n_embd\": 384", "model.safetensors: tensor ")]
    public async Task A_folder_that_cannot_be_run_is_refused_by_what_is_wrong(string from, string to, string reason)
    {
        foreach (string path in Directory.EnumerateFiles(Standin.Target))
        {
            string name = Path.GetFileName(path);
            byte[] content = File.ReadAllBytes(path);
            if (name == "config.json")
            {
                string config = Encoding.UTF8.GetString(content);
                Assert.Contains(from, config);
                content = Encoding.UTF8.GetBytes(config.Replace(from, to, StringComparison.Ordinal));
            }

            _hub.Add(name, content, large: name.EndsWith(".safetensors", StringComparison.Ordinal));
        }

        Assert.Contains(reason, (await Assert.ThrowsAsync<HubException>(SurveyAsync)).Message);
        Assert.Equal("GET store/model.safetensors bytes=0-262143", Assert.Single(Stored));
    }

    [Fact]
    public async Task A_cut_while_looking_is_looked_past()
    {
        _hub.Add("tiny-F32.gguf", Gguf(), large: true);
        _hub.Cut("tiny-F32.gguf", 1000);
        Assert.Equal("gpt2", (await SurveyAsync()).Config.Family.Name);
    }
}
