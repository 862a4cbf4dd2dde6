using Understory.Training.Texts;

namespace Understory.Training.Corpus;

/// <summary>Functions of others, again and again in a new order; one of 64, by its own text, is only measured on.</summary>
internal sealed class CorpusSource : ITextSource
{
    private const ulong HeldOutShare = 64;
    private const int MostHeldOut = 200;

    private readonly string[] _texts;
    private readonly string[] _heldOut;

    public CorpusSource(IReadOnlyList<string> functions)
    {
        ILookup<bool, string> parts = functions.ToLookup(function => HoldOut.Hash(function) % HeldOutShare == 0);
        _texts = [.. parts[false]];
        _heldOut = [.. parts[true].Take(MostHeldOut)];
    }

    public string Name => "packages";

    public IEnumerable<string> Texts(int seed)
    {
        var random = new SeededRandom((ulong)seed);
        string[] order = [.. _texts];
        while (order.Length > 0)
        {
            for (int i = order.Length - 1; i > 0; i--)
            {
                int j = random.Below(i + 1);
                (order[i], order[j]) = (order[j], order[i]);
            }

            foreach (string text in order)
            {
                yield return text;
            }
        }
    }

    public IEnumerable<string> HeldOut() => _heldOut;
}
