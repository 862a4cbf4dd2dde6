using System.Text;

namespace Understory.Models.Tokenizers.Templates;

/// <summary>What a rendering knows and has used up: variables, output, steps.</summary>
internal sealed class RenderContext
{
    /// <summary>Longest output, and longest string or list on the way to it.</summary>
    public const int MaxLength = 8 << 20;

    private const int MaxSteps = 5_000_000;
    private const int MaxDepth = 400;

    /// <summary>Characters of all values that are made on the way, at most.</summary>
    private const long MaxMade = 24L * MaxLength;

    /// <summary>What a reference to an item and a small item weigh, in characters.</summary>
    private const int ItemWeight = 8;

    /// <summary>Steps over long values take long: no conversation takes this many milliseconds.</summary>
    private const long MaxMilliseconds = 20_000;

    private readonly long _end = Environment.TickCount64 + MaxMilliseconds;
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
        long before = _steps;
        _steps += steps;
        bool late = before >> 8 != _steps >> 8 && Environment.TickCount64 > _end;
        if (_steps > MaxSteps || late)
        {
            throw new ChatTemplateException("The chat template takes too many steps.");
        }
    }

    /// <summary>Lets a value of <paramref name="length"/> be made.</summary>
    public void Reserve(long length)
    {
        _made += length;
        if (length > MaxLength || _made > MaxMade)
        {
            throw new ChatTemplateException("The chat template makes too much text.");
        }
    }

    /// <summary>Counts what a filter or a call has made.</summary>
    public object? Made(object? value)
    {
        Reserve(value switch
        {
            string text => text.Length,
            IReadOnlyList<object?> list => Math.Min((long)list.Count * ItemWeight, MaxLength),
            _ => 0,
        });
        return value;
    }

    public void Write(string text)
    {
        Reserve((long)Output.Length + text.Length > MaxLength ? long.MaxValue / 2 : text.Length);
        Output.Append(text);
    }

    /// <summary>The output of <paramref name="body"/>, in a scope of its own that begins with <paramref name="variables"/>.</summary>
    public string Capture(IReadOnlyList<Statement> body, Scope outer, IReadOnlyDictionary<string, object?> variables) =>
        Capture(context => Statement.ExecuteAll(body, context), outer, variables);

    /// <summary>What <paramref name="run"/> writes, in a scope of its own.</summary>
    public string Capture(Func<RenderContext, Flow> run, Scope outer, IReadOnlyDictionary<string, object?> variables)
    {
        (StringBuilder output, Scope scope) = (Output, Scope);
        Enter();
        Output = new StringBuilder();
        Scope = new Scope(outer, variables);
        run(this);
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
