namespace Understory.Peer;

/// <summary>Repeated measurements of one figure.</summary>
internal sealed class Series(params IEnumerable<double> values)
{
    private readonly List<double> _values = [.. values];

    public int Count => _values.Count;

    public double Median => At(0.5);

    /// <summary>The ends of the middle four fifths of the measurements.</summary>
    public (double Low, double High) Spread => (At(0.1), At(0.9));

    public void Add(double value) => _values.Add(value);

    public Series And(Series other) => new(_values.Concat(other._values));

    public Series Plus(Series other) => new(_values.Zip(other._values, (a, b) => a + b));

    public Series Over(Series other) => new(_values.Zip(other._values, (a, b) => a / b));

    /// <summary>The median and the spread, scaled: "12.3 (11.9 .. 12.8)".</summary>
    public string Text(double scale, string format) =>
        $"{(Median * scale).ToString(format)} ({(Spread.Low * scale).ToString(format)} .. {(Spread.High * scale).ToString(format)})";

    private double At(double share) => _values.Order().ElementAt((int)Math.Round((_values.Count - 1) * share));
}
