using System.Reflection;
using System.Text.Json;
using Understory.Models.Tokenizers;
using Understory.Server.Hosting;

namespace Understory.Server.Verbs.Bench;

/// <summary>The prompts of a bench.</summary>
internal static class BenchPrompts
{
    /// <summary>The first <paramref name="limit"/> prompts of a file, as ids, each cut so that an answer has room behind it.</summary>
    /// <param name="file">One JSON object a line with a field <c>prompt</c>; null: the program's own 24.</param>
    /// <exception cref="UsageException">There are none, or the context has no room for one.</exception>
    /// <exception cref="StartupException">No such file, or a line is something else.</exception>
    public static int[][] Read(BenchParts parts, string? file, int limit, int maxTokens)
    {
        int[][] prompts = [.. Texts(file, "prompts.jsonl").Take(limit).Select(text => Encode(parts, text.Prompt, maxTokens))];
        return prompts.Length > 0
            ? prompts : throw new UsageException("there are no prompts to run; check --prompts and --limit.");
    }

    /// <summary>The first <paramref name="limit"/> prompts of each kind, in the order in which kinds first appear.</summary>
    /// <param name="room">Most tokens of a prompt.</param>
    /// <param name="file">Objects with a field <c>kind</c> too; null: the program's own.</param>
    /// <exception cref="UsageException">There are none, or the context has no room for one.</exception>
    /// <exception cref="StartupException">No such file, or a line is something else.</exception>
    public static IReadOnlyList<(string Kind, IReadOnlyList<int[]> Prompts)> ReadKinds(
        Tokenizer tokenizer, int room, string? file, int limit)
    {
        if (room < 1)
        {
            throw new UsageException("--max-tokens leaves no room for a prompt in the context.");
        }

        (string, IReadOnlyList<int[]>)[] kinds = [.. Texts(file, "kinds.jsonl").GroupBy(text => text.Kind).Select(kind =>
            (kind.Key, (IReadOnlyList<int[]>)[.. kind.Take(limit).Select(text => tokenizer.Encode(text.Prompt))
                .Select(tokens => tokens[..Math.Min(tokens.Length, room)])]))];
        return kinds.Length > 0 && limit > 0
            ? kinds : throw new UsageException("there are no prompts to run; check --prompts and --limit.");
    }

    private static int[] Encode(BenchParts parts, string text, int maxTokens)
    {
        int[] tokens = parts.Tokenizer.Encode(text);
        int room = parts.Loop.ContextLength - maxTokens;
        return room > 0
            ? tokens[..Math.Min(tokens.Length, room)] : throw new UsageException(
                $"--max-tokens {maxTokens} leaves no room for a prompt in a context of {parts.Loop.ContextLength}.");
    }

    /// <param name="own">The program's file where none is given.</param>
    private static IEnumerable<(string Kind, string Prompt)> Texts(string? file, string own)
    {
        using Stream stream = file is null
            ? Assembly.GetExecutingAssembly().GetManifestResourceStream(own)!
            : File.Exists(file) ? File.OpenRead(file) : throw new StartupException($"--prompts: there is no '{file}'.");
        using var reader = new StreamReader(stream);
        for (int number = 1; reader.ReadLine() is { } line; number++)
        {
            if (line.Length > 0)
            {
                yield return Read(line, file ?? own, number);
            }
        }
    }

    private static (string Kind, string Prompt) Read(string line, string file, int number)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(line);
            if (document.RootElement.TryGetProperty("prompt", out JsonElement prompt) && prompt.GetString() is { Length: > 0 } text)
            {
                return (document.RootElement.TryGetProperty("kind", out JsonElement kind) ? kind.GetString() ?? "" : "", text);
            }
        }
        catch (JsonException)
        {
            // Reported below, like a line without the field.
        }

        throw new StartupException($"{file} line {number} is not a JSON object with a field \"prompt\".");
    }
}
