namespace Understory.Models.Tokenizers.Templates;

/// <summary>The variable <c>loop</c>.</summary>
/// <param name="depth">How many loops of the same tag are around it.</param>
/// <param name="recurse">What <c>loop(items)</c> prints: the loop over other items; null: the loop is not recursive.</param>
internal sealed class LoopState(IReadOnlyList<object?> items, int depth, Func<RenderContext, object?, string>? recurse)
{
    private IReadOnlyList<object?>? _last;

    /// <summary>The round, from 0.</summary>
    public int Index { get; set; }

    public Func<RenderContext, object?, string>? Recurse { get; } = recurse;

    public object? Attribute(string name) => name switch
    {
        "index" => Index + 1L,
        "index0" => (long)Index,
        "revindex" => (long)items.Count - Index,
        "revindex0" => (long)items.Count - Index - 1,
        "first" => Index == 0,
        "last" => Index == items.Count - 1,
        "length" => (long)items.Count,
        "depth" => depth + 1L,
        "depth0" => (long)depth,
        "previtem" => Index > 0 ? items[Index - 1] : new Undefined("loop.previtem"),
        "nextitem" => Index + 1 < items.Count ? items[Index + 1] : new Undefined("loop.nextitem"),
        "cycle" => new Function((_, arguments) => arguments.Positional.Count == 0
            ? throw new ChatTemplateException("loop.cycle needs values.")
            : arguments.Positional[Index % arguments.Positional.Count]),
        "changed" => new Function((_, arguments) => HasChanged(arguments.Positional)),
        _ => new Undefined("loop." + name),
    };

    /// <summary>Whether the values differ from those of the last time, or there was none.</summary>
    private bool HasChanged(IReadOnlyList<object?> values)
    {
        bool isSame = _last is not null && Values.AreEqual(_last, values);
        _last = values;
        return !isSame;
    }
}
