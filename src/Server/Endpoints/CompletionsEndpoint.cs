using Understory.Decoding;
using Understory.Decoding.Constraints;
using Understory.Server.Chat;
using Understory.Server.Hosting;
using Understory.Server.OpenAi;
using Understory.Server.Wire;

namespace Understory.Server.Endpoints;

/// <summary><c>POST /v1/completions</c>: 1 parse, 2 tokenize, 3 enqueue, stream and finish.</summary>
public sealed class CompletionsEndpoint(DecodingService decoding, GenerationResponder responder, ServerOptions options)
{
    /// <summary>OpenAI's.</summary>
    private const int DefaultMaxTokens = 16;

    public async Task InvokeAsync(HttpContext http)
    {
        ServedModel model = decoding.Model;

        // 1. Parse.
        CompletionRequest request = Fields.Read(
            await Answer.ReadBodyAsync(http, options.MaxBody),
            fields => CompletionRequest.Read(fields, new RequestContext(model.Defaults, model.Vocabulary, options.Speculation)));
        PromptReader.Check(model, request.Model, request.Generation.Speculation);

        // 2. Tokenize.
        GenerationFields fields = request.Generation;
        Constraint? constraint = TimeLimit.Within(http, options, stop => ChatGeneration.Constrain(model, request.Form, stop));
        var choices = new List<GenerationRequest>();
        var echoes = new List<Echo?>();
        var promptOfChoice = new List<int>();
        int scored = request.Candidates > fields.Choices ? Math.Max(0, request.TopLogProbs) : request.TopLogProbs;
        FillInTheMiddle? infill = PromptReader.Infill(model, request.Suffix);
        GenerationFields each = fields with { Choices = request.Candidates };
        string[] stops = [.. fields.Stop, .. infill?.Stops ?? []];
        int most = fields.MaxTokens ?? DefaultMaxTokens;
        for (int i = 0; i < request.Prompts.Count; i++)
        {
            Prompt prompt = request.Prompts[i];
            int[] tokens = PromptReader.Fit(
                model, PromptReader.Tokens(model, prompt, request.Suffix, infill, request.AddSpecialTokens), "prompt", Math.Min(most, 1));
            choices.AddRange(PromptReader.Choices(model, tokens, each, most, stops, scored)
                .Select(choice => choice with { PromptLogProbs = request.Echo && request.TopLogProbs >= 0, Constraint = constraint }));
            Echo? echo = !request.Echo ? null : new(prompt.Text ?? model.Tokenizer.Decode(prompt.Tokens!), tokens);
            echoes.AddRange(Enumerable.Repeat(echo, request.Candidates));
            promptOfChoice.AddRange(Enumerable.Repeat(i, request.Candidates));
        }

        // 3. Enqueue, stream, finish.
        var head = new AnswerHead($"cmpl-{Guid.NewGuid():N}", DateTimeOffset.UtcNow.ToUnixTimeSeconds(), model.Id, model.Fingerprint,
            fields.Seed);
        var wire = new CompletionWriter(head, new TokenTexts(model.Tokenizer), request.TopLogProbs, echoes, fields.Choices,
            request.Candidates, fields.IncludeUsage);
        await responder.RunAsync(http, new GenerationJob(choices), promptOfChoice, wire, fields.Stream);
    }
}
