using Understory.Decoding;

namespace Understory.Server.Hosting;

/// <summary>How far a job has come, as counts: written by the decoding thread as it goes, read by anyone at any time.</summary>
public sealed class JobProgress(IReadOnlyList<GenerationRequest> choices)
{
    private int _prompt;
    private int _generated;
    private int _passes;
    private int _done;

    /// <summary>Tokens of the prompts of all choices.</summary>
    public int PromptTokens { get; } = choices.Sum(choice => choice.Prompt.Length);

    /// <summary>Of those, computed or found in the prefix cache.</summary>
    public int PromptTokensDone => Volatile.Read(ref _prompt);

    public int GeneratedTokens => Volatile.Read(ref _generated);

    /// <summary>Target passes that decoded.</summary>
    public int Passes => Volatile.Read(ref _passes);

    public int ChoicesDone => Volatile.Read(ref _done);

    internal void Follow(GenerationEvent item)
    {
        switch (item)
        {
            case PromptRead read:
                // The last token of a prompt goes through with the first step.
                Volatile.Write(ref _prompt, choices.Take(read.Choice + 1).Sum(choice => choice.Prompt.Length));
                break;
            case StepDone { Report.PrefilledTokens: > 0 } chunk:
                Volatile.Write(ref _prompt, _prompt + chunk.Report.PrefilledTokens);
                break;
            case StepDone step:
                Volatile.Write(ref _generated, _generated + step.Tokens);
                Volatile.Write(ref _passes, _passes + 1);
                break;
            case ChoiceFinished { Reason: not FinishReason.None }:
                Volatile.Write(ref _done, _done + 1);
                break;
        }
    }
}
