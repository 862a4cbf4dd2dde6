namespace Understory.Decoding.Planning;

/// <summary>
/// Measured seconds of one model's pass against its rows and the context they read. Between measured row counts
/// it interpolates; rows never measured follow a prior that is corrected as soon as they are. Running averages keep it true while the machine's
/// speed drifts; a single outlier moves it little.
/// </summary>
public sealed class CostModel
{
    private const double DriftRate = 0.08;
    private const double KnotRate = 0.12;

    private static readonly int[] Knots = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 96, 128, 192, 256];

    private readonly double[] _seconds = new double[Knots.Length];
    private readonly bool[] _measured = new bool[Knots.Length];
    private double _drift = 1;

    /// <param name="oneRow">A first guess of a one-row pass, in seconds, until one is observed.</param>
    public CostModel(double oneRow = 1e-3)
    {
        for (int k = 0; k < Knots.Length; k++)
        {
            _seconds[k] = oneRow * Prior(Knots[k]);
        }
    }

    /// <summary>Seconds added per row and per token of context that it reads.</summary>
    public double ContextSlope { get; set; }

    /// <summary>Expected seconds of a pass of <paramref name="rows"/> rows that each read <paramref name="context"/> positions.</summary>
    public double Seconds(int rows, int context)
    {
        if (rows <= 0)
        {
            return 0;
        }

        return (_drift * Base(rows)) + (ContextSlope * rows * context);
    }

    /// <summary>Takes a measured pass into account.</summary>
    public void Observe(int rows, int context, double seconds)
    {
        if (rows <= 0 || rows > Knots[^1])
        {
            return;
        }

        double net = Math.Max(seconds - (ContextSlope * rows * context), seconds * 0.1);
        int k = Array.BinarySearch(Knots, rows);
        if (k >= 0 && !_measured[k])
        {
            _measured[k] = true;
            _seconds[k] = net / _drift;
            Spread();
            return;
        }

        // A stall of the machine says little of the next pass: one observation counts as at most twice what was expected.
        double ratio = Math.Clamp(net / (_drift * Base(rows)), 0.5, 2);
        _drift *= Math.Pow(ratio, DriftRate);
        int upper = k >= 0 ? k : ~k;
        int lower = k >= 0 ? k : upper - 1;
        double weight = k >= 0 ? 1 : (double)(rows - Knots[lower]) / (Knots[upper] - Knots[lower]);
        _seconds[upper] *= Math.Pow(ratio, KnotRate * weight);
        if (lower != upper)
        {
            _seconds[lower] *= Math.Pow(ratio, KnotRate * (1 - weight));
        }
    }

    private double Base(int rows)
    {
        int k = Array.BinarySearch(Knots, rows);
        if (k >= 0)
        {
            return _seconds[k];
        }

        int upper = ~k;
        if (upper == Knots.Length)
        {
            return _seconds[^1] * rows / Knots[^1];
        }

        double t = (double)(rows - Knots[upper - 1]) / (Knots[upper] - Knots[upper - 1]);
        return _seconds[upper - 1] + (t * (_seconds[upper] - _seconds[upper - 1]));
    }

    /// <summary>Knots without a measurement lie on a line between the measured ones, or follow the prior beyond the last.</summary>
    private void Spread()
    {
        int previous = -1;
        for (int k = 0; k < Knots.Length; k++)
        {
            if (!_measured[k])
            {
                continue;
            }

            for (int j = previous + 1; j < k; j++)
            {
                _seconds[j] = previous < 0
                    ? _seconds[k] * Prior(Knots[j]) / Prior(Knots[k])
                    : _seconds[previous] + ((_seconds[k] - _seconds[previous]) * (Knots[j] - Knots[previous]) / (Knots[k] - Knots[previous]));
            }

            previous = k;
        }

        for (int j = previous + 1; j < Knots.Length; j++)
        {
            _seconds[j] = _seconds[previous] * Prior(Knots[j]) / Prior(Knots[previous]);
        }
    }

    /// <summary>One row is bound by memory, many rows by arithmetic: on CPUs an eighth of a one-row pass per further row.</summary>
    private static double Prior(int rows) => 1 + (0.125 * (rows - 1));
}
