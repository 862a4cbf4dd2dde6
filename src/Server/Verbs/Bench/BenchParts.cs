using Understory.Decoding;
using Understory.Decoding.Drafters;
using Understory.Models.Architecture;
using Understory.Models.Tokenizers;
using Understory.Server.Hosting;

namespace Understory.Server.Verbs.Bench;

/// <summary>What a bench runs: loaded models, or a random target with a known vocabulary, or an oracle in the draft's place.</summary>
internal sealed class BenchParts : IDisposable
{
    private readonly List<IDisposable> _owned = [];

    public required DecodingLoop Loop { get; init; }

    public required Transformer Target { get; init; }

    public required string TargetName { get; init; }

    public Transformer? Draft { get; init; }

    public required string DraftName { get; init; }

    public required Tokenizer Tokenizer { get; init; }

    public OracleDrafter? Oracle { get; init; }

    public static BenchParts Load(ServerOptions options, string? random, string? percentages)
    {
        float[]? oracle = Percentages(percentages);
        LoadedModel loaded = new ModelLoading(options).Load(_ => { });
        if (random is null && oracle is null)
        {
            var parts = new BenchParts
            {
                Loop = loaded.Loop,
                Target = loaded.Target.Transformer,
                TargetName = loaded.Served.Id,
                Draft = loaded.Draft?.Transformer,
                DraftName = loaded.Draft?.Name ?? "none",
                Tokenizer = loaded.Target.Tokenizer,
            };
            parts._owned.Add(loaded);
            return parts;
        }

        loaded.Loop.Dispose();
        Transformer target = loaded.Target.Transformer;
        if (random is not null)
        {
            target = ModelLoader.Random(random, loaded.Kernels, seed: 1);
            int vocabulary = loaded.Target.Config.VocabularySize;
            if (target.Config.VocabularySize != vocabulary)
            {
                throw new UsageException($"--random {random}: its vocabulary must be {vocabulary}, that of the tokenizer in use.");
            }
        }

        if (oracle is not null && loaded.Loop.DraftVocabulary is not null)
        {
            throw new UsageException("--oracle needs a draft model of the target's vocabulary: it ranks the target's tokens.");
        }

        var decoding = new DecodingOptions { PrefixCacheBytes = 0, DraftWindow = options.DraftWindow };
        Transformer? draft = loaded.Draft?.Transformer;
        bool self = loaded.Draft?.CopyOf is not null;
        if (random is not null && self)
        {
            draft = ModelLoader.Random(random, loaded.Kernels, seed: 1, new LoadOptions { CopyOf = target });
        }

        OracleDrafter? knowing = oracle is null
            ? null
            : new OracleDrafter(draft ?? throw new UsageException("--oracle needs a draft model: its passes are the oracle's cost."),
                decoding.Branch, decoding.MaxDepth, oracle);
        ModelDrafter? drafter = knowing
            ?? (draft is null ? null
                : self ? new SelfDrafter(draft, decoding.Branch, decoding.MaxDepth)
                : Vocabularies.Drafter(loaded.Target, loaded.Draft!, decoding));
        var made = new BenchParts
        {
            Loop = new DecodingLoop(target, loaded.Target.Tokenizer, drafter, loaded.Ngram, decoding),
            Target = target,
            TargetName = random is null ? loaded.Served.Id : $"{random} (random weights)",
            Draft = draft,
            DraftName = oracle is null ? loaded.Draft?.Name
                ?? "none" : $"oracle {string.Join(',', oracle)} at the cost of {loaded.Draft!.Name}",
            Tokenizer = loaded.Target.Tokenizer,
            Oracle = knowing,
        };
        made.Loop.WarmUp(TimeSpan.FromMilliseconds(400));
        made._owned.Add(made.Loop);
        if (random is not null)
        {
            made._owned.Add(target);
            if (self)
            {
                made._owned.Add(draft!);
            }
        }

        made._owned.Add(loaded.Target);
        if (loaded.Draft is not null)
        {
            made._owned.Add(loaded.Draft);
        }

        made._owned.Add(loaded.Kernels);
        return made;
    }

    private static float[]? Percentages(string? text)
    {
        if (text is null)
        {
            return null;
        }

        string[] parts = text.Split(',');
        float[] percentages = new float[parts.Length];
        for (int i = 0; i < parts.Length; i++)
        {
            if (!float.TryParse(parts[i], out percentages[i]) || percentages[i] is not (>= 0 and <= 100)
                || (i > 0 && percentages[i] < percentages[i - 1]))
            {
                throw new UsageException($"--oracle takes rising percentages as in 60,79,82,85, not '{text}'.");
            }
        }

        return percentages;
    }

    public void Dispose() => _owned.ForEach(owned => owned.Dispose());
}
