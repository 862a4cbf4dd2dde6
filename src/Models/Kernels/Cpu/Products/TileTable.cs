using Understory.Models.Kernels.Cpu.Vectors;

namespace Understory.Models.Kernels.Cpu.Products;

/// <summary>
/// The tiles that are compiled for a kind of vectors: all sums of a tile must fit into the machine's registers together with a panel of weights.
/// </summary>
internal static unsafe class TileTable<T>
    where T : unmanaged, ILanes<T>
{
    /// <summary>Most rows of a tile.</summary>
    public static int MaxRows => T.ManyRegisters ? 6 : 2;

    /// <summary>Blocks of 16 outputs that several rows take at once.</summary>
    public static int Blocks => T.ManyRegisters ? 2 : 1;

    /// <summary><see cref="Tile.Sum"/> for so many rows and blocks (1 or <see cref="Blocks"/>).</summary>
    public static delegate*<in PanelSource, float*, nint, int, float*, void> Sum<TWeights>(int rows, int blocks)
        where TWeights : struct, IWeightType =>
        blocks == 1 ? Rows<Block<T>, TWeights>.Sum(rows) : Rows<Wide<Block<T>, T>, TWeights>.Sum(rows);

    /// <summary><see cref="Tile.Continue"/> for so many rows and blocks (1 or <see cref="Blocks"/>).</summary>
    public static delegate*<byte*, nint, nint, float*, nint, int, float*, nint, void> Continue<TWeights>(int rows, int blocks)
        where TWeights : struct, IWeightType =>
        blocks == 1 ? Rows<Block<T>, TWeights>.Continue(rows) : Rows<Wide<Block<T>, T>, TWeights>.Continue(rows);

    private static class Rows<TPanel, TWeights>
        where TPanel : struct, IPanel<TPanel, T>
        where TWeights : struct, IWeightType
    {
        public static delegate*<in PanelSource, float*, nint, int, float*, void> Sum(int rows) => rows switch
        {
            1 => One<OneRow<TPanel, T>>.Sum,
            2 => One<Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>>.Sum,
            3 => More<OneRow<TPanel, T>>.Sum(rows),
            4 => More<Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>>.Sum(rows),
            5 => More<OneRow<TPanel, T>>.Sum(rows),
            _ => More<Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>>.Sum(rows),
        };

        public static delegate*<byte*, nint, nint, float*, nint, int, float*, nint, void> Continue(int rows) => rows switch
        {
            1 => One<OneRow<TPanel, T>>.Continue,
            2 => One<Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>>.Continue,
            3 => More<OneRow<TPanel, T>>.Continue(rows),
            4 => More<Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>>.Continue(rows),
            5 => More<OneRow<TPanel, T>>.Continue(rows),
            _ => More<Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>>.Continue(rows),
        };

        private static class One<TTile>
            where TTile : struct, ITile<TPanel, T>
        {
            public static delegate*<in PanelSource, float*, nint, int, float*, void> Sum => &Tile.Sum<TTile, TPanel, TWeights, T>;

            public static delegate*<byte*, nint, nint, float*, nint, int, float*, nint, void> Continue =>
                &Tile.Continue<TTile, TPanel, TWeights, T>;
        }

        /// <summary>Tiles that begin with two or four rows and end with <typeparamref name="TLast"/>.</summary>
        private static class More<TLast>
            where TLast : struct, ITile<TPanel, T>
        {
            public static delegate*<in PanelSource, float*, nint, int, float*, void> Sum(int rows) => rows > 4
                ? One<Both<Both<Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>, Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>, TPanel, T>, TLast, TPanel, T>>.Sum
                : One<Both<Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>, TLast, TPanel, T>>.Sum;

            public static delegate*<byte*, nint, nint, float*, nint, int, float*, nint, void> Continue(int rows) => rows > 4
                ? One<Both<Both<Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>, Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>, TPanel, T>, TLast, TPanel, T>>.Continue
                : One<Both<Both<OneRow<TPanel, T>, OneRow<TPanel, T>, TPanel, T>, TLast, TPanel, T>>.Continue;
        }
    }
}
