#pragma warning disable OPENAI001 // Responses are marked as experimental.
using System.ClientModel;
using System.ClientModel.Primitives;
using System.Text;
using OpenAI.Responses;
using Understory.Server.Hosting;

namespace Understory.Server.Tests.Clients;

/// <summary>The Responses API by the official .NET client, unchanged.</summary>
[Collection(DemoCollection.Name)]
public sealed class ResponsesDotNetTests(DemoServer server)
{
    private static readonly BinaryData City =
        BinaryData.FromString("{\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\"}}}");

    private static ResponsesClient Client(Uri address) => new(
        new ApiKeyCredential("unused"),
        new ResponsesClientOptions { Endpoint = new Uri(address, "/v1"), RetryPolicy = new ClientRetryPolicy(maxRetries: 0) });

    private static CreateResponseOptions Request(string model, params ResponseItem[] items) => new(model, items)
    {
        Instructions = "You write Python.",
        MaxOutputTokenCount = 24,
        Temperature = 0,
        IncludedProperties = { IncludedResponseProperty.MessageOutputTextLogProbabilities },
        TopLogProbabilityCount = 2,
    };

    [Fact]
    public async Task A_plain_response_has_text_usage_and_a_status()
    {
        ResponseResult response = await Client(server.Address)
            .CreateResponseAsync(Request("understory-demo", ResponseItem.CreateUserMessageItem("Say é 😀.")));
        Assert.NotEmpty(response.GetOutputText());
        Assert.Equal("understory-demo", response.Model);
        Assert.True(response.Status is ResponseStatus.Completed or ResponseStatus.Incomplete);
        Assert.Equal(response.Usage.InputTokenCount + response.Usage.OutputTokenCount, response.Usage.TotalTokenCount);
        Assert.InRange(response.Usage.OutputTokenCount, 1, 24);
        Assert.Equal(24, response.MaxOutputTokenCount);
    }

    [Fact]
    public async Task A_streamed_response_says_the_same_as_a_plain_one()
    {
        CreateResponseOptions request = Request("understory-demo", ResponseItem.CreateUserMessageItem("def add(a, b):"));
        ResponseResult plain = await Client(server.Address).CreateResponseAsync(request);
        var text = new StringBuilder();
        var kinds = new List<Type>();
        int tokens = 0;
        ResponseResult? last = null;
        request.StreamingEnabled = true;
        await foreach (StreamingResponseUpdate update in await Client(server.Address).CreateResponseStreamingAsync(request))
        {
            kinds.Add(update.GetType());
            switch (update)
            {
                case StreamingResponseOutputTextDeltaUpdate delta:
                    text.Append(delta.Delta);
                    tokens += delta.TokenLogProbabilities.Count;
                    break;
                case StreamingResponseCompletedUpdate completed:
                    last = completed.Response;
                    break;
                case StreamingResponseIncompleteUpdate incomplete:
                    last = incomplete.Response;
                    break;
            }
        }

        Assert.Equal(plain.GetOutputText(), text.ToString());
        Assert.Equal(plain.GetOutputText(), last!.GetOutputText());
        Assert.Equal(plain.Usage.OutputTokenCount, last.Usage.OutputTokenCount);
        Assert.InRange(tokens, 1, plain.Usage.OutputTokenCount);
        Assert.Equal(
            [
                typeof(StreamingResponseCreatedUpdate), typeof(StreamingResponseInProgressUpdate),
                typeof(StreamingResponseOutputItemAddedUpdate),
                typeof(StreamingResponseContentPartAddedUpdate), typeof(StreamingResponseOutputTextDeltaUpdate),
            ],
            kinds.Take(5));
    }

    [Fact]
    public async Task A_function_is_called_and_its_output_goes_back()
    {
        await using ScriptedServer scripted = await ScriptedServer.StartAsync(model: ScriptedServer.Thinker());
        ResponsesClient client = Client(scripted.App.Address);
        CreateResponseOptions request = Request("scripted", ResponseItem.CreateUserMessageItem("How is it in Bonn?"));
        request.Tools.Add(ResponseTool.CreateFunctionTool("weather", City, strictModeEnabled: false, "Tells it."));
        request.ToolChoice = ResponseToolChoice.CreateAutoChoice();

        Task<ClientResult<ResponseResult>> asking = client.CreateResponseAsync(request);
        GenerationJob job = await scripted.TakeAsync();
        ScriptedServer.Say(job, "<think>hm</think><tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"Bonn\"}}</tool_call>");
        scripted.Finish(job);
        ResponseResult answer = await asking;
        FunctionCallResponseItem call = answer.OutputItems.OfType<FunctionCallResponseItem>().Single();
        Assert.Equal(("weather", "{\"city\": \"Bonn\"}"), (call.FunctionName, call.FunctionArguments.ToString()));
        Assert.Single(answer.OutputItems.OfType<ReasoningResponseItem>());

        foreach (ResponseItem item in answer.OutputItems)
        {
            request.InputItems.Add(item);
        }

        request.InputItems.Add(ResponseItem.CreateFunctionCallOutputItem(call.CallId, "rain"));
        asking = client.CreateResponseAsync(request);
        job = await scripted.TakeAsync();
        Assert.Contains("rain", ScriptedServer.Model().Tokenizer.Decode(job.Choices[0].Prompt));
        ScriptedServer.Say(job, "It rains.");
        scripted.Finish(job);
        Assert.Equal("It rains.", (await asking).Value.GetOutputText());
    }

    [Fact]
    public async Task What_would_need_a_memory_is_a_typed_refusal()
    {
        CreateResponseOptions request = Request("understory-demo", ResponseItem.CreateUserMessageItem("hi"));
        request.PreviousResponseId = "resp_1";
        var refusal = await Assert.ThrowsAsync<ClientResultException>(() => Client(server.Address).CreateResponseAsync(request));
        Assert.Equal(400, refusal.Status);
        Assert.Contains("previous_response_id", refusal.Message);
        refusal = await Assert.ThrowsAsync<ClientResultException>(() => Client(server.Address).GetResponseAsync("resp_1"));
        Assert.Equal(404, refusal.Status);
    }
}
