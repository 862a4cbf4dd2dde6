namespace Understory.Server.Hosting;

/// <summary>Whom an option concerns.</summary>
public enum OptionScope
{
    /// <summary>What is loaded and how it decodes: whoever decodes takes it, server or not.</summary>
    Decoding,

    /// <summary>What the served model is called.</summary>
    Naming,

    /// <summary>HTTP alone, so only <c>serve</c> knows it.</summary>
    Http,
}

/// <summary>
/// One option under its three spellings: the flag <c>--max-queue</c>, the variable <c>UNDERSTORY_MAX_QUEUE</c> and the key <c>max-queue</c>
/// in section <c>Understory</c> of appsettings.json.
/// </summary>
/// <param name="name">Without dashes in front: "max-queue".</param>
/// <param name="value">What the help calls its value; null: a switch.</param>
public abstract class OptionSpec(string name, string? value)
{
    public string Name => name;

    public string? Value => value;

    /// <summary>What it does, in a sentence or two; the default is told by <see cref="Silence"/>.</summary>
    public required string Help { get; init; }

    public OptionScope Scope { get; init; }

    public string Flag => "--" + name;

    public string Variable => OptionVariables.Prefix + name.ToUpperInvariant().Replace('-', '_');

    /// <summary>What holds where nothing is said, in words; null: nothing that needs words.</summary>
    public abstract string? Silence { get; init; }
}

/// <summary>An option whose value is read as a <typeparamref name="T"/>.</summary>
/// <param name="kind">What its value may be.</param>
/// <param name="fallback">Its value where nothing is said.</param>
public sealed class OptionSpec<T>(string name, string? value, OptionKind<T> kind, T fallback) : OptionSpec(name, value)
{
    private readonly string? _silence;

    public T Default => fallback;

    /// <inheritdoc/>
    public override string? Silence
    {
        get => _silence ?? (Value is null ? null : Convert.ToString(fallback, System.Globalization.CultureInfo.InvariantCulture));
        init => _silence = value;
    }

    /// <param name="said">Everything that was said, at least one.</param>
    /// <param name="origin">Who said it.</param>
    /// <exception cref="UsageException">A value that cannot be.</exception>
    public T Read(IReadOnlyList<string> said, string origin) => kind.Read(said, out T read) is not { } wrong
        ? read : throw new UsageException($"{origin} must be {kind.Must}, not '{wrong}'.");
}
