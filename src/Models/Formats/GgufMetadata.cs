namespace Understory.Models.Formats;

/// <summary>
/// The key-value part of a GGUF file. Integers are held as <c>long</c> (unsigned 64-bit ones as <c>ulong</c> where they do not fit), floats
/// as <c>double</c>, and arrays as <c>string[]</c>, <c>long[]</c>, <c>double[]</c>, <c>bool[]</c> or (nested) <c>object[]</c>.
/// </summary>
public sealed class GgufMetadata(string path, IReadOnlyDictionary<string, object> values)
{
    public string Path { get; } = path;

    public IReadOnlyDictionary<string, object> Values { get; } = values;

    public bool Contains(string key) => Values.ContainsKey(key);

    /// <summary>The value of <paramref name="key"/>.</summary>
    /// <exception cref="InvalidDataException">It is missing or of another type.</exception>
    public T Get<T>(string key) => Values.TryGetValue(key, out object? value)
        ? Cast<T>(key, value)
        : throw new InvalidDataException($"{Path}: the key \"{key}\" is missing.");

    /// <summary>The value of <paramref name="key"/>, or <paramref name="otherwise"/> where the file does not have it.</summary>
    /// <exception cref="InvalidDataException">It is of another type.</exception>
    public T Get<T>(string key, T otherwise) => Values.TryGetValue(key, out object? value) ? Cast<T>(key, value) : otherwise;

    /// <summary>A count or a size: an integer from 0 to 2^31 - 1.</summary>
    public int GetCount(string key) => ToCount(key, Get<long>(key));

    public int GetCount(string key, int otherwise) => ToCount(key, Get<long>(key, otherwise));

    private int ToCount(string key, long value) => value is >= 0 and <= int.MaxValue
        ? (int)value
        : throw new InvalidDataException($"{Path}: the key \"{key}\" is {value}.");

    private T Cast<T>(string key, object value) => value switch
    {
        T typed => typed,
        long integer when typeof(T) == typeof(double) => (T)(object)(double)integer,
        _ => throw new InvalidDataException($"{Path}: the key \"{key}\" is of another type than expected."),
    };
}
