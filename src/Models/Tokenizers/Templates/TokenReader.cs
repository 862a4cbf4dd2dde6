namespace Understory.Models.Tokenizers.Templates;

/// <summary>Goes through the tokens of a template, and names the line where something is wrong.</summary>
internal abstract class TokenReader(IReadOnlyList<Token> tokens)
{
    private const int MaxDepth = 100;

    private int _at;
    private int _depth;

    protected Token Current => tokens[_at];

    /// <summary>The token after <see cref="Current"/>, which must not be the end.</summary>
    protected Token Following => tokens[_at + 1];

    /// <summary>Goes one level deeper; each needs its <see cref="Leave"/>.</summary>
    protected void Enter()
    {
        if (++_depth > MaxDepth)
        {
            throw Fail("nested too deeply");
        }
    }

    protected void Leave() => _depth--;

    protected void Skip(int count) => _at += count;

    protected Token Take() => Current.Kind == TokenKind.End ? throw Fail("the template ends too early") : tokens[_at++];

    protected bool TakeIf(TokenKind kind, string text)
    {
        bool isThere = Current.Kind == kind && Current.Text == text;
        _at += isThere ? 1 : 0;
        return isThere;
    }

    protected bool TakeName(string name) => TakeIf(TokenKind.Name, name);

    protected bool TakeOperator(string sign) => TakeIf(TokenKind.Operator, sign);

    protected Token Expect(TokenKind kind) => Current.Kind == kind ? tokens[_at++] : throw Fail($"expected {kind}, found '{Current.Text}'");

    protected void ExpectOperator(string sign)
    {
        if (!TakeOperator(sign))
        {
            throw Fail($"expected '{sign}', found '{Current.Text}'");
        }
    }

    protected void ExpectName(string name)
    {
        if (!TakeName(name))
        {
            throw Fail($"expected '{name}', found '{Current.Text}'");
        }
    }

    protected InvalidDataException Fail(string problem, Token? at = null) => new($"line {(at ?? Current).Line}: {problem}");
}
