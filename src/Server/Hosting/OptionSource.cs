using System.Globalization;
using System.Text.Json;

namespace Understory.Server.Hosting;

/// <summary>What was said about each option, and where: flags win over the environment, that over appsettings.json.</summary>
public sealed class OptionSource
{
    private readonly Dictionary<string, (IReadOnlyList<string> Values, string Origin)> _said = new(StringComparer.Ordinal);

    /// <param name="flags">Values per option name; absent or null where the command line says nothing.</param>
    /// <param name="environment">Looks up an environment variable.</param>
    /// <param name="settingsFile">Path of appsettings.json; need not exist.</param>
    /// <exception cref="UsageException">The file is no JSON object or names an option that is none.</exception>
    public OptionSource(Func<string, IReadOnlyList<string>?> flags, Func<string, string?> environment, string? settingsFile)
    {
        Dictionary<string, (IReadOnlyList<string> Values, string Origin)> file = ReadSettings(settingsFile);
        foreach (OptionSpec spec in OptionCatalog.All)
        {
            if (flags(spec.Name) is { Count: > 0 } values)
            {
                _said[spec.Name] = (values, spec.Flag);
            }
            else if (environment(spec.Variable) is { Length: > 0 } variable && !OptionVariables.IsInjected(variable))
            {
                _said[spec.Name] = ([variable], spec.Variable);
            }
            else if (file.TryGetValue(spec.Name, out var setting))
            {
                _said[spec.Name] = setting;
            }
        }
    }

    /// <summary>Who said something about each option of which something was said: "--model", "UNDERSTORY_MODEL".</summary>
    public IReadOnlyDictionary<string, string> Origins => _said.ToDictionary(pair => pair.Key, pair => pair.Value.Origin);

    public string? Text(string name) => Find(name)?.Values[^1];

    /// <summary>All values of an option that may repeat; commas separate too.</summary>
    public IReadOnlyList<string> List(string name) =>
        Find(name)?.Values.SelectMany(value => value.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
            .ToArray() ?? [];

    /// <summary>All values of an option that may repeat, as they are.</summary>
    public IReadOnlyList<string> Values(string name) => Find(name)?.Values ?? [];

    public int? Integer(string name, int minimum, int maximum = int.MaxValue)
    {
        if (Find(name) is not (var values, var origin))
        {
            return null;
        }

        return int.TryParse(values[^1], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int number)
            && number >= minimum && number <= maximum
            ? number
            : throw new UsageException(maximum == int.MaxValue
                ? $"{origin} must be a whole number of at least {minimum}, not '{values[^1]}'."
                : $"{origin} must be a whole number from {minimum} to {maximum}, not '{values[^1]}'.");
    }

    public bool Switch(string name)
    {
        if (Find(name) is not (var values, var origin))
        {
            return false;
        }

        return values[^1].ToLowerInvariant() switch
        {
            "true" or "1" or "yes" => true,
            "false" or "0" or "no" => false,
            _ => throw new UsageException($"{origin} must be true or false, not '{values[^1]}'."),
        };
    }

    public T Choice<T>(string name, T fallback)
        where T : struct, Enum
    {
        if (Find(name) is not (var values, var origin))
        {
            return fallback;
        }

        return Enum.TryParse(values[^1], ignoreCase: true, out T choice) && Enum.IsDefined(choice) && !char.IsAsciiDigit(values[^1][0])
            ? choice
            : throw new UsageException($"{origin} must be one of {string.Join(", ", Enum.GetNames<T>()).ToLowerInvariant()}, not "
                + $"'{values[^1]}'.");
    }

    /// <param name="spell">How a choice is spelled.</param>
    /// <returns>Null: nothing was said.</returns>
    public T? Choice<T>(string name, IReadOnlyList<T> choices, Func<T, string> spell)
        where T : struct
    {
        if (Find(name) is not (var values, var origin))
        {
            return null;
        }

        foreach (T choice in choices)
        {
            if (spell(choice).Equals(values[^1], StringComparison.OrdinalIgnoreCase))
            {
                return choice;
            }
        }

        throw new UsageException($"{origin} must be one of {string.Join(", ", choices.Select(spell))}, not '{values[^1]}'.");
    }

    private (IReadOnlyList<string> Values, string Origin)? Find(string name) => _said.TryGetValue(name, out var said) ? said : null;

    private static Dictionary<string, (IReadOnlyList<string>, string)> ReadSettings(string? path)
    {
        var settings = new Dictionary<string, (IReadOnlyList<string>, string)>(StringComparer.Ordinal);
        if (path is null || !File.Exists(path))
        {
            return settings;
        }

        try
        {
            using JsonDocument document = JsonDocument.Parse(
                File.ReadAllBytes(path),
                new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
            if (!document.RootElement.TryGetProperty("Understory", out JsonElement section))
            {
                return settings;
            }

            foreach (JsonProperty property in section.EnumerateObject())
            {
                if (OptionCatalog.All.All(spec => spec.Name != property.Name))
                {
                    throw new UsageException($"{path}: there is no option '{property.Name}' for section Understory.");
                }

                string[] values = property.Value.ValueKind == JsonValueKind.Array
                    ? [.. property.Value.EnumerateArray().Select(item => item.ToString())]
                    : [property.Value.ToString()];
                if (values.Length > 0 && values[^1].Length > 0)
                {
                    settings[property.Name] = (values, $"{Path.GetFileName(path)}: {property.Name}");
                }
            }

            return settings;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new UsageException($"{path} is not a JSON object of settings: {e.Message}");
        }
    }
}
