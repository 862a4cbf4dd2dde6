namespace Understory.Decoding.Tests.Planning.Simulation;

/// <summary>What passes cost on a made-up machine, relative to one row of its target.</summary>
/// <param name="Flat">Rows that cost no more than one.</param>
/// <param name="Slope">What each further row costs.</param>
/// <param name="Draft">A one-row pass of the draft.</param>
/// <param name="Experts">Of 128 experts each row uses 8, which take 0.8 of a one-row pass.</param>
internal sealed record Machine(string Name, int Flat, double Slope, double Draft, bool Experts = false)
{
    /// <summary>Seconds of a one-row target pass.</summary>
    public const double Unit = 0.01;

    /// <summary>As a CPU reads from memory, as one whose model lies in its L3, as a GPU; each with a draft of three sizes.</summary>
    public static IReadOnlyList<Machine> All { get; } =
        [.. from shape in new (string Name, int Flat, double Slope)[]
            {
                ("flat to 4", 4, 0.11), ("steep from 2", 1, 0.45), ("flat to 64", 64, 0.02),
            }
            from draft in new[] { 0.05, 0.2, 0.6 }
            select new Machine($"{shape.Name}, draft {100 * draft:F0} %", shape.Flat, shape.Slope, draft),
            new Machine("experts, draft 5 %", 4, 0.05, 0.05, Experts: true)];

    public double TargetSeconds(int rows) => Unit * (Shape(rows) + (Experts ? 0.8 * (Touched(rows) - 1) : 0));

    public double DraftSeconds(int rows) => Unit * Draft * Shape(rows);

    /// <summary>Experts that so many rows read together, over those of one.</summary>
    private static double Touched(int rows) => 16 * (1 - Math.Pow(1 - (8 / 128.0), rows));

    private double Shape(int rows) => 1 + (Slope * Math.Max(0, rows - Flat));
}
