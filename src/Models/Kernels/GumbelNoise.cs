namespace Understory.Models.Kernels;

/// <summary>
/// The noise of the decision rule, keyed by seed, position and token, so that drafter and target draw the same:
/// <c>G = -log(-log1p(-u))</c>, <c>u = (x + 1/2) 2^-32</c>, x from Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1,
/// 2, 3", SC 2011) with key = seed and counter = (p, v / 4, choice, 0), lane v % 4.
/// </summary>
public static class GumbelNoise
{
    /// <summary>No draw exceeds 33 ln 2: below this gap to the b-th best score a token needs no noise.</summary>
    public const float Max = 22.8739f;

    /// <summary>The reference: double precision, one token.</summary>
    public static double Exact(ulong seed, int position, int token, uint choice)
    {
        var (x0, x1, x2, x3) = Philox(seed, (uint)position, (uint)token >> 2, choice);
        uint x = (token & 3) switch { 0 => x0, 1 => x1, 2 => x2, _ => x3 };
        double u = (x + 0.5) * (1.0 / 4294967296);
        return -Math.Log(-LogOnePlus(-u));
    }

    /// <summary>The four 32-bit lanes of one block.</summary>
    public static (uint X0, uint X1, uint X2, uint X3) Philox(ulong seed, uint c0, uint c1, uint c2)
    {
        uint k0 = (uint)seed;
        uint k1 = (uint)(seed >> 32);
        uint c3 = 0;
        for (int round = 0; round < 10; round++)
        {
            ulong p0 = 0xD2511F53UL * c0;
            ulong p1 = 0xCD9E8D57UL * c2;
            (c0, c1, c2, c3) = ((uint)(p1 >> 32) ^ c1 ^ k0, (uint)p1, (uint)(p0 >> 32) ^ c3 ^ k1, (uint)p0);
            k0 += 0x9E3779B9;
            k1 += 0xBB67AE85;
        }

        return (c0, c1, c2, c3);
    }

    /// <summary>log(1 + x) for -1 &lt; x &lt;= 0, accurate where x is tiny (Kahan's correction; .NET has none that is).</summary>
    private static double LogOnePlus(double x)
    {
        double sum = 1 + x;
        return sum == 1 ? x : Math.Log(sum) * (x / (sum - 1));
    }
}
