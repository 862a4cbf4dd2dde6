namespace Understory.Models.Tokenizers.Templates;

/// <summary>What has a value.</summary>
internal abstract record Expression
{
    public object? Evaluate(RenderContext context)
    {
        context.Enter();
        object? value = Compute(context);
        context.Leave();
        return value;
    }

    protected abstract object? Compute(RenderContext context);
}

/// <summary>The arguments of a call, not yet evaluated.</summary>
internal sealed record CallArguments(IReadOnlyList<Expression> Positional, IReadOnlyList<(string Name, Expression Value)> Named)
{
    public static readonly CallArguments None = new([], []);

    public Arguments Evaluate(RenderContext context) => new(
        [.. Positional.Select(argument => argument.Evaluate(context))],
        Named.ToDictionary(argument => argument.Name, argument => argument.Value.Evaluate(context)));
}

internal sealed record LiteralExpression(object? Value) : Expression
{
    protected override object? Compute(RenderContext context) => Value;
}

internal sealed record NameExpression(string Name) : Expression
{
    protected override object? Compute(RenderContext context) => context.Scope.Find(Name);
}

internal sealed record ListExpression(IReadOnlyList<Expression> Items) : Expression
{
    protected override object? Compute(RenderContext context) => Items.Select(item => item.Evaluate(context)).ToList();
}

internal sealed record TupleExpression(IReadOnlyList<Expression> Items) : Expression
{
    protected override object? Compute(RenderContext context) => new Tuple(Items.Select(item => item.Evaluate(context)));
}

internal sealed record DictionaryExpression(IReadOnlyList<(Expression Key, Expression Value)> Members) : Expression
{
    protected override object? Compute(RenderContext context)
    {
        var members = new List<(object? Key, object? Value)>();
        foreach ((Expression key, Expression value) in Members)
        {
            members.Add((key.Evaluate(context), value.Evaluate(context)));
        }

        return Mapping.Of(members);
    }
}

internal sealed record ConditionalExpression(Expression Condition, Expression Then, Expression? Otherwise) : Expression
{
    protected override object? Compute(RenderContext context) =>
        Values.IsTrue(Condition.Evaluate(context)) ? Then.Evaluate(context)
        : Otherwise is null ? new Undefined("the inline if-expression without else")
        : Otherwise.Evaluate(context);
}

/// <summary><c>and</c>, <c>or</c>: the operand that decides.</summary>
internal sealed record LogicExpression(Expression Left, Expression Right, bool IsOr) : Expression
{
    protected override object? Compute(RenderContext context)
    {
        object? left = Left.Evaluate(context);
        return Values.IsTrue(left) == IsOr ? left : Right.Evaluate(context);
    }
}

internal sealed record NotExpression(Expression Value) : Expression
{
    protected override object? Compute(RenderContext context) => !Values.IsTrue(Value.Evaluate(context));
}

internal sealed record SignExpression(bool IsNegative, Expression Value) : Expression
{
    protected override object? Compute(RenderContext context) =>
        Operators.Apply(context, 0L, IsNegative ? "-" : "+", Value.Evaluate(context));
}

internal sealed record BinaryExpression(Expression Left, string Operator, Expression Right) : Expression
{
    protected override object? Compute(RenderContext context) =>
        Operators.Apply(context, Left.Evaluate(context), Operator, Right.Evaluate(context));
}

/// <summary>A chain of comparisons: <c>a &lt; b &lt; c</c> is <c>a &lt; b and b &lt; c</c>.</summary>
internal sealed record ComparisonExpression(Expression First, IReadOnlyList<(string Operator, Expression Right)> Steps) : Expression
{
    protected override object? Compute(RenderContext context)
    {
        object? left = First.Evaluate(context);
        foreach ((string sign, Expression rightSide) in Steps)
        {
            object? right = rightSide.Evaluate(context);
            context.Count(right switch
            {
                string text => text.Length >> 10,
                IReadOnlyList<object?> list => list.Count >> 4,
                _ => 0,
            });
            if (!Operators.Holds(left, sign, right))
            {
                return false;
            }

            left = right;
        }

        return true;
    }
}

internal sealed record AttributeExpression(Expression Value, string Name) : Expression
{
    protected override object? Compute(RenderContext context) => Members.Attribute(Value.Evaluate(context), Name);
}

internal sealed record IndexExpression(Expression Value, Expression Index) : Expression
{
    protected override object? Compute(RenderContext context) => Members.Item(Value.Evaluate(context), Index.Evaluate(context));
}

internal sealed record SliceExpression(Expression Value, Expression? Start, Expression? Stop, Expression? Step) : Expression
{
    protected override object? Compute(RenderContext context) =>
        Members.Slice(Value.Evaluate(context), Start?.Evaluate(context), Stop?.Evaluate(context), Step?.Evaluate(context));
}

internal sealed record CallExpression(Expression Callee, CallArguments Arguments) : Expression
{
    protected override object? Compute(RenderContext context) => Callee.Evaluate(context) switch
    {
        Function function => context.Made(function(context, Arguments.Evaluate(context))),
        LoopState { Recurse: { } recurse } => context.Made(recurse(context, Arguments.Evaluate(context).Need(0, "iterable"))),
        Undefined undefined => throw undefined.Fail(),
        object other => throw new ChatTemplateException($"{Values.TypeName(other)} cannot be called."),
        null => throw new ChatTemplateException("None cannot be called."),
    };
}

internal sealed record FilterExpression(Expression Value, string Name, CallArguments Arguments) : Expression
{
    protected override object? Compute(RenderContext context) =>
        context.Made(Filters.Apply(context, Name, Value.Evaluate(context), Arguments.Evaluate(context)));
}

internal sealed record TestExpression(Expression Value, string Name, IReadOnlyList<Expression> Arguments) : Expression
{
    protected override object? Compute(RenderContext context) =>
        ValueTests.Holds(Name, Value.Evaluate(context), [.. Arguments.Select(argument => argument.Evaluate(context))]);
}

/// <summary>The output of a body, as a value.</summary>
internal sealed record CaptureExpression(IReadOnlyList<Statement> Body) : Expression
{
    private static readonly Dictionary<string, object?> s_nothing = [];

    protected override object? Compute(RenderContext context) => context.Capture(Body, context.Scope, s_nothing);
}
