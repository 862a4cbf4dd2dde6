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

    /// <summary>A number for each of so many layers, written once or for each of them.</summary>
    public int[] Counts(string key, int layers, int otherwise) => _keys.Values.GetValueOrDefault(_prefix + key) is long[] each
        ? each.Length >= layers
            ? [.. each.Take(layers).Select(value => checked((int)value))]
            : throw new InvalidDataException($"{Path}: the key \"{_prefix}{key}\" has {each.Length} numbers for {layers} layers.")
        : [.. Enumerable.Repeat(Count(key, otherwise), layers)];

    public double Number(string key) => _keys.Get<double>(_prefix + key);

    public double Number(string key, double otherwise) => _keys.Get(_prefix + key, otherwise);

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
