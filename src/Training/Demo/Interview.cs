using Understory.Decoding;
using Understory.Decoding.Drafters;
using Understory.Decoding.Sequences;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Training.Curriculum;

namespace Understory.Training.Demo;

/// <summary>What the finished models attain on the examination's prompts.</summary>
/// <param name="Acceptance">Share of the draft's tokens that the target takes, one path at a time, greedy.</param>
/// <param name="Auto">Speed of <c>auto</c>, in times that of <c>off</c>: the median of all prompts.</param>
/// <param name="Equal">Every prompt has the same text in both.</param>
/// <param name="Tasks">Of HumanEval's form, asked too: none of whose texts it was trained on.</param>
/// <param name="TasksParsed">Of them those that parse with what the target made of them.</param>
internal sealed record DemoResult(Marks Marks, double Acceptance, double Auto, bool Equal, int Tasks = 0, int TasksParsed = 0)
{
    public const double WantedAcceptance = 0.65;

    public bool Holds => Marks.Passed && Acceptance >= WantedAcceptance && Auto >= 1 && Equal;
}

/// <summary>Examines a trained pair: the examination, and what speculation brings on its prompts.</summary>
internal static class Interview
{
    /// <summary>Runs of a prompt by which a speed is measured, the fastest counts.</summary>
    private const int Repeats = 3;

    /// <param name="tasks">Prompts of HumanEval's form.</param>
    /// <param name="told">Told of every prompt with its answer.</param>
    public static DemoResult Hold(
        string target, string draft, string ngram, IReadOnlyList<string> tasks, Action<string, Reply> told, CancellationToken cancel)
    {
        using IKernels kernels = KernelCatalog.Create();
        using LanguageModel targetModel = ModelLoader.Load(target, kernels, new LoadOptions());
        using LanguageModel draftModel = ModelLoader.Load(draft, kernels, new LoadOptions());
        using var loop = new DecodingLoop(targetModel, draftModel, NgramModel.Load(ngram), new DecodingOptions { PrefixCacheBytes = 0 });
        loop.WarmUp(TimeSpan.FromSeconds(1));

        int proposed = 0;
        int accepted = 0;
        var ratios = new List<double>();
        bool equal = true;
        Marks marks = Examination.Hold(prompt =>
        {
            int[] ids = targetModel.Tokenizer.Encode(prompt);
            Sequence[] off = new Sequence[Repeats];
            Sequence[] auto = new Sequence[Repeats];
            for (int repeat = 0; repeat < Repeats; repeat++)
            {
                off[repeat] = Decode(loop, ids, SpeculationMode.Off);
                auto[repeat] = Decode(loop, ids, SpeculationMode.Auto);
            }

            Sequence chain = Decode(loop, ids, SpeculationMode.Draft);
            proposed += chain.Statistics.Draft.Proposed;
            accepted += chain.Statistics.Draft.Accepted;
            ratios.Add(off.Min(Milliseconds) / auto.Min(Milliseconds));
            equal &= auto.All(sequence => sequence.GeneratedIds.SequenceEqual(off[0].GeneratedIds));
            return Told(prompt, off[0]);
        });
        string?[] faults = PythonCheck.Faults([.. tasks.Select(task =>
            task + Told(task, Decode(loop, targetModel.Tokenizer.Encode(task), SpeculationMode.Off)).Text)]);
        ratios.Sort();
        return new DemoResult(marks, (double)accepted / Math.Max(1, proposed), ratios[ratios.Count / 2], equal, tasks.Count,
            faults.Count(fault => fault is null));

        Reply Told(string prompt, Sequence sequence)
        {
            cancel.ThrowIfCancellationRequested();
            string text = targetModel.Tokenizer.Decode(sequence.GeneratedIds, skipSpecial: true);
            var reply = new Reply(text, sequence.FinishReason == FinishReason.Stop);
            told(prompt, reply);
            return reply;
        }
    }

    private static double Milliseconds(Sequence sequence) => Math.Max(1e-3, sequence.Statistics.PredictedMilliseconds);

    private static Sequence Decode(DecodingLoop loop, int[] prompt, SpeculationMode mode)
    {
        Sequence sequence = loop.Begin(new GenerationRequest
        {
            Prompt = prompt,
            MaxTokens = Examination.MostTokens,
            Sampling = new() { Temperature = 0 },
            Speculation = mode,
            Branch = mode == SpeculationMode.Draft ? 1 : null,
        });
        while (!sequence.Finished)
        {
            loop.Step(sequence);
        }

        loop.End(sequence);
        return sequence;
    }
}
