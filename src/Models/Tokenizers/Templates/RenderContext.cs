using System.Text;

namespace Understory.Models.Tokenizers.Templates;

/// <summary>What a rendering knows and has used up: variables, output, steps.</summary>
internal sealed class RenderContext
{
    /// <summary>Longest output, and longest string or list on the way to it.</summary>
    public const int MaxLength = 8 << 20;

    private const int MaxSteps = 5_000_000;
    private const int MaxDepth = 400;

    private long _steps;
    private long _made;
    private int _depth;

    public RenderContext(IReadOnlyDictionary<string, object?> variables, TimeProvider time)
    {
        Time = time;
        Scope = new Scope(new Scope(null, Globals.All), variables);
    }

    public TimeProvider Time { get; }

    public Scope Scope { get; set; }

    public StringBuilder Output { get; private set; } = new();

    /// <summary>Counts a step of work at one more level of nesting; every call needs its <see cref="Leave"/>.</summary>
    public void Enter()
    {
        Count(1);
        if (++_depth > MaxDepth)
        {
            throw new ChatTemplateException("The chat template nests too deeply.");
        }
    }

    public void Leave() => _depth--;

    /// <summary>Counts <paramref name="steps"/> steps of work.</summary>
    public void Count(long steps)
    {
        _steps += steps;
        if (_steps > MaxSteps)
        {
            throw new ChatTemplateException("The chat template takes too many steps.");
        }
    }

    /// <summary>Lets a value of <paramref name="length"/> be made.</summary>
    public void Reserve(long length)
    {
        _made += length;
        if (length > MaxLength || _made > 8L * MaxLength)
        {
            throw new ChatTemplateException("The chat template makes too much text.");
        }
    }

    public void Write(string text)
    {
        Reserve((long)Output.Length + text.Length > MaxLength ? long.MaxValue / 2 : text.Length);
        Output.Append(text);
    }

    /// <summary>The output of <paramref name="body"/>, in a scope of its own that begins with <paramref name="variables"/>.</summary>
    public string Capture(IReadOnlyList<Statement> body, Scope outer, IReadOnlyDictionary<string, object?> variables)
    {
        (StringBuilder output, Scope scope) = (Output, Scope);
        Enter();
        Output = new StringBuilder();
        Scope = new Scope(outer, variables);
        Statement.ExecuteAll(body, this);
        string text = Output.ToString();
        (Output, Scope) = (output, scope);
        Leave();
        return text;
    }
}

/// <summary>Variables, and those around them.</summary>
internal sealed class Scope(Scope? outer, IReadOnlyDictionary<string, object?> initial)
{
    private Dictionary<string, object?>? _set;

    public object? Find(string name)
    {
        for (Scope? scope = this; scope is not null; scope = scope.Outer)
        {
            if (scope._set?.TryGetValue(name, out object? value) == true || scope.Initial.TryGetValue(name, out value))
            {
                return value;
            }
        }

        return new Undefined(name);
    }

    public void Set(string name, object? value) => (_set ??= [])[name] = value;

    private Scope? Outer { get; } = outer;

    private IReadOnlyDictionary<string, object?> Initial { get; } = initial;
}
