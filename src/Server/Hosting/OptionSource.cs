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

    /// <summary>The option's value, its default where nothing was said.</summary>
    /// <exception cref="UsageException">A value that cannot be; whoever said it is named.</exception>
    public T Read<T>(OptionSpec<T> spec) => _said.TryGetValue(spec.Name, out var said) ? spec.Read(said.Values, said.Origin) : spec.Default;

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
