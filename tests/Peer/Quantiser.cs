using System.Runtime.InteropServices;
using LLama.Native;

namespace Understory.Peer;

/// <summary>Makes quantised files of random weights by llama.cpp's own quantisation.</summary>
internal static unsafe class Quantiser
{
    /// <summary>Every type of weights that it can make, with the mix whose main type it is.</summary>
    public static IReadOnlyList<(string Type, string Mix)> Types { get; } =
    [
        ("Q4_0", "Q4_0"), ("Q4_1", "Q4_1"), ("Q5_0", "Q5_0"), ("Q5_1", "Q5_1"), ("Q8_0", "Q8_0"),
        ("Q2_K", "Q2_K"), ("Q3_K", "Q3_K_S"), ("Q4_K", "Q4_K_S"), ("Q5_K", "Q5_K_S"), ("Q6_K", "Q6_K"),
        ("IQ1_S", "IQ1_S"), ("IQ1_M", "IQ1_M"), ("IQ2_XXS", "IQ2_XXS"), ("IQ2_XS", "IQ2_XS"), ("IQ2_S", "IQ2_M"),
        ("IQ3_XXS", "IQ3_XXS"), ("IQ3_S", "IQ3_S"),
        ("IQ4_NL", "IQ4_NL"), ("IQ4_XS", "IQ4_XS"), ("TQ1_0", "TQ1_0"), ("TQ2_0", "TQ2_0"), ("MXFP4", "MXFP4_MOE"), ("NVFP4", "NVFP4"),
    ];

    /// <summary>Writes a model of random weights.</summary>
    /// <param name="mix">"F16", "BF16", or a mix by llama.cpp's name, as "Q4_K_M".</param>
    /// <param name="pure">Every matrix is of the mix's main type.</param>
    public static void Make(string path, Shape shape, string mix, bool pure = false)
    {
        if (mix is "F16" or "BF16")
        {
            RandomModel.Write(path, shape, mix);
            return;
        }

        string plain = path + ".f16";
        try
        {
            RandomModel.Write(plain, shape, "F16");
            Quantise(plain, path, shape, mix, pure);
        }
        finally
        {
            File.Delete(plain);
        }
    }

    /// <exception cref="ArgumentException">There is no such mix.</exception>
    /// <exception cref="InvalidOperationException">The library refused; says why.</exception>
    public static void Quantise(string source, string target, Shape shape, string mix, bool pure)
    {
        LLamaModelQuantizeParams parameters = LLamaModelQuantizeParams.Default();
        parameters.ftype = Find(mix);
        parameters.nthread = Environment.ProcessorCount;
        parameters.pure = pure;
        using var importance = new FlatImportance(shape);
        // The types of fewest bits are refused without a matrix of importance; the others go without, as most files do.
        parameters.imatrix = mix is "IQ3_XXS" || mix[..3] is "IQ1" or "IQ2" ? importance.Address : 0;
        if (NativeApi.llama_model_quantize(source, target, ref parameters) != 0)
        {
            throw new InvalidOperationException($"llama.cpp did not quantise to {mix}: {LlamaCppEngine.LastErrors()}");
        }
    }

    private static LLamaFtype Find(string mix) =>
        Enum.TryParse($"MOSTLY_{mix}", out LLamaFtype type) || Enum.TryParse($"LLAMA_FTYPE_MOSTLY_{mix}", out type)
        ? type
        : throw new ArgumentException($"llama.cpp has no mix \"{mix}\".");

    /// <summary>
    /// A matrix of importance that says the same of every input (llama.h, llama_model_imatrix_data: name, values, count; a name of null
    /// ends the list).
    /// </summary>
    private sealed class FlatImportance : IDisposable
    {
        private readonly List<nint> _blocks = [];

        public FlatImportance(Shape shape)
        {
            (string Name, int Rows, int Columns, double Scale)[] matrices = [.. shape.Matrices()];
            nint ones = Keep(NativeMemory.Alloc((nuint)matrices.Max(matrix => matrix.Columns), sizeof(float)));
            new Span<float>((void*)ones, matrices.Max(matrix => matrix.Columns)).Fill(1);
            Address = Keep(NativeMemory.AllocZeroed((nuint)(matrices.Length + 1), (nuint)sizeof(Entry)));
            for (int i = 0; i < matrices.Length; i++)
            {
                byte[] name = System.Text.Encoding.ASCII.GetBytes($"{matrices[i].Name}.weight\0");
                nint copy = Keep(NativeMemory.Alloc((nuint)name.Length));
                Marshal.Copy(name, 0, copy, name.Length);
                ((Entry*)Address)[i] = new Entry { Name = copy, Values = ones, Count = (nuint)matrices[i].Columns };
            }
        }

        public nint Address { get; }

        public void Dispose() => _blocks.ForEach(block => NativeMemory.Free((void*)block));

        private nint Keep(void* block)
        {
            _blocks.Add((nint)block);
            return (nint)block;
        }
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Entry
    {
        public nint Name;
        public nint Values;
        public nuint Count;
    }
}
