using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Kernels.Cuda;
using Understory.Models.Tensors;

namespace Understory.Gpu;

/// <summary>Whole models: logits against the CPU's, the same bits at every width and in trees, texts with speculation off and on.</summary>
internal static class ModelChecks
{
    public static Check[] All { get; } =
    [
        new("logits", Logits),
        new("logits_of_the_demo", DemoLogits, Check.Large),
        new("widths_gpt2", run => Widths(run, run.Size("gpt2:1280x4:5003:1100", "gpt2:64x1:130:200"))),
        new("widths_llama", run => Widths(run, run.Size("llama:1024x4:5003:1100", "llama:64x1:130:200"))),
        new("tree_nodes", TreeNodes),
        new("off_is_on_gpt2", run => Texts.Tiny(run, "gpt2")),
        new("off_is_on_llama", run => Texts.Tiny(run, "llama")),
        new("off_is_on_the_demo", Texts.Demo, Check.Large),
    ];

    /// <summary>Random models on the device against the CPU.</summary>
    private static void Logits(CheckRun run)
    {
        CudaKernels kernels = run.Open();
        using IKernels processor = KernelCatalog.Create(KernelCatalog.Available[0].Name);
        foreach (string shape in run.Size<string[]>(
            ["gpt2:640x3:5003:512", "llama:640x3:5003:512"], ["gpt2:64x1:130:200", "llama:64x1:130:200"]))
        {
            using Transformer expected = ModelLoader.Random(shape, processor, 3);
            using Transformer actual = ModelLoader.Random(shape, kernels, 3);
            Compare(run, expected, actual, run.Size(200, 20), shape);
        }
    }

    private static void DemoLogits(CheckRun run)
    {
        CudaKernels kernels = run.Open();
        using IKernels processor = KernelCatalog.Create(KernelCatalog.Available[0].Name);
        foreach (string name in (string[])["target", "draft"])
        {
            string path = Path.Combine(run.Models, name);
            using Transformer expected = ModelLoader.LoadTransformer(path, processor, new LoadOptions());
            using Transformer actual = ModelLoader.LoadTransformer(path, kernels, new LoadOptions());
            Compare(run, expected, actual, 200, name);
        }
    }

    private static void Compare(CheckRun run, Transformer expected, Transformer actual, int count, string what)
    {
        // BF16 keeps 8 bits of a product's inputs.
        const double Tolerance = 0.05;
        int[] tokens = Tokens(expected.Config.VocabularySize, count);
        double error = RelativeError(Rows(actual, tokens, 64), Rows(expected, tokens, 64));
        run.Report(what, error);
        run.Expect(error < Tolerance, $"{what}: max |a - b| / max |b| of the logits is {error:E2}");
    }

    /// <summary>The bits of a row's logits at every width, decoded or prefilled, recorded or not.</summary>
    private static void Widths(CheckRun run, string shape)
    {
        CudaKernels kernels = run.Open();
        using Transformer model = ModelLoader.Random(shape, kernels, 3);
        int[] tokens = Tokens(model.Config.VocabularySize, run.Size(1100, 70));
        int widest = run.Size(256, 70);
        float[][] expected = Rows(model, tokens, widest);
        ExpectNumbers(run, expected);
        foreach (int width in run.Size<int[]>([1, 2, 7, 8, 9, 16, 17, 24, 32, 33, 48, 64, 65, 128, 512, 1024], [1, 9, 34]))
        {
            int row = Pair.FirstOther(expected, Rows(model, tokens, width));
            run.Expect(row < 0, $"{shape}: the logits of position {row} differ between passes of {widest} and of {width} rows");
        }
    }

    /// <summary>A node of a tree gets the bits of its path, and a path that was moved into place goes on.</summary>
    private static void TreeNodes(CheckRun run)
    {
        const int Prefix = 21;
        const int Nodes = 12;
        CudaKernels kernels = run.Open();
        using Transformer model = ModelLoader.Random(run.Size("llama:512x4:5003:300", "llama:64x1:130:200"), kernels, 4);
        int[] text = Tokens(model.Config.VocabularySize, Prefix + Nodes);
        var random = new Random(3);
        int[] parents = [.. Enumerable.Range(0, Nodes).Select(node => random.Next(Math.Max(-1, node - 4), node))];
        int[] Path(int node) => parents[node] < 0 ? [node] : [.. Path(parents[node]), node];
        static int Slot(int node) => Prefix + (2 * node) + 1;
        using KvCache cache = model.CreateCache(80, 24);
        var batch = new ForwardBatch(64, 16);
        Pass(Enumerable.Range(0, Prefix).Select(i => (text[i], i)));
        batch.Clear();
        for (int node = 0; node < Nodes; node++)
        {
            batch.Add(text[Prefix + node], Slot(node), Prefix, [.. Path(node)[..^1].Select(Slot)]);
        }

        float[][] actual = Read(model, model.Forward(batch, cache));
        ExpectNumbers(run, actual);
        foreach (int node in (int[])[0, 5, Nodes - 1])
        {
            int[] path = [.. text[..Prefix], .. Path(node).Select(n => text[Prefix + n])];
            run.Expect(Pair.SameBits(Rows(model, path, 64)[^1], actual[node]), $"node {node} has other logits than its path");
        }

        int[] accepted = Path(Nodes - 1);
        cache.MoveSlots([.. accepted.Select(Slot)], Prefix);
        int[] whole = [.. text[..Prefix], .. accepted.Select(n => text[Prefix + n]), 1];
        float[][] next = Pass([(1, whole.Length - 1)]);
        run.Expect(Pair.SameBits(Rows(model, whole, 64)[^1], next[0]), "behind the accepted path the logits are others");

        float[][] Pass(IEnumerable<(int Token, int Position)> rows)
        {
            batch.Clear();
            foreach ((int token, int position) in rows)
            {
                batch.Add(token, position);
            }

            return Read(model, model.Forward(batch, cache));
        }
    }

    /// <summary>Two passes that do nothing are equal too.</summary>
    private static void ExpectNumbers(CheckRun run, float[][] logits)
    {
        int row = Array.FindIndex(logits, values => !values.All(float.IsFinite) || values.All(value => value == values[0]));
        run.Expect(row < 0, $"the logits of row {row} are all the same, or not numbers");
    }

    private static int[] Tokens(int vocabulary, int count)
    {
        var random = new Random(5);
        return [.. Enumerable.Range(0, count).Select(_ => random.Next(vocabulary))];
    }

    /// <summary>The logits behind every token, in passes of so many rows.</summary>
    private static float[][] Rows(Transformer model, int[] tokens, int width)
    {
        using KvCache cache = model.CreateCache(tokens.Length + width);
        var batch = new ForwardBatch(model.MaxRows, 1);
        List<float[]> logits = [];
        for (int first = 0; first < tokens.Length; first += width)
        {
            batch.Clear();
            for (int i = first; i < Math.Min(first + width, tokens.Length); i++)
            {
                batch.Add(tokens[i], i);
            }

            logits.AddRange(Read(model, model.Forward(batch, cache)));
        }

        return [.. logits];
    }

    private static float[][] Read(Transformer model, Tensor logits)
    {
        float[] all = new float[(long)logits.Rows * logits.Stride];
        model.Kernels.Read(logits.Data, all);
        return [.. Enumerable.Range(0, logits.Rows).Select(row => all.AsSpan(row * logits.Stride, logits.Columns).ToArray())];
    }

    private static double RelativeError(float[][] actual, float[][] expected)
    {
        double difference = 0;
        double largest = 0;
        for (int row = 0; row < expected.Length; row++)
        {
            for (int i = 0; i < expected[row].Length; i++)
            {
                double error = Math.Abs(actual[row][i] - expected[row][i]);
                difference = double.IsNaN(error) ? double.PositiveInfinity : Math.Max(difference, error);
                largest = Math.Max(largest, Math.Abs(expected[row][i]));
            }
        }

        return difference / largest;
    }
}
