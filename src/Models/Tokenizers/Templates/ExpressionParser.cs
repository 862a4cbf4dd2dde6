using System.Globalization;
using System.Numerics;

namespace Understory.Models.Tokenizers.Templates;

/// <summary>Builds expressions by recursive descent, with Jinja's precedence.</summary>
internal abstract class ExpressionParser(IReadOnlyList<Token> tokens) : TokenReader(tokens)
{
    private static readonly string[] s_comparisons = ["==", "!=", "<", "<=", ">", ">="];

    /// <summary>An expression, or several with commas between, which are a tuple.</summary>
    protected Expression ParseTuple(bool isConditional = true)
    {
        Expression first = isConditional ? ParseExpression() : ParseOr();
        if (Current is not { Kind: TokenKind.Operator, Text: "," })
        {
            return first;
        }

        var items = new List<Expression> { first };
        while (TakeOperator(",") && Current.Kind is not (TokenKind.BlockEnd or TokenKind.OutputEnd))
        {
            items.Add(isConditional ? ParseExpression() : ParseOr());
        }

        return new TupleExpression(items);
    }

    protected Expression ParseExpression()
    {
        Enter();
        Expression value = ParseOr();
        while (TakeName("if"))
        {
            Expression condition = ParseOr();
            value = new ConditionalExpression(condition, value, TakeName("else") ? ParseExpression() : null);
        }

        Leave();
        return value;
    }

    private Expression ParseOr()
    {
        Expression left = ParseAnd();
        while (TakeName("or"))
        {
            left = new LogicExpression(left, ParseAnd(), IsOr: true);
        }

        return left;
    }

    private Expression ParseAnd()
    {
        Expression left = ParseNot();
        while (TakeName("and"))
        {
            left = new LogicExpression(left, ParseNot(), IsOr: false);
        }

        return left;
    }

    private Expression ParseNot()
    {
        if (!TakeName("not"))
        {
            return ParseComparison();
        }

        Enter();
        var negated = new NotExpression(ParseNot());
        Leave();
        return negated;
    }

    private Expression ParseComparison()
    {
        Expression first = ParseBinary(0);
        var steps = new List<(string Operator, Expression Right)>();
        while (true)
        {
            if (Current.Kind == TokenKind.Operator && s_comparisons.Contains(Current.Text))
            {
                steps.Add((Take().Text, ParseBinary(0)));
            }
            else if (TakeName("in"))
            {
                steps.Add(("in", ParseBinary(0)));
            }
            else if (Current is { Kind: TokenKind.Name, Text: "not" } && Following is { Kind: TokenKind.Name, Text: "in" })
            {
                Skip(2);
                steps.Add(("not in", ParseBinary(0)));
            }
            else
            {
                return steps.Count == 0 ? first : new ComparisonExpression(first, steps);
            }
        }
    }

    /// <summary>Levels of binary operators, loosest first: sum, concatenation, product, power.</summary>
    private Expression ParseBinary(int level)
    {
        if (level == 4)
        {
            return ParseUnary(withFilters: true);
        }

        Expression left = ParseBinary(level + 1);
        while (Current.Kind == TokenKind.Operator && (level, Current.Text) is
            (0, "+" or "-") or (1, "~") or (2, "*" or "/" or "//" or "%") or (3, "**"))
        {
            left = new BinaryExpression(left, Take().Text, ParseBinary(level + 1));
        }

        return left;
    }

    private Expression ParseUnary(bool withFilters)
    {
        Enter();
        Expression value = Current is { Kind: TokenKind.Operator, Text: "-" or "+" }
            ? new SignExpression(Take().Text == "-", ParseUnary(withFilters: false))
            : ParsePrimary();
        value = ParsePostfix(value);
        if (withFilters)
        {
            value = ParseFilters(value);
        }

        Leave();
        return value;
    }

    private Expression ParsePrimary()
    {
        Token token = Take();
        switch (token.Kind)
        {
            case TokenKind.Name:
                return token.Text switch
                {
                    "true" or "True" => new LiteralExpression(true),
                    "false" or "False" => new LiteralExpression(false),
                    "none" or "None" => new LiteralExpression(null),
                    _ => new NameExpression(token.Text),
                };
            case TokenKind.TextLiteral:
                string text = token.Text;
                while (Current.Kind == TokenKind.TextLiteral)
                {
                    text += Take().Text;
                }

                return new LiteralExpression(text);
            case TokenKind.Integer:
                return Integer(token);
            case TokenKind.Float:
                return new LiteralExpression(double.Parse(token.Text, CultureInfo.InvariantCulture));
            case TokenKind.Operator when token.Text == "(":
                return ParseBracketed();
            case TokenKind.Operator when token.Text == "[":
                return new ListExpression(ParseItems("]"));
            case TokenKind.Operator when token.Text == "{":
                return ParseDictionary();
            default:
                throw Fail($"'{token.Text}' is not expected here", token);
        }
    }

    private LiteralExpression Integer(Token token) => long.TryParse(token.Text, CultureInfo.InvariantCulture, out long integer)
        ? new LiteralExpression(integer)
        : BigInteger.TryParse(token.Text, CultureInfo.InvariantCulture, out BigInteger large) ? new LiteralExpression(large)
        : throw Fail($"{token.Text} is too large", token);

    private Expression ParseBracketed()
    {
        if (TakeOperator(")"))
        {
            return new TupleExpression([]);
        }

        Expression first = ParseExpression();
        if (!TakeOperator(","))
        {
            ExpectOperator(")");
            return first;
        }

        return new TupleExpression([first, .. ParseItems(")")]);
    }

    private List<Expression> ParseItems(string close)
    {
        var items = new List<Expression>();
        while (!TakeOperator(close))
        {
            items.Add(ParseExpression());
            if (!TakeOperator(","))
            {
                ExpectOperator(close);
                break;
            }
        }

        return items;
    }

    private DictionaryExpression ParseDictionary()
    {
        var members = new List<(Expression Key, Expression Value)>();
        while (!TakeOperator("}"))
        {
            Expression key = ParseExpression();
            ExpectOperator(":");
            members.Add((key, ParseExpression()));
            if (!TakeOperator(","))
            {
                ExpectOperator("}");
                break;
            }
        }

        return new DictionaryExpression(members);
    }

    private Expression ParsePostfix(Expression value)
    {
        while (true)
        {
            if (TakeOperator("."))
            {
                Token member = Take();
                value = member.Kind switch
                {
                    TokenKind.Name => new AttributeExpression(value, member.Text),
                    TokenKind.Integer => new IndexExpression(value, Integer(member)),
                    _ => throw Fail("expected a name", member),
                };
            }
            else if (TakeOperator("["))
            {
                value = ParseIndex(value);
            }
            else if (TakeOperator("("))
            {
                value = new CallExpression(value, ParseArguments());
            }
            else
            {
                return value;
            }
        }
    }

    private Expression ParseIndex(Expression value)
    {
        var parts = new List<Expression?> { null };
        while (!TakeOperator("]"))
        {
            if (TakeOperator(":"))
            {
                parts.Add(null);
                continue;
            }

            if (parts[^1] is not null || parts.Count > 3)
            {
                throw Fail("expected ]");
            }

            parts[^1] = ParseExpression();
        }

        return parts switch
        {
            [Expression index] => new IndexExpression(value, index),
            [var start, var stop] => new SliceExpression(value, start, stop, null),
            [var start, var stop, var step] => new SliceExpression(value, start, stop, step),
            _ => throw Fail("expected an index"),
        };
    }

    private Expression ParseFilters(Expression value)
    {
        while (true)
        {
            if (TakeOperator("|"))
            {
                (string name, CallArguments arguments) = ParseFilter();
                value = new FilterExpression(value, name, arguments);
            }
            else if (TakeName("is"))
            {
                value = ParseTest(value);
            }
            else if (TakeOperator("("))
            {
                value = new CallExpression(value, ParseArguments());
            }
            else
            {
                return value;
            }
        }
    }

    protected (string Name, CallArguments Arguments) ParseFilter()
    {
        string name = Expect(TokenKind.Name).Text;
        while (TakeOperator("."))
        {
            name += "." + Expect(TokenKind.Name).Text;
        }

        return (name, TakeOperator("(") ? ParseArguments() : CallArguments.None);
    }

    private Expression ParseTest(Expression value)
    {
        bool isNegated = TakeName("not");
        string name = Expect(TokenKind.Name).Text;
        IReadOnlyList<Expression> arguments = [];
        if (TakeOperator("("))
        {
            arguments = ParseArguments().Positional;
        }
        else if (Current.Kind is TokenKind.TextLiteral or TokenKind.Integer or TokenKind.Float
            || Current is { Kind: TokenKind.Operator, Text: "[" or "{" }
            || (Current.Kind == TokenKind.Name && Current.Text is not ("else" or "or" or "and" or "if" or "is" or "in" or "not")))
        {
            arguments = [ParsePostfix(ParsePrimary())];
        }

        Expression test = new TestExpression(value, name, arguments);
        return isNegated ? new NotExpression(test) : test;
    }

    protected CallArguments ParseArguments()
    {
        var positional = new List<Expression>();
        var named = new List<(string Name, Expression Value)>();
        while (!TakeOperator(")"))
        {
            if (Current.Kind == TokenKind.Name && Following is { Kind: TokenKind.Operator, Text: "=" })
            {
                string name = Take().Text;
                Take();
                named.Add((name, ParseExpression()));
            }
            else
            {
                positional.Add(ParseExpression());
            }

            if (!TakeOperator(","))
            {
                ExpectOperator(")");
                break;
            }
        }

        return new CallArguments(positional, named);
    }
}
