namespace Understory.Models.Tokenizers.Templates;

/// <summary>Builds the statements of a template from its tokens.</summary>
internal sealed class Parser(IReadOnlyList<Token> tokens) : ExpressionParser(tokens)
{
    public IReadOnlyList<Statement> ParseTemplate()
    {
        List<Statement> body = ParseBody();
        return Current.Kind == TokenKind.End ? body : throw Fail($"'{Following.Text}' is not expected here");
    }

    /// <summary>Statements up to the end or to a tag whose name is among <paramref name="ends"/>; stops before that tag.</summary>
    private List<Statement> ParseBody(params ReadOnlySpan<string> ends)
    {
        Enter();
        var body = new List<Statement>();
        while (Current.Kind != TokenKind.End)
        {
            switch (Current.Kind)
            {
                case TokenKind.Text:
                    body.Add(new TextStatement(Take().Text));
                    break;
                case TokenKind.OutputStart:
                    Take();
                    body.Add(new OutputStatement(ParseTuple()));
                    Expect(TokenKind.OutputEnd);
                    break;
                default:
                    string name = Following.Text;
                    if (ends.Contains(name) || name.StartsWith("end", StringComparison.Ordinal) || name is "else" or "elif")
                    {
                        Leave();
                        return body;
                    }

                    Take();
                    body.Add(ParseBlock());
                    break;
            }
        }

        Leave();
        return body;
    }

    private Statement ParseBlock()
    {
        Token tag = Expect(TokenKind.Name);
        switch (tag.Text)
        {
            case "if":
                return ParseIf();
            case "for":
                return ParseFor();
            case "set":
                return ParseSet();
            case "macro":
                return ParseMacro();
            case "with":
                return ParseWith();
            case "filter":
                return ParseFilterBlock();
            case "call":
                return ParseCall();
            case "generation":
                Expect(TokenKind.BlockEnd);
                var generation = new BodyStatement(ParseBody());
                End("endgeneration");
                return generation;
            case "break" or "continue":
                Expect(TokenKind.BlockEnd);
                return new JumpStatement(tag.Text == "break" ? Flow.Break : Flow.Continue);
            default:
                throw Fail($"the tag '{tag.Text}' is not supported", tag);
        }
    }

    private IfStatement ParseIf()
    {
        var branches = new List<(Expression Condition, IReadOnlyList<Statement> Body)>();
        while (true)
        {
            Expression condition = ParseExpression();
            Expect(TokenKind.BlockEnd);
            branches.Add((condition, ParseBody()));
            if (!TakeTag("elif"))
            {
                break;
            }
        }

        IReadOnlyList<Statement> otherwise = ParseElse();
        End("endif");
        return new IfStatement(branches, otherwise);
    }

    private ForStatement ParseFor()
    {
        IReadOnlyList<string> targets = ParseNames();
        ExpectName("in");
        Expression items = ParseTuple(isConditional: false);
        Expression? filter = TakeName("if") ? ParseExpression() : null;
        bool isRecursive = TakeName("recursive");
        Expect(TokenKind.BlockEnd);
        IReadOnlyList<Statement> body = ParseBody();
        IReadOnlyList<Statement> otherwise = ParseElse();
        End("endfor");
        return new ForStatement(targets, items, filter, isRecursive, body, otherwise);
    }

    private SetStatement ParseSet()
    {
        List<string> targets = ParseNames();
        string? attribute = targets.Count == 1 && TakeOperator(".") ? Expect(TokenKind.Name).Text : null;
        if (TakeOperator("="))
        {
            Expression value = ParseTuple();
            Expect(TokenKind.BlockEnd);
            return new SetStatement(targets, attribute, value);
        }

        return new SetStatement(targets, attribute, ParseFiltered(TakeOperator("|"), "endset"));
    }

    /// <summary><c>{% with a = 1, b = 2 %}</c>: variables of a scope of its own, none of which sees another.</summary>
    private WithStatement ParseWith()
    {
        var variables = new List<(IReadOnlyList<string> Targets, Expression Value)>();
        while (Current.Kind != TokenKind.BlockEnd)
        {
            IReadOnlyList<string> targets = ParseNames(isAlone: true);
            ExpectOperator("=");
            variables.Add((targets, ParseExpression()));
            if (!TakeOperator(","))
            {
                break;
            }
        }

        Expect(TokenKind.BlockEnd);
        IReadOnlyList<Statement> body = ParseBody();
        End("endwith");
        return new WithStatement(variables, body);
    }

    private OutputStatement ParseFilterBlock() => new(ParseFiltered(isFiltered: true, "endfilter"));

    /// <summary>A body's output through filters, whose names come first.</summary>
    private Expression ParseFiltered(bool isFiltered, string end)
    {
        var filters = new List<Func<Expression, Expression>>();
        while (isFiltered)
        {
            (string name, CallArguments arguments) = ParseFilter();
            filters.Add(input => new FilterExpression(input, name, arguments));
            isFiltered = TakeOperator("|");
        }

        Expect(TokenKind.BlockEnd);
        IReadOnlyList<Statement> body = ParseBody();
        End(end);
        Expression captured = new CaptureExpression(body);
        return filters.Aggregate(captured, (input, filter) => filter(input));
    }

    /// <summary><c>{% call(x) macro(y) %}</c>: a macro that is given the body, as the macro <c>caller</c>.</summary>
    private CallStatement ParseCall()
    {
        IReadOnlyList<(string Name, Expression? Default)> parameters = TakeOperator("(") ? ParseParameters() : [];
        Expression call = ParseExpression();
        if (call is not CallExpression macro)
        {
            throw Fail("expected a call");
        }

        Expect(TokenKind.BlockEnd);
        IReadOnlyList<Statement> body = ParseBody();
        End("endcall");
        return new CallStatement(macro, new MacroStatement(CallStatement.Caller, parameters, body));
    }

    private MacroStatement ParseMacro()
    {
        string name = Expect(TokenKind.Name).Text;
        ExpectOperator("(");
        IReadOnlyList<(string Name, Expression? Default)> parameters = ParseParameters();
        Expect(TokenKind.BlockEnd);
        IReadOnlyList<Statement> body = ParseBody();
        End("endmacro");
        return new MacroStatement(name, parameters, body);
    }

    /// <summary>What a macro takes, after the opening bracket.</summary>
    private List<(string Name, Expression? Default)> ParseParameters()
    {
        var parameters = new List<(string Name, Expression? Default)>();
        while (!TakeOperator(")"))
        {
            string parameter = Expect(TokenKind.Name).Text;
            parameters.Add((parameter, TakeOperator("=") ? ParseExpression() : null));
            if (!TakeOperator(","))
            {
                ExpectOperator(")");
                break;
            }
        }

        return parameters;
    }

    private List<Statement> ParseElse()
    {
        if (!TakeTag("else"))
        {
            return [];
        }

        Expect(TokenKind.BlockEnd);
        return ParseBody();
    }

    /// <param name="isAlone">Only brackets may hold several.</param>
    private List<string> ParseNames(bool isAlone = false)
    {
        bool isBracketed = TakeOperator("(");
        var names = new List<string> { Expect(TokenKind.Name).Text };
        while ((isBracketed || !isAlone) && TakeOperator(","))
        {
            names.Add(Expect(TokenKind.Name).Text);
        }

        if (isBracketed)
        {
            ExpectOperator(")");
        }

        return names;
    }

    /// <summary>Takes the beginning of a tag with its name.</summary>
    private bool TakeTag(string name)
    {
        bool isThere = Current.Kind == TokenKind.BlockStart && Following is { Kind: TokenKind.Name } token && token.Text == name;
        Skip(isThere ? 2 : 0);
        return isThere;
    }

    private void End(string name)
    {
        if (!TakeTag(name))
        {
            throw Fail($"expected {name}");
        }

        Expect(TokenKind.BlockEnd);
    }
}
