using System.Runtime.CompilerServices;
using System.Text;
using Understory.Models.Tensors;

namespace Understory.Models.Formats;

/// <summary>
/// A checkpoint that exists nowhere: matrices drawn from a normal distribution as BF16, norm weights 1, biases 0. It has every tensor that
/// it is asked for, and for a seed always the same.
/// </summary>
public sealed unsafe class RandomTensors : ITensorSource
{
    private const float Deviation = 0.02f;

    private readonly ulong _seed;
    private readonly Dictionary<nint, NativeMemoryBlock> _blocks = [];

    /// <summary>Draws to choose from: two random bytes pick one, so that a gigabyte takes a fraction of a second.</summary>
    private readonly ushort[] _normal = new ushort[1 << 16];

    public RandomTensors(ulong seed)
    {
        _seed = seed;
        ulong state = Mix(seed);
        for (int i = 0; i < _normal.Length; i++)
        {
            // Box-Muller.
            double radius = Math.Sqrt(-2 * Math.Log(Uniform(ref state)));
            _normal[i] = Scalar.ToBFloat16((float)(Deviation * radius * Math.Cos(2 * Math.PI * Uniform(ref state))));
        }
    }

    public IEnumerable<string> Names => [];

    public bool Contains(string name) => true;

    public WeightFormat FormatOf(string name, params ReadOnlySpan<int> shape) => shape.Length == 1 ? DenseFormat.F32 : DenseFormat.BF16;

    public StoredTensor Read(string name, params ReadOnlySpan<int> shape)
    {
        WeightFormat format = FormatOf(name, shape);
        long elements = 1;
        foreach (int size in shape)
        {
            elements *= size;
        }

        var block = new NativeMemoryBlock(format.Bytes(elements));
        _blocks.Add(block.Address, block);
        if (format == DenseFormat.F32)
        {
            new Span<float>((void*)block.Address, (int)elements).Fill(name.EndsWith("bias", StringComparison.Ordinal) ? 0 : 1);
        }
        else
        {
            Fill((ushort*)block.Address, elements, name);
        }

        return TensorTable.View(format, shape, block.Address);
    }

    public void Release(StoredTensor tensor)
    {
        if (_blocks.Remove(tensor.Data, out NativeMemoryBlock? block))
        {
            block.Dispose();
        }
    }

    public void Dispose()
    {
        foreach (NativeMemoryBlock block in _blocks.Values)
        {
            block.Dispose();
        }

        _blocks.Clear();
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Fill(ushort* target, long elements, string name)
    {
        ulong state = _seed;
        foreach (byte letter in Encoding.UTF8.GetBytes(name))
        {
            state = Mix(state ^ letter);
        }

        for (long i = 0; i < elements; i += 4)
        {
            ulong bits = Next(ref state);
            for (int lane = 0; lane < 4 && i + lane < elements; lane++)
            {
                target[i + lane] = _normal[(ushort)(bits >> (16 * lane))];
            }
        }
    }

    private static double Uniform(ref ulong state) => ((Next(ref state) >> 11) + 0.5) * Math.Pow(2, -53);

    /// <summary>SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).</summary>
    private static ulong Next(ref ulong state)
    {
        state += 0x9E3779B97F4A7C15;
        return Mix(state);
    }

    private static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
