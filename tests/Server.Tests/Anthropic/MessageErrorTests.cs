using System.Net;
using System.Text.Json.Nodes;

namespace Understory.Server.Tests.Anthropic;

/// <summary>Errors under <c>/v1/messages</c> have Anthropic's shape, whoever found them.</summary>
public sealed class MessageErrorTests
{
    [Theory]
    [InlineData("/v1/messages/batches", 404, "not_found_error", "/v1/messages/batches")]
    [InlineData("/v1/messages", 401, "authentication_error", "key")]
    public async Task Errors_under_messages_have_Anthropics_shape_and_a_request_id(string path, int status, string type, string says)
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync(new() { ApiKeys = status == 401 ? ["secret"] : [] });
        HttpResponseMessage response = await server.PostAsync(path, "{}");
        JsonNode body = await response.JsonAsync();
        Assert.Equal((HttpStatusCode)status, response.StatusCode);
        Assert.Equal(["error", "request_id", "type"], body.AsObject().Select(field => field.Key).Order());
        Assert.Equal(("error", type), ((string)body["type"]!, (string)body["error"]!["type"]!));
        Assert.Contains(says, (string)body["error"]!["message"]!);
        Assert.Equal((string)body["request_id"]!, response.Headers.GetValues("request-id").Single());
        Assert.Equal((string)body["request_id"]!, response.Headers.GetValues("x-request-id").Single());
    }

    [Fact]
    public async Task Errors_elsewhere_keep_OpenAIs()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync();
        HttpResponseMessage response = await server.PostAsync("/v1/messagesx", "{}");
        await response.ErrorAsync(404);
        Assert.False(response.Headers.Contains("request-id"));
    }
}
