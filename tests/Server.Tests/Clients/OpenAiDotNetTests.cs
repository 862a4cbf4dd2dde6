using System.ClientModel;
using System.Text;
using OpenAI;
using OpenAI.Chat;
using OpenAI.Models;
using Understory.Server.Hosting;
using Understory.Server.Wire;

namespace Understory.Server.Tests.Clients;

/// <summary>The official .NET client, unchanged.</summary>
[Collection(DemoCollection.Name)]
public sealed class OpenAiDotNetTests(DemoServer server)
{
    private static readonly ChatMessage[] Conversation = [new SystemChatMessage("You write Python."), new UserChatMessage("Say é 😀.")];

    private OpenAIClient Client() => Client(server.Address);

    private static OpenAIClient Client(Uri address) =>
        new(new ApiKeyCredential("unused"), new OpenAIClientOptions { Endpoint = new Uri(address, "/v1") });

    [Fact]
    public async Task A_plain_chat_has_text_usage_and_a_reason()
    {
        ChatClient chat = Client().GetChatClient("understory-demo");
        ChatCompletion answer =
            await chat.CompleteChatAsync(Conversation, new ChatCompletionOptions { MaxOutputTokenCount = 12, Temperature = 0 });
        Assert.Equal(ChatMessageRole.Assistant, answer.Role);
        Assert.NotNull(answer.Content[0].Text);
        Assert.True(answer.FinishReason is ChatFinishReason.Length or ChatFinishReason.Stop);
        Assert.Equal(answer.Usage.InputTokenCount + answer.Usage.OutputTokenCount, answer.Usage.TotalTokenCount);
        Assert.StartsWith("fp_", answer.SystemFingerprint);
    }

    [Fact]
    public async Task A_streamed_chat_says_the_same_as_a_plain_one()
    {
        ChatClient chat = Client().GetChatClient("understory-demo");
        var options = new ChatCompletionOptions
        {
            MaxOutputTokenCount = 24,
            Temperature = 0.8f,
            IncludeLogProbabilities = true,
            TopLogProbabilityCount = 2
        };
#pragma warning disable OPENAI001 // Seed is marked as experimental.
        options.Seed = 17;
#pragma warning restore OPENAI001
        ChatCompletion plain = await chat.CompleteChatAsync(Conversation, options);
        var text = new StringBuilder();
        ChatFinishReason? reason = null;
        ChatTokenUsage? usage = null;
        int tokens = 0;
        await foreach (StreamingChatCompletionUpdate update in chat.CompleteChatStreamingAsync(Conversation, options))
        {
            text.Append(string.Concat(update.ContentUpdate.Select(part => part.Text)));
            tokens += update.ContentTokenLogProbabilities.Count;
            reason = update.FinishReason ?? reason;
            usage = update.Usage ?? usage;
        }

        Assert.Equal(plain.Content[0].Text, text.ToString());
        Assert.Equal(plain.FinishReason, reason);
        // This client always asks for usage.
        Assert.Equal(plain.Usage.OutputTokenCount, usage!.OutputTokenCount);
        Assert.Equal(plain.ContentTokenLogProbabilities.Count, tokens);
    }

    [Fact]
    public async Task A_refusal_is_a_typed_exception()
    {
        var refusal =
            await Assert.ThrowsAsync<ClientResultException>(() => Client().GetChatClient("gpt-5").CompleteChatAsync(Conversation));
        Assert.Equal(404, refusal.Status);
        Assert.Contains("gpt-5", refusal.Message);
    }

    [Fact]
    public async Task A_cancelled_stream_frees_the_worker()
    {
        ChatClient chat = Client().GetChatClient("understory-demo");
        using var leave = new CancellationTokenSource();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (
                StreamingChatCompletionUpdate update in chat.CompleteChatStreamingAsync(Conversation, cancellationToken: leave.Token))
            {
                await leave.CancelAsync();
                leave.Token.ThrowIfCancellationRequested();
            }
        });
        ChatCompletion next = await chat.CompleteChatAsync(Conversation, new ChatCompletionOptions { MaxOutputTokenCount = 1 });
        Assert.Equal(1, next.Usage.OutputTokenCount);
    }

    [Fact]
    public async Task An_error_in_mid_stream_does_not_look_like_an_end()
    {
        await using ScriptedServer scripted = await ScriptedServer.StartAsync();
        Task<string> reading = Task.Run(async () =>
        {
            string text = "";
            await foreach (StreamingChatCompletionUpdate update in Client(scripted.App.Address).GetChatClient("scripted")
                .CompleteChatStreamingAsync([new UserChatMessage("hi")]))
            {
                text += string.Concat(update.ContentUpdate.Select(part => part.Text));
            }

            return text;
        });
        GenerationJob job = await scripted.TakeAsync();
        ScriptedServer.Say(job, "half");
        job.End(new ApiException(500, "Decoding failed."));
        await Assert.ThrowsAnyAsync<Exception>(() => reading);
    }

    [Fact]
    public async Task Embeddings_come_as_base64_and_have_length_1()
    {
        OpenAI.Embeddings.EmbeddingClient embeddings = Client().GetEmbeddingClient("understory-demo");
        OpenAI.Embeddings.OpenAIEmbeddingCollection many =
            await embeddings.GenerateEmbeddingsAsync(["def add(a, b):", "import os", "def add(a, c):"]);
        float[][] vectors = [.. many.Select(embedding => embedding.ToFloats().ToArray())];
        Assert.All(vectors, vector => Assert.Equal(1, vector.Sum(value => (double)value * value), 1e-5));
        float[] alone = (await embeddings.GenerateEmbeddingAsync("import os")).Value.ToFloats().ToArray();
        Assert.Equal(vectors[1], alone);
        Assert.True(many.Usage.InputTokenCount > 0);
        Assert.Equal(many.Usage.InputTokenCount, many.Usage.TotalTokenCount);
        // What reads alike lies closer together.
        Assert.True(Dot(vectors[0], vectors[2]) > Dot(vectors[0], vectors[1]));
        static double Dot(float[] a, float[] b) => a.Zip(b).Sum(pair => (double)pair.First * pair.Second);
    }

    [Fact]
    public async Task Models_are_listed()
    {
        OpenAIModelCollection models = await Client().GetOpenAIModelClient().GetModelsAsync();
        Assert.Equal(["understory-demo", "demo"], models.Select(model => model.Id));
    }
}
