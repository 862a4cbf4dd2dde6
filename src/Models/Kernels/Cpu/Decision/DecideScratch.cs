using System.Runtime.InteropServices;

namespace Understory.Models.Kernels.Cpu.Decision;

/// <summary>Working memory of one thread for rows of logits; grows, never shrinks.</summary>
internal sealed unsafe class DecideScratch : IDisposable
{
    /// <summary>Most vectors of group maxima.</summary>
    public const int Segments = 64;

    private const int Padding = 16;

    private float* _memory;
    private int _vocabulary;

    /// <summary>l' of the row, where it is not the logits themselves.</summary>
    public float* Changed { get; private set; }

    /// <summary>Tokens still in play, by rising id.</summary>
    public int* Tokens { get; private set; }

    /// <summary>Their l'.</summary>
    public float* Logits { get; private set; }

    /// <summary>Their scores.</summary>
    public float* Scores { get; private set; }

    /// <summary>Largest logits of each lane of each segment: <c>[Segments, 16]</c>.</summary>
    public float* Maxima { get; private set; }

    /// <summary>Sort keys; as long as <see cref="Tokens"/>.</summary>
    public ulong* Keys { get; private set; }

    public int Count { get; set; }

    public void Reserve(int vocabulary)
    {
        if (vocabulary <= _vocabulary)
        {
            return;
        }

        _vocabulary = vocabulary;
        long padded = ((vocabulary + 15) & ~15) + Padding;
        NativeMemory.AlignedFree(_memory);
        _memory = (float*)NativeMemory.AlignedAlloc((nuint)(((padded * 6) + (Segments * 16)) * sizeof(float)), 64);
        Keys = (ulong*)_memory;
        Changed = _memory + (2 * padded);
        Tokens = (int*)(Changed + padded);
        Logits = (float*)Tokens + padded;
        Scores = Logits + padded;
        Maxima = Scores + padded;
    }

    public void Add(int token, float logit)
    {
        Tokens[Count] = token;
        Logits[Count++] = logit;
    }

    /// <summary>Makes the last sixteen whole: tokens that can never win.</summary>
    public void Pad()
    {
        for (int i = Count; (i & 15) != 0; i++)
        {
            Tokens[i] = 0;
            Logits[i] = float.NegativeInfinity;
        }
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(_memory);
        _memory = null;
        GC.SuppressFinalize(this);
    }

    ~DecideScratch() => Dispose();
}
