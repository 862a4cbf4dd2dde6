using System.Numerics;
using Understory.Models.Kernels.Cpu.Vectors;
using Understory.Models.Kernels.Cpu.Weights;

namespace Understory.Models.Kernels.Cpu.Products;

/// <summary>
/// The tiles that are compiled for a kind of vectors: all sums of a tile must fit into the machine's registers together with a panel of
/// weights.
/// </summary>
internal static unsafe class TileTable<T>
    where T : unmanaged, ILanes<T>
{
    /// <summary>Most rows of a tile.</summary>
    public static int MaxRows => T.ManyRegisters ? 6 : 2;

    /// <summary>Blocks of 16 outputs that any number of rows can take at once.</summary>
    public static int Blocks => T.ManyRegisters ? 2 : 1;

    /// <summary>Most sums of a tile.</summary>
    public static int MaxSums => 12 * CpuMatrix.BlockRows;

    /// <summary>
    /// Blocks of 16 outputs that so many rows should take at once. One or two rows have registers left for more, and every block adds two
    /// chains that hide each other's latency; but weights from memory they take as fast as they come, and one block at a time is the
    /// fastest way to read.
    /// </summary>
    public static int PanelBlocks(int rows, bool fromMemory) =>
        !T.ManyRegisters ? Math.Max(1, 2 / rows) : rows > 2 ? Blocks : fromMemory ? 1 : 4;

    /// <summary>Blocks of the next panel where so many are left: 1, 2 or 4.</summary>
    public static int NextPanel(int left, int most) => 1 << BitOperations.Log2((uint)Math.Min(left, most));

    /// <summary><see cref="Tile.Sum"/> for so many rows and blocks.</summary>
    public static delegate*<in PanelSource, float*, nint, int, float*, void> Sum<TWeights>(int rows, int blocks)
        where TWeights : struct, IWeightType => blocks switch
        {
            1 => Panel<Block<T>, TWeights>.Sum(rows),
            2 => Panel<Wide<Block<T>, T>, TWeights>.Sum(rows),
            _ => Panel<Wide<Wide<Block<T>, T>, T>, TWeights>.Sum(rows),
        };

    /// <summary><see cref="Tile.Continue"/> for so many rows and blocks.</summary>
    public static delegate*<in ValueSource, float*, nint, int, float*, nint, void> Continue<TWeights>(int rows, int blocks)
        where TWeights : struct, IWeightType => blocks switch
        {
            1 => Panel<Block<T>, TWeights>.Continue(rows),
            2 => Panel<Wide<Block<T>, T>, TWeights>.Continue(rows),
            _ => Panel<Wide<Wide<Block<T>, T>, T>, TWeights>.Continue(rows),
        };

    private static class Panel<TPanel, TWeights>
        where TPanel : struct, IPanel<TPanel, T>
        where TWeights : struct, IWeightType
    {
        public static delegate*<in PanelSource, float*, nint, int, float*, void> Sum(int rows) => rows switch
        {
            1 => Of<OneRow<TPanel, T>>.Sum,
            2 => Of<Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>>.Sum,
            3 => OneMore<Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>>.Sum,
            4 => TwoMore<Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>>.Sum,
            5 => OneMore<Both<Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>, Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>,
            TPanel, T>>.Sum,
            _ => TwoMore<Both<Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>, Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>,
            TPanel, T>>.Sum,
        };

        public static delegate*<in ValueSource, float*, nint, int, float*, nint, void> Continue(int rows) => rows switch
        {
            1 => Of<OneRow<TPanel, T>>.Continue,
            2 => Of<Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>>.Continue,
            3 => OneMore<Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>>.Continue,
            4 => TwoMore<Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>>.Continue,
            5 => OneMore<Both<Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>, Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>,
            TPanel, T>>.Continue,
            _ => TwoMore<Both<Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>, Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>,
            TPanel, T>>.Continue,
        };

        private static class Of<TTile>
            where TTile : struct, ITile<TPanel, T>
        {
            public static delegate*<in PanelSource, float*, nint, int, float*, void> Sum =>
                TWeights.Scaled ? &Tile.SumScaled<TTile, TPanel, TWeights, T> : &Tile.Sum<TTile, TPanel, TWeights, T>;

            public static delegate*<in ValueSource, float*, nint, int, float*, nint, void> Continue =>
                &Tile.Continue<TTile, TPanel, TWeights, T>;
        }

        private static class OneMore<TTile>
            where TTile : struct, ITile<TPanel, T>
        {
            public static delegate*<in PanelSource, float*, nint, int, float*, void> Sum =>
                Of<Both<TTile, OneRow<TPanel, T>, TPanel, T>>.Sum;

            public static delegate*<in ValueSource, float*, nint, int, float*, nint, void> Continue =>
                Of<Both<TTile, OneRow<TPanel, T>, TPanel, T>>.Continue;
        }

        private static class TwoMore<TTile>
            where TTile : struct, ITile<TPanel, T>
        {
            public static delegate*<in PanelSource, float*, nint, int, float*, void> Sum =>
                Of<Both<TTile, Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>, TPanel, T>>.Sum;

            public static delegate*<in ValueSource, float*, nint, int, float*, nint, void> Continue =>
                Of<Both<TTile, Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>, TPanel, T>>.Continue;
        }
    }
}
