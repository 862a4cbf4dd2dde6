using TorchSharp;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Training.Files;
using Understory.Training.Network;

namespace Understory.Training.Tests.Network;

/// <summary>A trained network as the server's engine computes it.</summary>
public sealed class ExportTests : IDisposable
{
    private static readonly int[] _text = [17, 300, 5, 5, 1023, 88, 4000, 12, 700, 1, 0, 9, 2048, 3, 64];

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static LlamaNetwork Network(LlamaShape shape)
    {
        var network = new LlamaNetwork(shape, torch.CPU, bf16: false);
        network.Randomise(3);
        // Larger than at the start of training, so that all parts count.
        network.WriteMaster(Array.ConvertAll(network.ReadMaster(), value => value is 1 ? 1 : value * 5));
        return network;
    }

    private static LlamaShape Shape => new(LlamaNetworkTests.Vocabulary, 64, 3, 4, 2, 96, 128) { Theta = 50000 };

    [TorchFact]
    public void The_engine_gives_the_logits_of_the_trainer_from_a_folder()
    {
        using LlamaNetwork network = Network(Shape);
        string path = ModelFiles.Write(_folder.Path, Other("llama"), "test", network);
        // What the file holds is rounded: the trainer computes with the same numbers.
        network.WriteMaster(Array.ConvertAll(network.ReadMaster(),
            value => BitConverter.UInt32BitsToSingle((uint)SafetensorsFile.Rounded(value) << 16)));
        Agree(network, path, tolerance: 0.02);
    }

    [TorchFact]
    public void The_engine_gives_the_logits_of_the_trainer_from_a_Q8_0_file()
    {
        using LlamaNetwork network = Network(Shape);
        string path = WriteGguf(network);
        // Read back, so that the trainer has the file's own numbers.
        LlamaImport.Load(path, network);
        Agree(network, path, tolerance: 0.03);
    }

    [TorchFact]
    public void Reading_a_file_back_gives_its_shape_and_its_weights()
    {
        using LlamaNetwork network = Network(Shape);
        string gguf = WriteGguf(network);
        string folder = ModelFiles.Write(_folder.Path, Other("llama"), "test", network);
        float[] own = network.ReadMaster();
        foreach ((string path, float tolerance) in new[] { (gguf, 0.01f), (folder, 0.005f) })
        {
            Assert.Equal(Shape with { Epsilon = (float)Shape.Epsilon }, LlamaImport.ShapeOf(path));
            using var other = new LlamaNetwork(Shape, torch.CPU, bf16: false);
            LlamaImport.Load(path, other);
            Assert.All(own.Zip(other.ReadMaster()), pair => Assert.InRange(pair.Second, pair.First - tolerance, pair.First + tolerance));
        }
    }

    [TorchFact]
    public void A_model_that_is_no_plain_Llama_is_refused_by_name()
    {
        TrainingException error = Assert.Throws<TrainingException>(() => LlamaImport.ShapeOf(Other("gpt2")));
        Assert.Contains("--from", error.Message);
        Assert.Contains("gpt2", error.Message);
    }

    /// <summary>Some other model's folder: a config, and weights that nobody reads.</summary>
    private string Other(string type)
    {
        string folder = Directory.CreateDirectory(_folder["other"]).FullName;
        File.WriteAllText(Path.Combine(folder, "config.json"), $$"""
            {"model_type": "{{type}}", "vocab_size": 4096, "n_positions": 64, "n_embd": 64, "n_layer": 1, "n_head": 1,
             "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new", "bos_token_id": 0, "eos_token_id": 0}
            """);
        SafetensorsFile.Write(Path.Combine(folder, "model.safetensors"), [new NetworkTensor("wte.weight", [1, 32], new float[32])]);
        return folder;
    }

    private string WriteGguf(LlamaNetwork network)
    {
        string path = _folder["model.gguf"];
        GgufFile.Write(path, "test", network.Shape, network.Export(), new Dictionary<string, object>
        {
            ["tokenizer.ggml.model"] = "gpt2",
            ["tokenizer.ggml.tokens"] = (string[])[.. Enumerable.Range(0, LlamaNetworkTests.Vocabulary).Select(id => $"t{id}")],
            ["tokenizer.ggml.merges"] = (string[])[],
            ["tokenizer.ggml.eos_token_id"] = 0L,
        });
        return path;
    }

    private static void Agree(LlamaNetwork network, string path, double tolerance)
    {
        using torch.Tensor tokens = torch.tensor(Array.ConvertAll(_text, token => (long)token), [1, _text.Length]);
        using torch.Tensor logits = network.Logits(tokens);
        float[] expected = logits.data<float>().ToArray();
        using IKernels kernels = KernelCatalog.Create(KernelCatalog.Available[0].Name, 1);
        using Transformer model = ModelLoader.LoadTransformer(path, kernels, new LoadOptions());
        float[] found = LlamaNetworkTests.Logits(model, _text);
        double scale = expected.Max(Math.Abs);
        Assert.True(scale > 0.5, $"logits of {scale} say nothing");
        Assert.All(expected.Zip(found), pair => Assert.InRange(Math.Abs(pair.First - pair.Second), 0, tolerance * scale));
    }
}
