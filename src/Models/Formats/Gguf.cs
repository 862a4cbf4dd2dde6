using System.Globalization;
using System.Text.RegularExpressions;
using Understory.Models.Tensors;

namespace Understory.Models.Formats;

/// <summary>
/// A GGUF model (version 2 or 3, little endian): metadata and tensors in one file, or in parts named <c>NAME-00001-of-00003.gguf</c>, of
/// which the first has the metadata. Dimensions are turned round to our order: <c>[rows, columns]</c>. (ggml, docs/gguf.md.)
/// NAME.scale <c>[1]</c> beside NAME.weight multiplies it (NVFP4, whose blocks' own scales have eight bits); of experts, <c>[experts]</c>
/// may stand there, one for each.
/// </summary>
public sealed unsafe partial class Gguf : ITensorSource
{
    private readonly List<GgufPart> _parts = [];
    private readonly TensorTable _tensors;

    private Gguf(string path) => _tensors = new TensorTable(path);

    public GgufMetadata Metadata => _parts[0].Metadata;

    public IEnumerable<string> Names => _tensors.Names;

    /// <param name="path">The file, or any of its parts: all are opened.</param>
    /// <exception cref="FileNotFoundException">No such file, or a part is missing.</exception>
    /// <exception cref="InvalidDataException">Not a GGUF file, or a damaged one, or one of another model's parts.</exception>
    public static Gguf Open(string path)
    {
        var model = new Gguf(path);
        try
        {
            var opened = GgufPart.Open(path);
            model._parts.Add(opened);
            int count = opened.Metadata.GetCount("split.count", 0);
            if (count > 1)
            {
                model.AddParts(path, count);
            }

            foreach ((string name, TensorEntry entry) in model._parts.SelectMany(part => part.Tensors))
            {
                model._tensors.Add(name, entry);
            }

            int tensors = model.Metadata.GetCount("split.tensors.count", model._tensors.Count);
            return tensors == model._tensors.Count
                ? model
                : throw new InvalidDataException(
                    $"{path}: {model._tensors.Count} tensors in {model._parts.Count} parts instead of {tensors}.");
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Bytes of one file before the data of its tensors: keys and descriptions.</summary>
    /// <exception cref="InvalidDataException">Not a GGUF file, or a damaged one.</exception>
    public static long HeadBytes(string path)
    {
        using var part = GgufPart.Open(path);
        return part.HeadBytes;
    }

    /// <summary>The files of a model: one, or all parts that lie beside <paramref name="path"/>.</summary>
    public static IReadOnlyList<string> FilesOf(string path) => PartName().Match(path) is { Success: true } match
        ? [.. Enumerable.Range(1, int.Parse(match.Groups[3].ValueSpan, CultureInfo.InvariantCulture))
            .Select(number => $"{match.Groups[1].Value}-{number:D5}-of-{match.Groups[3].Value}.gguf").Where(File.Exists)]
        : [path];

    /// <summary>The name of a model's file, less what says that it is GGUF and which part of it.</summary>
    public static string NameOf(string path) => PartName().Match(path) is { Success: true } match
        ? Path.GetFileName(match.Groups[1].Value)
        : Path.GetFileName(path) is var name && name.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase) ? name[..^5] : name;

    public bool Contains(string name) => _tensors.Contains(name);

    public WeightFormat FormatOf(string name, params ReadOnlySpan<int> shape) => _tensors.FormatOf(name, shape);

    public float ScaleOf(string name, int number = 0)
    {
        const string Weight = ".weight";
        string beside = name.EndsWith(Weight, StringComparison.Ordinal) ? name[..^Weight.Length] + ".scale" : "";
        if (_tensors.Find(beside) is not { } entry)
        {
            return 1;
        }

        long[] own = _tensors.Find(name)?.Shape ?? [];
        if (own is [_, > 1 and var inputs] && entry.Shape is [var numbers] && numbers == inputs)
        {
            // One for each input: a tensor for itself (Gemma 4's router).
            return 1;
        }

        bool each = own.Length > 2 && entry.Shape is [> 1 and <= int.MaxValue and var count] && number < count;
        StoredTensor stored = _tensors.Read(beside, [each ? (int)entry.Shape[0] : 1]);
        float scale;
        stored.Format.Decode((byte*)stored.Data + stored.Format.Bytes(each ? number : 0), 1, &scale);
        return float.IsFinite(scale)
            ? scale
            : throw new InvalidDataException($"{entry.File.Path}: tensor \"{FileText.Shown(beside)}\" is {scale}; a scale must be finite.");
    }

    public StoredTensor Read(string name, params ReadOnlySpan<int> shape) =>
        _tensors.Read(name, shape) with { Scale = shape.Length > 2 ? 1 : ScaleOf(name, 0) };

    public bool StaysMapped(string name) => true;

    public void Release(StoredTensor tensor) => MappedFile.Forget((byte*)tensor.Data, tensor.Bytes);

    public void Dispose()
    {
        _tensors.Clear();
        _parts.ForEach(part => part.Dispose());
        _parts.Clear();
    }

    /// <summary>Opens the others beside the part that is open already, and puts all in order.</summary>
    private void AddParts(string path, int count)
    {
        Match match = PartName().Match(path);
        if (!match.Success || int.Parse(match.Groups[3].ValueSpan, CultureInfo.InvariantCulture) != count)
        {
            throw new InvalidDataException($"{path}: one of {count} parts, which are named NAME-00001-of-{count:D5}.gguf.");
        }

        int given = int.Parse(match.Groups[2].ValueSpan, CultureInfo.InvariantCulture) - 1;
        GgufPart opened = _parts[0];
        _parts.Clear();
        for (int number = 0; number < count; number++)
        {
            string name = $"{match.Groups[1].Value}-{number + 1:D5}-of-{count:D5}.gguf";
            GgufPart part = number == given ? opened
                : File.Exists(name) ? GgufPart.Open(name)
                : throw new FileNotFoundException($"{path}: the part {Path.GetFileName(name)} is missing beside it.", name);
            _parts.Add(part);
            (int ownCount, int ownNumber) = (part.Metadata.GetCount("split.count", 0), part.Metadata.GetCount("split.no", -1));
            if (ownCount != count || ownNumber != number)
            {
                throw new InvalidDataException($"{name}: by its keys, this is part {ownNumber + 1} of {ownCount}.");
            }
        }
    }

    [GeneratedRegex("^(.*)-([0-9]{5})-of-([0-9]{5})\\.gguf$", RegexOptions.Singleline | RegexOptions.IgnoreCase)]
    private static partial Regex PartName();
}
