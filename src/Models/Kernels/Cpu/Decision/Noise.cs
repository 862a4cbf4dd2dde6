using System.Runtime.CompilerServices;
using Understory.Models.Kernels.Cpu.Vectors;

namespace Understory.Models.Kernels.Cpu.Decision;

/// <summary>The decision rule's noise (see <see cref="GumbelNoise"/>) for sixteen blocks of four tokens at once.</summary>
internal static unsafe class Noise<T>
    where T : unmanaged, ILanes<T>
{
    private const int Lanes = 16;

    /// <summary>Philox4x32-10 with counters <c>(position, blocks, choice, 0)</c>.</summary>
    /// <param name="blocks">Token / 4 of each lane.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Philox(ulong seed, uint position, T blocks, uint choice, out T r0, out T r1, out T r2, out T r3)
    {
        uint key0 = (uint)seed;
        uint key1 = (uint)(seed >> 32);
        T c0 = T.BroadcastBits(position);
        T c1 = blocks;
        T c2 = T.BroadcastBits(choice);
        T c3 = default;
        for (int round = 0; round < 10; round++)
        {
            T.MultiplyWide(c0, 0xD2511F53, out T low0, out T high0);
            T.MultiplyWide(c2, 0xCD9E8D57, out T low1, out T high1);
            c0 = high1 ^ c1 ^ T.BroadcastBits(key0);
            c2 = high0 ^ c3 ^ T.BroadcastBits(key1);
            c1 = low1;
            c3 = low0;
            key0 += 0x9E3779B9;
            key1 += 0xBB67AE85;
        }

        (r0, r1, r2, r3) = (c0, c1, c2, c3);
    }

    /// <summary><c>scores[i] = logits[i] / temperature + G(tokens[i])</c>; all arrays are read and written in whole sixteens.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Score(in DecisionParams rule, int position, int* tokens, float* logits, int count, float* scores)
    {
        T temperature = T.Broadcast(rule.Temperature);
        for (int i = 0; i < count; i += Lanes)
        {
            T token = T.Load((float*)(tokens + i));
            Philox(rule.Seed, (uint)position, token >>> 2, rule.Choice, out T r0, out T r1, out T r2, out T r3);
            // Bits 0 and 1 of the token, moved to the sign and compared there, choose the lane of its block.
            T odd = T.Greater(default, (token << 31) | T.Broadcast(1));
            T upper = T.Greater(default, ((token >>> 1) << 31) | T.Broadcast(1));
            T bits = T.Select(upper, T.Select(odd, r3, r2), T.Select(odd, r1, r0));
            ((T.Load(logits + i) / temperature) + VectorMath.Gumbel(bits)).Store(scores + i);
        }
    }

    /// <summary>
    /// Which of 64 tokens, from <paramref name="first"/> (a multiple of 64) on, have random bits of at most <paramref name="largest"/>: bit
    /// i of <c>hits[j]</c> is token <c>first + 4 i + j</c>.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Scan(in DecisionParams rule, int position, int first, float largest, uint* hits)
    {
        Philox(rule.Seed, (uint)position, T.Count((uint)first / 4), rule.Choice, out T r0, out T r1, out T r2, out T r3);
        T limit = T.Broadcast(largest);
        T h0 = T.GreaterOrEqual(limit, Magnitude(r0));
        T h1 = T.GreaterOrEqual(limit, Magnitude(r1));
        T h2 = T.GreaterOrEqual(limit, Magnitude(r2));
        T h3 = T.GreaterOrEqual(limit, Magnitude(r3));
        if ((h0 | h1 | h2 | h3).TopBits() == 0)
        {
            return false;
        }

        hits[0] = h0.TopBits();
        hits[1] = h1.TopBits();
        hits[2] = h2.TopBits();
        hits[3] = h3.TopBits();
        return true;
    }

    /// <summary>Random bits as a float in units of 2^8, rounded down.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Magnitude(T bits) => T.ToFloat(bits >>> 8);
}
