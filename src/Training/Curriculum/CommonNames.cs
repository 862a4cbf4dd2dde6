namespace Understory.Training.Curriculum;

/// <summary>What programmers call things: other names for a template's parameters and local variables.</summary>
internal static class CommonNames
{
    private static readonly Dictionary<string, string[]> _names = new()
    {
        ["a"] = ["a", "x", "first", "m"],
        ["b"] = ["b", "y", "second", "k"],
        ["n"] = ["n", "num", "number", "value"],
        ["k"] = ["k", "r", "size"],
        ["base"] = ["base", "b", "radix"],
        ["exponent"] = ["exponent", "exp", "power", "e"],
        ["limit"] = ["limit", "n", "bound", "threshold", "maximum"],
        ["value"] = ["value", "x", "v", "val"],
        ["low"] = ["low", "lo", "lower", "left"],
        ["high"] = ["high", "hi", "upper", "right"],
        ["mid"] = ["mid", "middle"],
        ["year"] = ["year", "y"],
        ["month"] = ["month", "m"],
        ["text"] = ["text", "s", "string", "sentence"],
        ["words"] = ["words", "strings", "names", "texts"],
        ["numbers"] = ["numbers", "nums", "values", "xs", "lst"],
        ["items"] = ["items", "elements", "lst", "values", "sequence"],
        ["target"] = ["target", "wanted", "goal"],
        ["matrix"] = ["matrix", "grid", "table", "m"],
        ["result"] = ["result", "output", "out", "res", "answer"],
        ["total"] = ["total", "result", "acc", "sum_so_far"],
        ["count"] = ["count", "counter", "found", "amount"],
        ["counts"] = ["counts", "frequencies", "tally"],
        ["item"] = ["item", "element", "x", "value"],
        ["seen"] = ["seen", "visited", "known"],
        ["best"] = ["best", "largest", "record"],
        ["char"] = ["char", "c", "ch", "letter"],
        ["word"] = ["word", "w", "token"],
        ["digit"] = ["digit", "d"],
        ["digits"] = ["digits", "text", "s"],
        ["row"] = ["row", "r", "line"],
        ["part"] = ["part", "piece", "chunk"],
        ["pair"] = ["pair", "entry", "p"],
        ["rest"] = ["rest", "remaining", "remainder"],
        ["left"] = ["left", "i", "start"],
        ["right"] = ["right", "j", "end"],
        ["stack"] = ["stack", "opened", "pending"],
        ["divisor"] = ["divisor", "d", "factor"],
        ["factors"] = ["factors", "result", "found"],
        ["primes"] = ["primes", "result", "found"],
        ["key"] = ["key", "k", "name"],
        ["symbol"] = ["symbol", "letter", "sign"],
        ["groups"] = ["groups", "result", "by_key"],
        ["previous"] = ["previous", "last", "before"],
        ["current"] = ["current", "now", "running"],
        ["steps"] = ["steps", "count", "length"],
        ["sequence"] = ["sequence", "result", "terms"],
        ["pivot"] = ["pivot", "p", "middle"],
        ["smaller"] = ["smaller", "less", "lower"],
        ["larger"] = ["larger", "greater", "higher"],
        ["longest"] = ["longest", "best", "winner"],
        ["ordered"] = ["ordered", "sorted_values", "in_order"],
    };

    /// <summary>All names of a thing, its own first.</summary>
    public static IReadOnlyList<string> Of(string key) => _names.TryGetValue(key, out string[]? names) ? names : [key];
}
