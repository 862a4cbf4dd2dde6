namespace Understory.Models.Tests.Kernels.Quantised;

/// <summary>Rows of inputs at the edges of the quantiser.</summary>
internal static class NastyInputs
{
    public const int Kinds = 10;

    /// <param name="kind">0: ordinary numbers.</param>
    public static float[] Row(int kind, int columns, Random random)
    {
        float[] row = [.. Enumerable.Range(0, columns).Select(_ => 4 * (random.NextSingle() - 0.5f) * random.NextSingle())];
        Span<float> block = row.AsSpan(random.Next(columns / 32) * 32, 32);
        switch (kind % Kinds)
        {
            case 1:
                block.Clear();
                break;
            case 2:
                block.Fill(float.Epsilon);
                break;
            case 3:
                block.Fill(MathF.ScaleB(1, -101));
                break;
            case 4:
                block.Fill(MathF.ScaleB(-1, -100));
                break;
            case 5:
                block.Fill(1e38f);
                break;
            case 6:
                block.Fill(-float.MaxValue);
                break;
            case 7:
                // Ties: multiples of a half of the step.
                for (int i = 0; i < 32; i++)
                {
                    block[i] = (i - 16) / 2f;
                }

                block[0] = 127;
                break;
            case 8:
                row.AsSpan().Fill(-0f);
                break;
            case 9:
                row.AsSpan().Fill(random.NextSingle() < 0.5 ? -127 : 127);
                break;
            default:
                break;
        }

        return row;
    }
}
