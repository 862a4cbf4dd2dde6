namespace Understory.Models.Tokenizers.Templates;

/// <summary>How a statement ends.</summary>
internal enum Flow
{
    Next,
    Break,
    Continue,
}

/// <summary>What stands between tags, or a block tag.</summary>
internal abstract record Statement
{
    public abstract Flow Execute(RenderContext context);

    public static Flow ExecuteAll(IReadOnlyList<Statement> body, RenderContext context)
    {
        foreach (Statement statement in body)
        {
            context.Count(1);
            if (statement.Execute(context) is not Flow.Next and Flow jump)
            {
                return jump;
            }
        }

        return Flow.Next;
    }
}

internal sealed record TextStatement(string Text) : Statement
{
    public override Flow Execute(RenderContext context)
    {
        context.Write(Text);
        return Flow.Next;
    }
}

internal sealed record OutputStatement(Expression Value) : Statement
{
    public override Flow Execute(RenderContext context)
    {
        context.Write(Values.ToText(Value.Evaluate(context)));
        return Flow.Next;
    }
}

/// <summary>A body that stands for itself, such as the marking of what an assistant says.</summary>
internal sealed record BodyStatement(IReadOnlyList<Statement> Body) : Statement
{
    public override Flow Execute(RenderContext context) => ExecuteAll(Body, context);
}

internal sealed record JumpStatement(Flow Flow) : Statement
{
    public override Flow Execute(RenderContext context) => Flow;
}

internal sealed record IfStatement(
    IReadOnlyList<(Expression Condition, IReadOnlyList<Statement> Body)> Branches, IReadOnlyList<Statement> Otherwise) : Statement
{
    public override Flow Execute(RenderContext context)
    {
        foreach ((Expression condition, IReadOnlyList<Statement> body) in Branches)
        {
            if (Values.IsTrue(condition.Evaluate(context)))
            {
                return ExecuteAll(body, context);
            }
        }

        return ExecuteAll(Otherwise, context);
    }
}

/// <summary>A loop; each round has a scope of its own, so that what it sets is forgotten.</summary>
internal sealed record ForStatement(IReadOnlyList<string> Targets, Expression Items, Expression? Filter, bool IsRecursive,
    IReadOnlyList<Statement> Body, IReadOnlyList<Statement> Otherwise)
    : Statement
{
    private static readonly Dictionary<string, object?> s_nothing = [];

    public override Flow Execute(RenderContext context) => Run(context, Items.Evaluate(context), depth: 0);

    private Flow Run(RenderContext context, object? over, int depth)
    {
        Scope outer = context.Scope;
        IReadOnlyList<object?> items = Values.Items(over);
        if (Filter is not null)
        {
            var kept = new List<object?>();
            foreach (object? item in items)
            {
                context.Scope = new Scope(outer, s_nothing);
                Bind(context, item);
                if (Values.IsTrue(Filter.Evaluate(context)))
                {
                    kept.Add(item);
                }
            }

            context.Scope = outer;
            items = kept;
        }

        var loop = new LoopState(items, depth, !IsRecursive ? null : (caller, within) =>
            caller.Capture(inner => Run(inner, within, depth + 1), outer, s_nothing));
        for (int i = 0; i < items.Count; i++)
        {
            context.Enter();
            context.Scope = new Scope(outer, s_nothing);
            loop.Index = i;
            context.Scope.Set("loop", loop);
            Bind(context, items[i]);
            Flow flow = ExecuteAll(Body, context);
            context.Leave();
            if (flow == Flow.Break)
            {
                break;
            }
        }

        context.Scope = outer;
        return items.Count == 0 ? ExecuteAll(Otherwise, context) : Flow.Next;
    }

    private void Bind(RenderContext context, object? item)
    {
        SetStatement.Assign(context, Targets, item);
    }
}

internal sealed record SetStatement(IReadOnlyList<string> Targets, string? Attribute, Expression Value) : Statement
{
    public override Flow Execute(RenderContext context)
    {
        object? value = Value.Evaluate(context);
        if (Attribute is null)
        {
            Assign(context, Targets, value);
            return Flow.Next;
        }

        // Only a namespace may change, and so outlive the scope of a loop.
        Namespace target = context.Scope.Find(Targets[0]) as Namespace
            ?? throw new ChatTemplateException($"'{Targets[0]}' is not a namespace: its attribute '{Attribute}' cannot be set.");
        target.Members[Attribute] = value;
        return Flow.Next;
    }

    public static void Assign(RenderContext context, IReadOnlyList<string> targets, object? value)
    {
        if (targets.Count == 1)
        {
            context.Scope.Set(targets[0], value);
            return;
        }

        IReadOnlyList<object?> parts = Values.Items(value);
        if (parts.Count != targets.Count)
        {
            throw new ChatTemplateException($"{parts.Count} values for the {targets.Count} names {string.Join(", ", targets)}.");
        }

        for (int i = 0; i < parts.Count; i++)
        {
            context.Scope.Set(targets[i], parts[i]);
        }
    }
}

internal sealed record MacroStatement(
    string Name, IReadOnlyList<(string Name, Expression? Default)> Parameters, IReadOnlyList<Statement> Body) : Statement
{
    public override Flow Execute(RenderContext context)
    {
        context.Scope.Set(Name, Bind(context.Scope));
        return Flow.Next;
    }

    /// <summary>The macro as a value, which sees the scope that it is defined in.</summary>
    public Function Bind(Scope definition) => (caller, arguments) => Call(caller, arguments, definition);

    private string Call(RenderContext context, Arguments arguments, Scope definition)
    {
        var variables = new Dictionary<string, object?>();
        if (arguments.Positional.Count > Parameters.Count)
        {
            throw new ChatTemplateException($"The macro '{Name}' takes at most {Parameters.Count} arguments.");
        }

        for (int i = 0; i < Parameters.Count; i++)
        {
            (string name, Expression? otherwise) = Parameters[i];
            variables[name] = arguments.TryGet(i, name, out object? given) ? given
                : otherwise is null ? new Undefined(name)
                : otherwise.Evaluate(context);
        }

        if (arguments.Named.TryGetValue(CallStatement.Caller, out object? body))
        {
            variables[CallStatement.Caller] = body;
        }

        return context.Capture(Body, definition, variables);
    }
}

/// <summary>Prints what a macro makes of a body, which it reaches as <c>caller()</c>.</summary>
internal sealed record CallStatement(CallExpression Macro, MacroStatement Body) : Statement
{
    public const string Caller = "caller";

    public override Flow Execute(RenderContext context)
    {
        CallArguments given = Macro.Arguments;
        var body = new LiteralExpression(Body.Bind(context.Scope));
        Expression call = Macro with { Arguments = given with { Named = [.. given.Named, (Caller, body)] } };
        context.Write(Values.ToText(call.Evaluate(context)));
        return Flow.Next;
    }
}

internal sealed record WithStatement(IReadOnlyList<(IReadOnlyList<string> Targets, Expression Value)> Variables,
    IReadOnlyList<Statement> Body) : Statement
{
    private static readonly Dictionary<string, object?> s_nothing = [];

    public override Flow Execute(RenderContext context)
    {
        Scope outer = context.Scope;
        object?[] values = [.. Variables.Select(variable => variable.Value.Evaluate(context))];
        context.Scope = new Scope(outer, s_nothing);
        for (int i = 0; i < values.Length; i++)
        {
            SetStatement.Assign(context, Variables[i].Targets, values[i]);
        }

        Flow flow = ExecuteAll(Body, context);
        context.Scope = outer;
        return flow;
    }
}
