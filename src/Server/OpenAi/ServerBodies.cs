namespace Understory.Server.OpenAi;

/// <summary>What a request gets that leaves these open, by llama.cpp's names.</summary>
/// <param name="RepeatLastN">-1: the penalty of a model's own configuration looks back over all of the text.</param>
public sealed record DefaultParameters(float Temperature, int TopK, float TopP, float MinP, float RepeatPenalty, int RepeatLastN = -1);

/// <param name="NCtx">Tokens of prompt and output together.</param>
public sealed record DefaultSettings(int NCtx, DefaultParameters Params);

/// <param name="Default">The mode of requests that name none.</param>
/// <param name="Modes">Those that what was loaded allows.</param>
public sealed record SpeculationProps(string Default, IReadOnlyList<string> Modes);

/// <summary>A model of the hub that fits this machine.</summary>
/// <param name="Bytes">To fetch.</param>
/// <param name="MemoryBytes">That serving takes with 8,192 tokens.</param>
/// <param name="Command">What fetches it.</param>
public sealed record SuggestionBody(string Model, long Parameters, long Bytes, long MemoryBytes, string Command);

/// <param name="About">What sort of model it is.</param>
/// <param name="Suggestions">Real ones that fit this machine.</param>
public sealed record DemoProps(string About, IReadOnlyList<SuggestionBody> Suggestions);

/// <summary>The answer of <c>/props</c>: what is served, and how. Names that llama.cpp's server has are its own.</summary>
/// <param name="TotalSlots">Requests decoded at once.</param>
/// <param name="ChatTemplate">The model's own; null: chats are a plain dialogue.</param>
/// <param name="ChatFormat">Which way conversations become prompts.</param>
/// <param name="Parameters">How many numbers the model's weights are.</param>
/// <param name="Abilities">Of completion, chat, tools, thinking and infill those that the model has.</param>
/// <param name="Demo">Null: what is served was chosen by somebody.</param>
/// <param name="BuildInfo">The program's version.</param>
/// <param name="EmbeddingSize">Dimensions of an embedding; null: they are switched off.</param>
/// <param name="FillInTheMiddle">Completions may have a suffix.</param>
public sealed record PropsBody(
    DefaultSettings DefaultGenerationSettings,
    int TotalSlots,
    string ModelAlias,
    IReadOnlyList<string> Aliases,
    string? ChatTemplate,
    string ChatFormat,
    long Parameters,
    IReadOnlyList<string> Abilities,
    DemoProps? Demo,
    string BuildInfo,
    string SystemFingerprint,
    int VocabularySize,
    int? EmbeddingSize,
    bool FillInTheMiddle,
    string Kernels,
    SpeculationProps Speculation) : OpenAiBody;

/// <param name="NPrompt">Tokens of the prompts of all choices.</param>
/// <param name="NPromptDone">Of those, computed or found in the cache.</param>
/// <param name="NDecoded">Tokens generated so far.</param>
public sealed record TaskBody(
    string Id, string Endpoint, double WaitedMs, double RunningMs, int Choices, int ChoicesDone, int NPrompt, int NPromptDone, int NDecoded,
    double TokensPerBatch);

/// <param name="Place">From 1, the next.</param>
public sealed record WaitingBody(string Id, string Endpoint, int Place, double WaitingMs, int NPrompt);

/// <param name="Task">Null: idle.</param>
public sealed record SlotBody(int Id, int NCtx, bool IsProcessing, TaskBody? Task = null);

/// <summary>The answer of <c>/slots</c>: what runs and what waits. Figures only, no text of prompts or answers.</summary>
/// <param name="Places">Requests that may wait.</param>
public sealed record SlotsBody(IReadOnlyList<SlotBody> Slots, IReadOnlyList<WaitingBody> Waiting, int Places) : OpenAiBody;
