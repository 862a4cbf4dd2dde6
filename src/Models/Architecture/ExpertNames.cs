using System.Globalization;

namespace Understory.Models.Architecture;

/// <summary>
/// One way in which a checkpoint keeps a layer's experts. Names stand behind the layer's, whole but for the router's; one with <c>{0}</c>
/// in it is a matrix <c>[outputs, inputs]</c> of each expert, by its number, one without is all of theirs, <c>[experts, outputs,
/// inputs]</c>. Biases are <c>[experts, outputs]</c>.
/// </summary>
internal sealed record ExpertNames
{
    /// <summary>Less ".weight" and ".bias".</summary>
    public required string Router { get; init; }

    /// <summary>The gate of the block beside the experts, <c>[1, inputs]</c>.</summary>
    public string SharedGate { get; init; } = "";

    public string Gate { get; init; } = "";

    public string Up { get; init; } = "";

    /// <summary>Gate and up as one: all of the gate's rows, then all of up's, or both in turn where <see cref="Alternating"/>.</summary>
    public string GateUp { get; init; } = "";

    public required string Down { get; init; }

    public string GateBias { get; init; } = "";

    public string UpBias { get; init; } = "";

    public string GateUpBias { get; init; } = "";

    public string DownBias { get; init; } = "";

    /// <summary>What the norm before the router multiplies with, times sqrt(inputs).</summary>
    public string RouterNorm { get; init; } = "";

    /// <summary>The norm before the experts.</summary>
    public string NormBefore { get; init; } = "";

    /// <summary>The norm behind the sum of the experts.</summary>
    public string NormBehind { get; init; } = "";

    /// <summary>The norm behind the block beside them.</summary>
    public string SharedNormBehind { get; init; } = "";

    /// <summary>A number for each expert, by which what it made is multiplied; "": there is none.</summary>
    public string Scales { get; init; } = "";

    /// <summary>Rows of gate and up take turns, the gate's first (gpt-oss).</summary>
    public bool Alternating { get; init; }

    /// <summary>Tensors are <c>[experts, inputs, outputs]</c>.</summary>
    public bool Transposed { get; init; }

    /// <summary>Tensors that are there where experts are kept in this way; unless said otherwise, the first expert's matrices.</summary>
    public string[] Marks { get => field.Length > 0 ? field : [.. Matrices(1)]; init; } = [];

    /// <summary>An expert's name.</summary>
    public static string Of(string name, int expert) =>
        name.Replace("{0}", expert.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal);

    /// <summary>The tensor is one of all experts.</summary>
    public static bool IsOfAll(string name) => !name.Contains("{0}", StringComparison.Ordinal);

    /// <summary>The names of all matrices of so many experts.</summary>
    public IEnumerable<string> Matrices(int experts) => new[] { Gate, Up, GateUp, Down }.Where(name => name.Length > 0)
        .SelectMany(name => Enumerable.Range(0, IsOfAll(name) ? 1 : experts).Select(expert => Of(name, expert)));
}
