using System.Text.Json;

namespace Understory.Models.Tokenizers;

/// <summary>A value in a JSON file that knows where it stands, so that every error names file and field.</summary>
internal readonly record struct JsonField(string Source, string Path, JsonElement Element)
{
    /// <summary>Absent, or null.</summary>
    public bool IsNull => Element.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null;

    public bool IsArray => Element.ValueKind == JsonValueKind.Array;

    public bool IsText => Element.ValueKind == JsonValueKind.String;

    /// <summary>A member of an object; null if it is absent.</summary>
    public JsonField this[string name]
    {
        get
        {
            if (Element.ValueKind != JsonValueKind.Object)
            {
                throw Fail("expected an object");
            }

            return new JsonField(Source, Path.Length == 0 ? name : $"{Path}.{name}", Element.TryGetProperty(name, out JsonElement value)
                ? value : default);
        }
    }

    public IEnumerable<JsonField> Items()
    {
        if (!IsArray)
        {
            throw Fail("expected an array");
        }

        (string source, string path) = (Source, Path);
        return Element.EnumerateArray().Select((item, i) => new JsonField(source, $"{path}[{i}]", item));
    }

    public string Text()
    {
        try
        {
            return IsText ? Element.GetString()! : throw Fail("expected a string");
        }
        catch (InvalidOperationException)
        {
            throw Fail("not well-formed text");
        }
    }

    public string? TextOrNull() => IsNull ? null : Text();

    public bool Flag(bool otherwise) => Element.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => IsNull ? otherwise : throw Fail("expected true or false"),
    };

    public bool? FlagOrNull() => IsNull ? null : Flag(false);

    public int Int() => Element.ValueKind == JsonValueKind.Number && Element.TryGetInt32(out int value)
        ? value : throw Fail("expected an integer");

    /// <summary>A single UTF-16 unit.</summary>
    public char Letter(char otherwise)
    {
        string? text = TextOrNull();
        return text is null ? otherwise : text.Length == 1 ? text[0] : throw Fail("expected one character");
    }

    public InvalidDataException Fail(string problem) => new($"{Source}: {(Path.Length == 0 ? "" : Path + ": ")}{problem}");
}
