namespace Understory.Models.Tokenizers.Templates;

/// <summary>Python's methods of strings, as far as templates use them.</summary>
internal static class StringMethods
{
    /// <summary>A method of <paramref name="text"/>; null if there is none of that name.</summary>
    public static Function? Find(string text, string name) => name switch
    {
        "strip" => (_, arguments) => Strip(text, arguments.Text(0, "chars"), left: true, right: true),
        "lstrip" => (_, arguments) => Strip(text, arguments.Text(0, "chars"), left: true, right: false),
        "rstrip" => (_, arguments) => Strip(text, arguments.Text(0, "chars"), left: false, right: true),
        "upper" => (_, _) => text.ToUpperInvariant(),
        "lower" => (_, _) => text.ToLowerInvariant(),
        "title" => (_, _) => Title(text),
        "capitalize" => (_, _) => Capitalize(text),
        "split" => (context, arguments) => Split(context, text, arguments, fromRight: false),
        "rsplit" => (context, arguments) => Split(context, text, arguments, fromRight: true),
        "splitlines" => (_, _) => text.TrimEnd('\n').Length == 0 && text.Length <= 1
            ? new List<object?>(text.Select(_ => ""))
            : new List<object?>((text.EndsWith('\n') ? text[..^1] : text).ReplaceLineEndings("\n").Split('\n')),
        "startswith" => (_, arguments) => Any(arguments.Need(0, "prefix"), prefix => text.StartsWith(prefix, StringComparison.Ordinal)),
        "endswith" => (_, arguments) => Any(arguments.Need(0, "suffix"), suffix => text.EndsWith(suffix, StringComparison.Ordinal)),
        "removeprefix" => (_, arguments) => arguments.Text(0, "prefix") is string prefix
            && text.StartsWith(prefix, StringComparison.Ordinal)
            ? text[prefix.Length..]
            : text,
        "removesuffix" => (_, arguments) => arguments.Text(0, "suffix") is string suffix && text.EndsWith(suffix, StringComparison.Ordinal)
            ? text[..^suffix.Length]
            : text,
        "replace" => (context, arguments) => Replace(
            context, text, Values.NeedText(arguments.Need(0, "old")), Values.NeedText(arguments.Need(1, "new")), arguments.Get(2, "count")),
        "find" => (_, arguments) => (long)text.IndexOf(Values.NeedText(arguments.Need(0, "sub")), StringComparison.Ordinal),
        "rfind" => (_, arguments) => (long)text.LastIndexOf(Values.NeedText(arguments.Need(0, "sub")), StringComparison.Ordinal),
        "count" => (_, arguments) => Count(text, Values.NeedText(arguments.Need(0, "sub"))),
        "join" => (context, arguments) => Join(context, text, Values.Items(arguments.Need(0, "iterable")).Select(Values.NeedText)),
        "format" => (context, arguments) => TextFormat.Fields(context, text, arguments),
        "ljust" => (context, arguments) => Justify(context, text, arguments.Need(0, "width"), Filling(arguments), left: false, right: true),
        "rjust" => (context, arguments) => Justify(context, text, arguments.Need(0, "width"), Filling(arguments), left: true, right: false),
        "center" => (context, arguments) => Justify(context, text, arguments.Need(0, "width"), Filling(arguments), left: true, right: true),
        "zfill" => (context, arguments) => text.StartsWith('-') || text.StartsWith('+')
            ? text[0] + Justify(context, text[1..], Values.ToInteger(arguments.Need(0, "width")) - 1, "0", left: true, right: false)
            : Justify(context, text, arguments.Need(0, "width"), "0", left: true, right: false),
        "partition" => (_, arguments) => Partition(text, Values.NeedText(arguments.Need(0, "sep")), fromRight: false),
        "rpartition" => (_, arguments) => Partition(text, Values.NeedText(arguments.Need(0, "sep")), fromRight: true),
        "casefold" => (_, _) => text.ToLowerInvariant(),
        "swapcase" => (_, _) => string.Concat(text.Select(c => char.IsUpper(c) ? char.ToLowerInvariant(c) : char.ToUpperInvariant(c))),
        "index" => (_, arguments) => text.IndexOf(Values.NeedText(arguments.Need(0, "sub")), StringComparison.Ordinal) is >= 0 and int at
            ? (long)at : throw new ChatTemplateException("A text does not have the part that index asks for."),
        "isdigit" => (_, _) => text.Length > 0 && text.All(char.IsDigit),
        "isalpha" => (_, _) => text.Length > 0 && text.All(char.IsLetter),
        "isalnum" => (_, _) => text.Length > 0 && text.All(char.IsLetterOrDigit),
        "isspace" => (_, _) => text.Length > 0 && text.All(IsBlank),
        "isupper" => (_, _) => text.Any(char.IsUpper) && !text.Any(char.IsLower),
        "islower" => (_, _) => text.Any(char.IsLower) && !text.Any(char.IsUpper),
        _ => null,
    };

    /// <summary>Without blanks, or without any of <paramref name="characters"/>, at the ends.</summary>
    public static string Strip(string text, string? characters, bool left, bool right)
    {
        int start = 0;
        int end = text.Length;
        while (left && start < end && Goes(text[start]))
        {
            start++;
        }

        while (right && end > start && Goes(text[end - 1]))
        {
            end--;
        }

        return text[start..end];

        bool Goes(char c) => characters is null ? IsBlank(c) : characters.Contains(c);
    }

    public static string Capitalize(string text) => text.Length == 0 ? text : char.ToUpperInvariant(text[0]) + text[1..].ToLowerInvariant();

    /// <summary>Words begin with a capital, wherever a letter follows something else.</summary>
    public static string Title(string text) => string.Create(text.Length, text, static (title, text) =>
    {
        for (int i = 0; i < text.Length; i++)
        {
            bool isInside = i > 0 && char.IsLetter(text[i - 1]);
            title[i] = isInside ? char.ToLowerInvariant(text[i]) : char.ToUpperInvariant(text[i]);
        }
    });

    public static string Replace(RenderContext context, string text, string old, string with, object? count)
    {
        long left = count is null ? long.MaxValue : Values.ToInteger(count);
        left = left < 0 ? long.MaxValue : left;
        if (old.Length == 0)
        {
            throw new ChatTemplateException("replace needs a text to look for.");
        }

        long places = Math.Min(left, Count(text, old));
        context.Reserve(text.Length + (places * Math.Max(0, with.Length - old.Length)));
        if (left >= places && left == long.MaxValue)
        {
            return text.Replace(old, with, StringComparison.Ordinal);
        }

        string[] parts = text.Split(old, (int)Math.Min(int.MaxValue, places + 1));
        return string.Join(with, parts);
    }

    public static string Join(RenderContext context, string separator, IEnumerable<string> parts)
    {
        string[] all = [.. parts];
        context.Reserve(all.Sum(part => (long)part.Length + separator.Length));
        return string.Join(separator, all);
    }

    private static string Filling(Arguments arguments) => arguments.Text(1, "fillchar") ?? " ";

    /// <summary>Filled up to a width, on one side or, as Python does, on both.</summary>
    public static string Justify(RenderContext context, string text, object? width, string filling, bool left, bool right)
    {
        long wanted = Values.ToInteger(width);
        long room = wanted - Values.Characters(text).Count;
        if (room <= 0)
        {
            return text;
        }

        context.Reserve(wanted);
        int before = (int)(!left ? 0 : !right ? room : (room / 2) + (room & wanted & 1));
        return string.Concat(Enumerable.Repeat(filling, before)) + text + string.Concat(Enumerable.Repeat(filling, (int)room - before));
    }

    /// <summary>What stands before a separator, the separator, and what stands behind it.</summary>
    private static Tuple Partition(string text, string separator, bool fromRight)
    {
        if (separator.Length == 0)
        {
            throw new ChatTemplateException("partition needs a separator that is not empty.");
        }

        int at = fromRight ? text.LastIndexOf(separator, StringComparison.Ordinal) : text.IndexOf(separator, StringComparison.Ordinal);
        return at >= 0 ? new Tuple([text[..at], separator, text[(at + separator.Length)..]])
            : fromRight ? new Tuple(["", "", text]) : new Tuple([text, "", ""]);
    }

    private static bool IsBlank(char c) => char.IsWhiteSpace(c) || c is >= '\x1C' and <= '\x1F';

    private static bool Any(object? wanted, Func<string, bool> fits) =>
        wanted is IReadOnlyList<object?> several ? several.Any(one => fits(Values.NeedText(one))) : fits(Values.NeedText(wanted));

    private static long Count(string text, string sub) => sub.Length == 0 ? text.Length + 1 : text.AsSpan().Count(sub);

    private static List<object?> Split(RenderContext context, string text, Arguments arguments, bool fromRight)
    {
        string? separator = arguments.Text(0, "sep");
        long given = arguments.Get(1, "maxsplit") is { } limit ? Values.ToInteger(limit) : -1;
        int most = given is < 0 or > int.MaxValue - 1 ? int.MaxValue : (int)given;
        context.Reserve(text.Length);
        if (separator?.Length == 0)
        {
            throw new ChatTemplateException("split needs a separator that is not empty.");
        }

        if (separator is null)
        {
            return SplitAtBlanks(text, most, fromRight);
        }

        string[] parts = fromRight ? text.Split(separator) : text.Split(separator, most == int.MaxValue ? most : most + 1);
        int joined = fromRight ? Math.Max(0, parts.Length - 1 - most) : 0;
        return joined == 0 ? [.. parts] : [string.Join(separator, parts[..(joined + 1)]), .. parts[(joined + 1)..]];
    }

    private static List<object?> SplitAtBlanks(string text, int most, bool fromRight)
    {
        if (fromRight && most != int.MaxValue)
        {
            // The same from the other end.
            List<object?> reversed = SplitAtBlanks(Reversed(text), most, fromRight: false);
            reversed.Reverse();
            return [.. reversed.Select(part => (object?)Reversed((string)part!))];
        }

        var parts = new List<object?>();
        string rest = Strip(text, null, left: true, right: false);
        while (rest.Length > 0)
        {
            int end = parts.Count < most ? rest.AsSpan().IndexOfAny(s_blanks) : -1;
            if (end < 0)
            {
                parts.Add(rest);
                break;
            }

            parts.Add(rest[..end]);
            rest = Strip(rest[end..], null, left: true, right: false);
        }

        return parts;
    }

    private static string Reversed(string text) => string.Concat(Values.Characters(text).Reverse());

    private static readonly System.Buffers.SearchValues<char> s_blanks = System.Buffers.SearchValues.Create(
        [.. Enumerable.Range(0, 0x10000).Select(c => (char)c).Where(IsBlank)]);
}
