using System.Numerics;

namespace Understory.Models.Tokenizers.Templates;

/// <summary>The tests after <c>is</c>.</summary>
internal static class ValueTests
{
    private static readonly Dictionary<string, Func<object?, IReadOnlyList<object?>, bool>> s_tests = new()
    {
        ["defined"] = (value, _) => value is not Undefined,
        ["undefined"] = (value, _) => value is Undefined,
        ["none"] = (value, _) => value is null,
        ["string"] = (value, _) => value is string,
        ["number"] = (value, _) => Values.IsNumber(value),
        ["integer"] = (value, _) => value is long or BigInteger,
        ["float"] = (value, _) => value is double,
        ["boolean"] = (value, _) => value is bool,
        ["true"] = (value, _) => value is true,
        ["false"] = (value, _) => value is false,
        ["mapping"] = (value, _) => value is IReadOnlyDictionary<string, object?>,
        ["iterable"] = (value, _) => value is string or IReadOnlyDictionary<string, object?> or IReadOnlyList<object?> or Undefined,
        ["sequence"] = (value, _) => value is string or IReadOnlyDictionary<string, object?> or IReadOnlyList<object?> or Undefined,
        ["callable"] = (value, _) => value is Function,
        ["odd"] = (value, _) => Values.ToInteger(value) % 2 != 0,
        ["even"] = (value, _) => Values.ToInteger(value) % 2 == 0,
        ["divisibleby"] = (value, arguments) => Values.ToInteger(value) % Divisor(arguments) == 0,
        ["eq"] = (value, arguments) => Compares("==", value, arguments),
        ["equalto"] = (value, arguments) => Compares("==", value, arguments),
        ["=="] = (value, arguments) => Compares("==", value, arguments),
        ["!="] = (value, arguments) => Compares("!=", value, arguments),
        ["<"] = (value, arguments) => Compares("<", value, arguments),
        ["<="] = (value, arguments) => Compares("<=", value, arguments),
        [">"] = (value, arguments) => Compares(">", value, arguments),
        [">="] = (value, arguments) => Compares(">=", value, arguments),
        ["filter"] = (value, _) => value is string name && Filters.Exists(name),
        ["test"] = (value, _) => value is string name && Exists(name),
        ["escaped"] = (_, _) => false,
        ["ne"] = (value, arguments) => Compares("!=", value, arguments),
        ["lt"] = (value, arguments) => Compares("<", value, arguments),
        ["lessthan"] = (value, arguments) => Compares("<", value, arguments),
        ["le"] = (value, arguments) => Compares("<=", value, arguments),
        ["gt"] = (value, arguments) => Compares(">", value, arguments),
        ["greaterthan"] = (value, arguments) => Compares(">", value, arguments),
        ["ge"] = (value, arguments) => Compares(">=", value, arguments),
        ["in"] = (value, arguments) => Compares("in", value, arguments),
        ["sameas"] = (value, arguments) =>
            value is null or bool or long ? Values.TypeName(value) == Values.TypeName(First(arguments))
                && Values.AreEqual(value, First(arguments))
            : ReferenceEquals(value, First(arguments)),
        ["lower"] = (value, _) => Values.ToText(value) is { Length: > 0 } text && !text.Any(char.IsUpper),
        ["upper"] = (value, _) => Values.ToText(value) is { Length: > 0 } text && !text.Any(char.IsLower),
    };

    private static bool Exists(string name) => s_tests.ContainsKey(name);

    public static bool Holds(string name, object? value, IReadOnlyList<object?> arguments) =>
        s_tests.TryGetValue(name, out Func<object?, IReadOnlyList<object?>, bool>? test)
            ? test(value, arguments)
            : throw new ChatTemplateException($"The test '{name}' is not supported.");

    private static bool Compares(string sign, object? value, IReadOnlyList<object?> arguments) =>
        Operators.Holds(value, sign, First(arguments));

    private static object? First(IReadOnlyList<object?> arguments) =>
        arguments.Count > 0 ? arguments[0] : throw new ChatTemplateException("A test lacks its argument.");

    private static long Divisor(IReadOnlyList<object?> arguments) =>
        Values.ToInteger(First(arguments)) is not 0 and long divisor ? divisor is -1
            ? 1 : divisor : throw new ChatTemplateException("Division by zero.");
}
