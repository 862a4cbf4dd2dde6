namespace Understory.Decoding.Planning;

/// <summary>
/// Measured seconds of one model's pass against its rows and the context they read. Between measured row counts it interpolates; rows never
/// measured follow a prior that is corrected as soon as they are. Running averages keep it true while the machine's speed drifts; a single
/// outlier moves it little.
/// </summary>
public sealed class CostModel
{
    /// <summary>
    /// Weight of a pass, as a power of its ratio to what was expected, in the speed of the machine as a whole: nearly all of a surprise
    /// is taken for that. Chosen by simulating planning.
    /// </summary>
    private const double DriftRate = 0.15;

    /// <summary>The same in what is known of its own row count, once that was seen a few times. Chosen.</summary>
    private const double KnotRate = 0.04;

    /// <summary>The same for the neighbours one and two places away, relative to the row count itself. Chosen.</summary>
    private const double NextShare = 0.4;
    private const double SecondShare = 0.15;

    /// <summary>Most that a row count is believed cheaper than it was, so that it is tried again. Chosen.</summary>
    private const double MostHope = 0.3;

    /// <summary>
    /// Passes after which it would be believed free, if <see cref="MostHope"/> were not; sooner where it was never measured. Chosen.
    /// </summary>
    private const double PassesToHope = 20_000;
    private const double PassesToHopeUnmeasured = 1000;

    /// <summary>
    /// Passes that a measurement at the start counts as at most: with fewer, the first stall of a pass of one row would make all others
    /// look cheap. Chosen.
    /// </summary>
    private const int MostSamples = 12;

    private static readonly int[] Knots = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 96, 128, 192, 256];

    /// <summary>By rows: the first knot of at least so many.</summary>
    private static readonly byte[] KnotOf =
        [.. Enumerable.Range(0, Knots[^1] + 1).Select(rows => (byte)Array.FindIndex(Knots, knot => knot >= rows))];

    private readonly double[] _prior = new double[Knots.Length];
    private readonly double[] _seconds = new double[Knots.Length];
    private readonly int[] _visits = new int[Knots.Length];
    private readonly long[] _seen = new long[Knots.Length];
    private long _clock;
    private double _drift = 1;
    private bool _known;

    /// <param name="oneRow">A first guess of a one-row pass, in seconds, until one is observed.</param>
    /// <param name="read">
    /// What a pass of so many rows reads of the weights, relative to one of one row; null: the same. Rows that choose among experts read
    /// more of them together, and which ones is known only afterwards: this is the mean, and so is what is observed.
    /// </param>
    public CostModel(double oneRow = 1e-3, Func<int, double>? read = null)
    {
        for (int k = 0; k < Knots.Length; k++)
        {
            _prior[k] = (read?.Invoke(Knots[k]) ?? 1) + Arithmetic(Knots[k]);
            _seconds[k] = oneRow * _prior[k];
        }
    }

    /// <summary>Seconds added per row and per token of context that it reads.</summary>
    public double ContextSlope { get; set; }

    /// <summary>Positions that a row reads at most, however long the context is.</summary>
    public int MostContext { get; init; } = int.MaxValue;

    /// <summary>Observations are not taken into account: while code is being compiled they say nothing of later passes.</summary>
    public bool Frozen { get; set; }

    /// <summary>Passes observed so far.</summary>
    public long Passes => _clock;

    /// <summary>Expected seconds of a pass of <paramref name="rows"/> rows that each read <paramref name="context"/> positions.</summary>
    public double Seconds(int rows, int context)
    {
        if (rows <= 0)
        {
            return 0;
        }

        return (_drift * Base(rows)) + (ContextSlope * rows * Math.Min(context, MostContext));
    }

    /// <summary>
    /// As <see cref="Seconds"/>, but what has not been measured for long is believed cheaper, though never cheaper than one row: so a row
    /// count that looked dear once, while the machine was busy, is tried again.
    /// </summary>
    public double Hopeful(int rows, int context)
    {
        double seconds = Seconds(rows, context);
        if (rows <= 1)
        {
            return seconds;
        }

        int k = KnotOf[Math.Min(rows, Knots[^1])];
        double hope = Math.Min(MostHope, (_clock - _seen[k]) / (_visits[k] == 0 ? PassesToHopeUnmeasured : PassesToHope));
        return Math.Max(seconds * (1 - hope), Seconds(1, context) * (1 + (0.01 * rows)));
    }

    /// <summary>Takes a measured pass into account.</summary>
    /// <returns>What the machine as a whole is now taken to be slower by than before it.</returns>
    public double Observe(int rows, int context, double seconds)
    {
        if (Frozen || rows <= 0 || rows > Knots[^1])
        {
            return 1;
        }

        _clock++;
        double net = Math.Max(seconds - (ContextSlope * rows * Math.Min(context, MostContext)), seconds * 0.1);
        int k = Array.BinarySearch(Knots, rows);
        if (k >= 0 && _visits[k] == 0)
        {
            // Beside others that are known, it is no dearer than twice what they let expect: it may have stalled.
            Calibrate(rows, _known ? Math.Min(net / _drift, 2 * Base(rows)) : net / _drift);
            return 1;
        }

        // A stall of the machine says little of the next pass: one observation counts as at most twice what was expected.
        double ratio = Math.Clamp(net / (_drift * Base(rows)), 0.5, 2);
        double drift = Math.Pow(ratio, DriftRate);
        _drift *= drift;
        int nearest = k >= 0 ? k : ~k;
        double rate = Math.Max(KnotRate, 0.5 / ++_visits[nearest]);
        _seconds[nearest] *= Math.Pow(ratio, rate);
        _seen[nearest] = _clock;
        // Neighbours cost alike; one that is measured itself is believed more.
        for (int distance = 1; distance <= 2; distance++)
        {
            double share = Math.Pow(ratio, rate * (distance == 1 ? NextShare : SecondShare));
            Move(nearest - distance, share);
            Move(nearest + distance, share);
        }

        return drift;
    }

    /// <summary>
    /// Another model's pass found the machine slower by a factor while none of this one was measured: it is taken to have become so for
    /// this one, too. Else a draft that rested while the machine was slow would look cheap, and one that rested since then dear.
    /// </summary>
    public void Follow(double drift)
    {
        if (!Frozen)
        {
            _drift *= drift;
        }
    }

    /// <summary>A measurement under controlled conditions replaces what was known of its row count.</summary>
    /// <param name="samples">Passes that it was made of.</param>
    public void Calibrate(int rows, double seconds, int samples = 1)
    {
        int k = Array.BinarySearch(Knots, rows);
        _known = true;
        _visits[k] = Math.Min(samples, MostSamples);
        _seen[k] = _clock;
        _seconds[k] = seconds;
        Spread();
    }

    /// <summary>What is known of the row counts that were measured; nothing for the others.</summary>
    public CostCurve Curve() => new(
        Enumerable.Range(0, Knots.Length).Where(k => _visits[k] > 0).ToDictionary(k => Knots[k], k => _drift * _seconds[k]), ContextSlope);

    /// <summary>
    /// An earlier run's curve, at the speed that the machine has today: <c>known * (median over the widths measured today of today's
    /// seconds / known ones)</c>, of a width measured today no more than today: a busy moment makes a pass longer, nothing makes it
    /// shorter.
    /// </summary>
    /// <param name="today">Seconds by rows; at least one width that is known.</param>
    /// <returns>Whether it was taken over: no width of today is among the known ones otherwise.</returns>
    public bool Recall(CostCurve known, IReadOnlyDictionary<int, double> today)
    {
        double[] ratios =
            [.. today.Where(pair => known.Seconds.ContainsKey(pair.Key)).Select(pair => pair.Value / known.Seconds[pair.Key]).Order()];
        if (ratios.Length == 0)
        {
            return false;
        }

        double level = ratios[ratios.Length / 2];
        foreach ((int rows, double seconds) in known.Seconds)
        {
            if (Array.BinarySearch(Knots, rows) >= 0)
            {
                Calibrate(rows, Math.Min(seconds * level, today.GetValueOrDefault(rows, double.MaxValue)), MostSamples);
            }
        }

        ContextSlope = known.ContextSlope * level;
        return true;
    }

    private void Move(int knot, double share)
    {
        if (knot >= 0 && knot < Knots.Length)
        {
            _seconds[knot] *= share;
            _seen[knot] = _clock;
        }
    }

    private double Base(int rows)
    {
        if (rows > Knots[^1])
        {
            return _seconds[^1] * rows / Knots[^1];
        }

        int upper = KnotOf[rows];
        if (Knots[upper] == rows)
        {
            return _seconds[upper];
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
            if (_visits[k] == 0)
            {
                continue;
            }

            for (int j = previous + 1; j < k; j++)
            {
                _seconds[j] = previous < 0
                    ? _seconds[k] * _prior[j] / _prior[k]
                    : _seconds[previous]
                    + ((_seconds[k] - _seconds[previous]) * (Knots[j] - Knots[previous]) / (Knots[k] - Knots[previous]));
            }

            previous = k;
        }

        for (int j = previous + 1; j < Knots.Length; j++)
        {
            _seconds[j] = _seconds[previous] * _prior[j] / _prior[previous];
        }
    }

    /// <summary>One row is bound by memory, many rows by arithmetic: on CPUs an eighth of a one-row pass per further row.</summary>
    private static double Arithmetic(int rows) => 0.125 * (rows - 1);
}
