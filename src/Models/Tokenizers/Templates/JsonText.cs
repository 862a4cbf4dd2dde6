using System.Globalization;
using System.Numerics;
using System.Text;

namespace Understory.Models.Tokenizers.Templates;

/// <summary>
/// JSON as Python's <c>json.dumps</c> writes it with <c>ensure_ascii=False</c>: keys in their order, ", " and ": " between, text readable.
/// </summary>
/// <param name="indent">What a level is indented by; null keeps all on one line.</param>
internal sealed class JsonText(string? indent, string itemSeparator, string keySeparator, bool ensureAscii, bool sortKeys)
{
    private readonly StringBuilder _text = new();

    public string Write(object? value)
    {
        Append(value, 0);
        return _text.ToString();
    }

    private void Append(object? value, int depth)
    {
        Values.CheckDepth(depth);
        switch (value)
        {
            case null:
                _text.Append("null");
                break;
            case bool flag:
                _text.Append(flag ? "true" : "false");
                break;
            case long integer:
                _text.Append(integer.ToString(CultureInfo.InvariantCulture));
                break;
            case BigInteger large:
                _text.Append(large.ToString(CultureInfo.InvariantCulture));
                break;
            case double number:
                _text.Append(double.IsFinite(number) ? Values.FloatText(number)
                    : double.IsNaN(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity");
                break;
            case string text:
                AppendText(text);
                break;
            case IReadOnlyDictionary<string, object?> dictionary:
                IEnumerable<(string Key, object? Value)> members =
                    Values.Members(dictionary).Select(member => (KeyText(member.Key), member.Value));
                members = sortKeys ? members.OrderBy(member => member.Key, StringComparer.Ordinal) : members;
                AppendAll('{', '}', members, depth, member =>
                {
                    AppendText(member.Key);
                    _text.Append(keySeparator);
                    Append(member.Value, depth + 1);
                });
                break;
            case IReadOnlyList<object?> list:
                AppendAll('[', ']', list, depth, item => Append(item, depth + 1));
                break;
            case Undefined undefined:
                throw undefined.Fail();
            default:
                throw new ChatTemplateException($"{Values.TypeName(value)} cannot be written as JSON.");
        }

        if (_text.Length > RenderContext.MaxLength)
        {
            throw new ChatTemplateException("The chat template makes too much text.");
        }
    }

    /// <summary>Keys that are no strings are written as strings, as Python does.</summary>
    private string KeyText(object? key) => key is string text ? text : new JsonText(null, ", ", ": ", ensureAscii, sortKeys).Write(key);

    private void AppendAll<T>(char open, char close, IEnumerable<T> items, int depth, Action<T> append)
    {
        _text.Append(open);
        bool isFirst = true;
        foreach (T item in items)
        {
            if (!isFirst)
            {
                _text.Append(itemSeparator);
            }

            isFirst = false;
            AppendLine(depth + 1);
            append(item);
        }

        if (!isFirst)
        {
            AppendLine(depth);
        }

        _text.Append(close);
    }

    private void AppendLine(int depth)
    {
        if (indent is not null)
        {
            if (((long)indent.Length * depth) + _text.Length > RenderContext.MaxLength)
            {
                throw new ChatTemplateException("The chat template makes too much text.");
            }

            _text.Append('\n').Insert(_text.Length, indent, depth);
        }
    }

    private void AppendText(string text)
    {
        _text.Append('"');
        foreach (char c in text)
        {
            _ = c switch
            {
                '"' => _text.Append("\\\""),
                '\\' => _text.Append("\\\\"),
                '\n' => _text.Append("\\n"),
                '\r' => _text.Append("\\r"),
                '\t' => _text.Append("\\t"),
                '\b' => _text.Append("\\b"),
                '\f' => _text.Append("\\f"),
                < ' ' => _text.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}"),
                > '~' when ensureAscii => _text.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}"),
                _ => _text.Append(c),
            };
        }

        _text.Append('"');
    }
}
