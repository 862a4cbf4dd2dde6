using Understory.Models.Formats;
using Understory.Models.Tensors;

namespace Understory.Models.Architecture;

/// <summary>
/// What a GGUF file says of its model: the keys of its architecture ("llama.block_count" is <c>block_count</c> here), and which tensors it
/// has.
/// </summary>
internal sealed class GgufKeys(Gguf file)
{
    private readonly GgufMetadata _keys = file.Metadata;
    private readonly string _prefix = file.Metadata.Get<string>("general.architecture") + ".";

    public string Path => _keys.Path;

    public string Architecture => _prefix[..^1];

    public int VocabularySize => _keys.Get<string[]>("tokenizer.ggml.tokens").Length;

    /// <summary>There is no head of its own.</summary>
    public bool TiedHead => !file.Contains("output.weight");

    /// <summary>A number that all layers share, written once or for each of them.</summary>
    public int Count(string key) => Shared(key) ?? _keys.GetCount(_prefix + key);

    /// <inheritdoc cref="Count(string)"/>
    public int Count(string key, int otherwise) => Shared(key) ?? _keys.GetCount(_prefix + key, otherwise);

    /// <summary>A count for each layer: one for all, or an array.</summary>
    /// <exception cref="InvalidDataException">The key is missing or of another type; or, when asked, has none for the layer.</exception>
    public Func<int, int> Counts(string key)
    {
        if (!_keys.Contains(_prefix + key) || _keys.Values[_prefix + key] is not long[] counts)
        {
            int all = Count(key);
            return _ => all;
        }

        return layer => layer < counts.Length && counts[layer] is >= 0 and <= int.MaxValue
            ? (int)counts[layer] : throw new InvalidDataException($"{Path}: the key \"{_prefix}{key}\" has no count for layer {layer}.");
    }

    public Func<int, int> Counts(string key, Func<int, int> otherwise) => Has(key) ? Counts(key) : otherwise;

    /// <summary>A flag for each layer; null where the file has no such key.</summary>
    /// <exception cref="InvalidDataException">It is of another type.</exception>
    public bool[]? Flags(string key) => Has(key) ? _keys.Get<bool[]>(_prefix + key) : null;

    public bool Has(string key) => _keys.Contains(_prefix + key);

    /// <summary>
    /// Which layers have a window, by <c>attention.sliding_window_pattern</c>: a flag for each layer, or a number n of layers of which the
    /// last one has none (0: all have one).
    /// </summary>
    /// <param name="period">n, where the file does not say.</param>
    public Func<int, bool> Windowed(int period)
    {
        const string Key = "attention.sliding_window_pattern";
        return (Has(Key) ? _keys.Values[_prefix + Key] : (long)period) switch
        {
            bool[] flags => layer => layer < flags.Length && flags[layer],
            long[] flags => layer => layer < flags.Length && flags[layer] != 0,
            bool all => _ => all,
            long n and >= 0 => layer => n == 0 || (layer + 1) % n != 0,
            _ => throw new InvalidDataException($"{Path}: the key \"{_prefix}{Key}\" is of another type than expected."),
        };
    }

    public double Number(string key) => _keys.Get<double>(_prefix + key);

    public double Number(string key, double otherwise) => _keys.Get(_prefix + key, otherwise);

    public bool Flag(string key, bool otherwise) => _keys.Get(_prefix + key, otherwise);

    public string Text(string key, string otherwise) => _keys.Get(_prefix + key, otherwise);

    public bool Contains(string tensor) => file.Contains(tensor);

    /// <summary>A vector's values; null where the file has none of that name.</summary>
    public unsafe float[]? Floats(string tensor, int length)
    {
        if (!file.Contains(tensor))
        {
            return null;
        }

        StoredTensor vector = file.Read(tensor, length);
        float[] values = new float[length];
        fixed (float* target = values)
        {
            vector.Format.Decode((byte*)vector.Data, length, target);
        }

        return values;
    }

    /// <summary>Refuses what would change results, where a file asks for it.</summary>
    /// <exception cref="InvalidDataException">It does.</exception>
    public void RequireUnset(string key)
    {
        if (Number(key, 0) is not 0 and var value)
        {
            throw new InvalidDataException($"{Path}: the key \"{_prefix}{key}\" is {value}, which is not supported.");
        }
    }

    /// <summary>Dimensions of a head: said, or the model's width over its heads.</summary>
    public int HeadDim(int hidden, int heads)
    {
        if (!_keys.Contains(_prefix + "attention.key_length"))
        {
            return heads > 0 && hidden % heads == 0
                ? hidden / heads : throw new InvalidDataException($"{Path}: {heads} heads in a width of {hidden}.");
        }

        int key = Count("attention.key_length");
        int value = Count("attention.value_length", key);
        return key == value
            ? key : throw new InvalidDataException($"{Path}: keys of {key} and values of {value} dimensions are not supported.");
    }

    /// <summary>The value of an array whose numbers are all the same; null: the key is no array.</summary>
    private int? Shared(string key)
    {
        if (_keys.Values.GetValueOrDefault(_prefix + key) is not long[] each)
        {
            return null;
        }

        return each.Length > 0 && each.AsSpan().IndexOfAnyExcept(each[0]) < 0 && each[0] is >= 0 and <= int.MaxValue
            ? (int)each[0]
            : throw new InvalidDataException(
                $"{Path}: the key \"{_prefix}{key}\" differs from layer to layer, which is not supported here.");
    }
}
