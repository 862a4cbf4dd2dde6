using System.Runtime.InteropServices;
using LLama.Native;
using Understory.Models.Formats.Quantised;
using Understory.Models.Tensors;

namespace Understory.Peer;

/// <summary>Makes quantised files of random weights by llama.cpp's own quantisation.</summary>
internal static unsafe class Quantiser
{
    /// <summary>Every type of weights in blocks, by its number in GGUF.</summary>
    public static IReadOnlyDictionary<uint, WeightFormat> Types { get; } =
        GgufTypes.All.Where(type => type.Value is QuantisedFormat).ToDictionary(type => type.Key, type => type.Value);

    /// <summary>Writes a model of random weights.</summary>
    /// <inheritdoc cref="Quantise"/>
    public static void Make(string path, Shape shape, string type, bool pure)
    {
        if (type is "F16" or "BF16")
        {
            RandomModel.Write(path, shape, type);
            return;
        }

        string plain = path + ".f16";
        try
        {
            RandomModel.Write(plain, shape, "F16");
            Quantise(plain, path, shape, type, pure);
        }
        finally
        {
            File.Delete(plain);
        }
    }

    /// <param name="source">A file of the shape in F16.</param>
    /// <param name="type">A mix by llama.cpp's name, as "Q4_K_M"; pure, one of <see cref="Types"/>, as "Q4_K", for every matrix.</param>
    /// <exception cref="ArgumentException">There is no such mix or type.</exception>
    /// <exception cref="InvalidOperationException">The library refused; says why.</exception>
    public static void Quantise(string source, string target, Shape shape, string type, bool pure)
    {
        LLamaModelQuantizeParams parameters = LLamaModelQuantizeParams.Default();
        parameters.nthread = Environment.ProcessorCount;
        using var importance = new FlatImportance(shape);
        // The types of fewest bits are refused without a matrix of importance; the others go without, as most files do.
        parameters.imatrix = type is "IQ3_XXS" || type[..3] is "IQ1" or "IQ2" ? importance.Address : 0;
        // llama.h, llama_model_tensor_override: a pattern of names, a type; a pattern of null ends the list. It outdoes the mix.
        Override* overrides = stackalloc Override[2];
        fixed (byte* all = ".*\0"u8)
        {
            if (pure)
            {
                overrides[0] = new Override { Pattern = all, Type = Number(type) };
                parameters.tensor_types = (nint)overrides;
            }

            parameters.ftype = pure ? LLamaFtype.MOSTLY_Q8_0 : Mix(type);
            if (NativeApi.llama_model_quantize(source, target, ref parameters) != 0)
            {
                throw new InvalidOperationException($"llama.cpp did not quantise to {type}: {LlamaCppEngine.LastErrors()}");
            }
        }
    }

    private static uint Number(string type) => Types.FirstOrDefault(entry => entry.Value.Name == type) is { Value: not null } found
        ? found.Key
        : throw new ArgumentException($"No type \"{type}\"; there are {string.Join(", ", Types.Values)}.");

    private static LLamaFtype Mix(string name) =>
        Enum.TryParse($"MOSTLY_{name}", out LLamaFtype mix) || Enum.TryParse($"LLAMA_FTYPE_MOSTLY_{name}", out mix)
        ? mix
        : throw new ArgumentException($"llama.cpp has no mix \"{name}\".");

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
    private struct Override
    {
        public byte* Pattern;
        public uint Type;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Entry
    {
        public nint Name;
        public nint Values;
        public nuint Count;
    }
}
