using System.Globalization;

namespace Understory.Server.Hosting;

/// <summary>What an option's value may be: it reads a value, and an error says what it <paramref name="Must"/> be.</summary>
/// <param name="Must">"a whole number from 0 to 65535".</param>
/// <param name="Read">Reads everything that was said, at least one value, and returns the one that cannot be, or null.</param>
public sealed record OptionKind<T>(string Must, OptionReader<T> Read);

/// <returns>Null: <paramref name="value"/> is read. Otherwise what of it cannot be.</returns>
public delegate string? OptionReader<T>(IReadOnlyList<string> said, out T value);

/// <returns>Whether the text can be such a value.</returns>
public delegate bool TryRead<T>(string text, out T value);

/// <summary>The kinds of values that there are. Of a single value that is said several times the last one counts.</summary>
public static class OptionKinds
{
    public static OptionKind<string?> Text(string must = "text") => Single<string?>(must, (text, out value) => (value = text) is not null);

    /// <param name="fits">Whether the text, in lower case, can be.</param>
    public static OptionKind<string> Word(string must, Predicate<string> fits) =>
        Single<string>(must, (text, out value) => fits(value = text.ToLowerInvariant()));

    public static OptionKind<int> Integer(int minimum, int maximum = int.MaxValue) => Single<int>(
        maximum == int.MaxValue ? $"a whole number of at least {minimum}" : $"a whole number from {minimum} to {maximum}",
        (text, out value) => int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out value)
            && value >= minimum && value <= maximum);

    public static OptionKind<TimeSpan> Seconds(int minimum, int maximum)
    {
        OptionKind<int> whole = Integer(minimum, maximum);
        return new OptionKind<TimeSpan>(whole.Must, (said, out value) =>
        {
            string? wrong = whole.Read(said, out int seconds);
            value = TimeSpan.FromSeconds(seconds);
            return wrong;
        });
    }

    /// <summary>One of some choices, in upper or lower case.</summary>
    /// <param name="spell">How a choice is spelled.</param>
    public static OptionKind<T> Choice<T>(IReadOnlyList<T> choices, Func<T, string> spell)
    {
        string[] names = [.. choices.Select(choice => spell(choice).ToLowerInvariant())];
        return Single<T>($"{string.Join(", ", names[..^1])} or {names[^1]}", (text, out value) =>
        {
            int index = Array.IndexOf(names, text.ToLowerInvariant());
            value = index < 0 ? default! : choices[index];
            return index >= 0;
        });
    }

    public static OptionKind<T> Choice<T>()
        where T : struct, Enum => Choice(Enum.GetValues<T>(), choice => choice.ToString());

    public static OptionKind<bool> OnOff() => Choice([true, false], on => on ? "on" : "off");

    public static OptionKind<bool> Switch() => Single<bool>("true or false", (text, out value) =>
    {
        bool? read = text.ToLowerInvariant() switch
        {
            "true" or "1" or "yes" => true,
            "false" or "0" or "no" => false,
            _ => null,
        };
        value = read == true;
        return read is not null;
    });

    /// <summary>Any number of values, each as it is.</summary>
    /// <param name="must">What an entry must be.</param>
    public static OptionKind<IReadOnlyList<string>> Values(string must, Predicate<string> fits) => new(must, (said, out value) =>
    {
        value = said;
        return said.FirstOrDefault(entry => !fits(entry));
    });

    /// <summary>Any number of values; commas separate too.</summary>
    /// <param name="must">What an entry must be.</param>
    /// <param name="none">What stands for an empty list, where it stands alone.</param>
    public static OptionKind<IReadOnlyList<string>> List(string must, Predicate<string> fits, string? none = null) =>
        new(must, (said, out value) =>
        {
            string[] entries = [.. said.SelectMany(text =>
                text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))];
            value = entries is [var only] && only == none ? [] : entries;
            return value.FirstOrDefault(entry => !fits(entry));
        });

    /// <summary>The same, where nothing said is no value.</summary>
    public static OptionKind<T?> Optional<T>(this OptionKind<T> kind)
        where T : struct => new(kind.Must, (said, out value) =>
        {
            string? wrong = kind.Read(said, out T read);
            value = read;
            return wrong;
        });

    public static OptionKind<T> Single<T>(string must, TryRead<T> read) =>
        new(must, (said, out value) => read(said[^1], out value) ? null : said[^1]);
}
