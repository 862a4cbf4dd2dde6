using System.Text;

namespace Understory.Server.Tests.Endpoints;

/// <summary>Requests that cannot be served: the right status, the field by name, what it held and what to do.</summary>
public sealed class RefusalTests : IAsyncLifetime
{
    private ScriptedServer _server = null!;

    public async Task InitializeAsync() => _server = await ScriptedServer.StartAsync();

    public async Task DisposeAsync() => await _server.DisposeAsync();

    [Theory]
    [InlineData("\"max_tokens\": -2", "max_tokens", "-2", "at least -1")]
    [InlineData("\"max_tokens\": \"5\"", "max_tokens", "\"5\"", "whole number")]
    [InlineData("\"max_tokens\": 1.5", "max_tokens", "1.5", "whole number")]
    [InlineData("\"max_tokens\": 99999999999", "max_tokens", "99999999999", "whole number")]
    [InlineData("\"max_completion_tokens\": -2", "max_completion_tokens", "-2", "at least -1")]
    [InlineData("\"temperature\": \"hot\"", "temperature", "\"hot\"", "from 0 to 2")]
    [InlineData("\"temperature\": -0.1", "temperature", "-0.1", "from 0 to 2")]
    [InlineData("\"temperature\": 1e999", "temperature", "1e999", "from 0 to 2")]
    [InlineData("\"top_p\": -0.1", "top_p", "-0.1", "from 0 to 1")]
    [InlineData("\"top_p\": [1]", "top_p", "an array of 1", "from 0 to 1")]
    [InlineData("\"top_k\": -2", "top_k", "-2", "at least -1")]
    [InlineData("\"min_p\": 2", "min_p", "2", "from 0 to 1")]
    [InlineData("\"presence_penalty\": 3", "presence_penalty", "3", "from -2 to 2")]
    [InlineData("\"frequency_penalty\": true", "frequency_penalty", "true", "from -2 to 2")]
    [InlineData("\"repetition_penalty\": 0", "repetition_penalty", "0", "1 is none")]
    [InlineData("\"n\": 0", "n", "0", "from 1 to 128")]
    [InlineData("\"seed\": \"x\"", "seed", "\"x\"", "whole number")]
    [InlineData("\"seed\": 1.5", "seed", "1.5", "whole number")]
    [InlineData("\"seed\": 18446744073709551616", "seed", "18446744073709551616", "64 bits")]
    [InlineData("\"stop\": 5", "stop", "5", "string")]
    [InlineData("\"stop\": [\"a\", 5]", "stop[1]", "5", "string")]
    [InlineData("\"stop\": \"\"", "stop", "\"\"", "none of them empty")]
    [InlineData("\"stream\": \"yes\"", "stream", "\"yes\"", "true or false")]
    [InlineData("\"stream\": true, \"stream_options\": 1", "stream_options", "1", "include_usage")]
    [InlineData("\"stream\": true, \"stream_options\": {\"include_usage\": 1}", "stream_options.include_usage", "1", "true or false")]
    [InlineData("\"logit_bias\": [1]", "logit_bias", "an array of 1", "token ids")]
    [InlineData("\"logit_bias\": {\"4096\": 1}", "logit_bias", "4096", "0 to 4095")]
    [InlineData("\"logit_bias\": {\"5\": 101}", "logit_bias.5", "101", "-100 to 100")]
    [InlineData("\"speculation\": \"fast\"", "speculation", "\"fast\"", "\"staged\"")]
    [InlineData("\"speculation\": true", "speculation", "true", "\"staged\"")]
    [InlineData("\"speculation_nodes\": 65", "speculation_nodes", "65", "from 1 to 64")]
    [InlineData("\"ignore_eos\": 1", "ignore_eos", "1", "true or false")]
    [InlineData("\"model\": 1", "model", "1", "a string")]
    public async Task A_known_field_of_the_wrong_kind_is_named_with_its_value_and_the_remedy(string field, string name, string value,
        string remedy)
    {
        foreach ((string path, string rest) in (IEnumerable<(string, string)>)
            [("/v1/completions", "\"prompt\": \"x\""),
                ("/v1/chat/completions", "\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]")])
        {
            string message = await (await _server.PostAsync(path, $"{{{rest}, {field}}}")).ErrorAsync(400, name);
            Assert.Contains(name, message);
            Assert.Contains(value, message);
            Assert.Contains(remedy, message);
        }
    }

    [Theory]
    [InlineData("\"prompt\": 5", "prompt", "5")]
    [InlineData("\"prompt\": []", "prompt", "an array of 0")]
    [InlineData("\"prompt\": {}", "prompt", "an object")]
    [InlineData("\"prompt\": [\"a\", 5]", "prompt[1]", "5")]
    [InlineData("\"prompt\": [5, \"a\"]", "prompt[0]", "5")]
    [InlineData("\"prompt\": [4096]", "prompt", "4096")]
    [InlineData("\"prompt\": [-1]", "prompt[0]", "-1")]
    [InlineData("\"prompt\": [[5], [4096]]", "prompt[1]", "4096")]
    [InlineData("\"prompt\": \"x\", \"logprobs\": 21", "logprobs", "21")]
    [InlineData("\"prompt\": \"x\", \"echo\": \"no\"", "echo", "\"no\"")]
    [InlineData("\"prompt\": \"x\", \"best_of\": 2, \"n\": 3", "best_of", "at least n")]
    [InlineData("\"prompt\": \"x\", \"best_of\": 2, \"stream\": true", "best_of", "streamed")]
    [InlineData("\"prompt\": \"x\", \"suffix\": \"y\"", "suffix", "suffix")]
    [InlineData("\"prompt\": \"x\", \"stream_options\": {\"include_usage\": true}", "stream_options", "stream")]
    [InlineData("\"prompt\": \"\\ud800\"", "prompt", "Unicode")]
    public async Task A_completion_that_cannot_be_names_the_field(string fields, string name, string named) =>
        Assert.Contains(named, await (await _server.PostAsync("/v1/completions", $"{{{fields}}}")).ErrorAsync(400, name));

    [Theory]
    [InlineData("\"messages\": null", "messages", "missing")]
    [InlineData("\"messages\": []", "messages", "an array of 0")]
    [InlineData("\"messages\": \"hi\"", "messages", "\"hi\"")]
    [InlineData("\"messages\": [5]", "messages[0]", "5")]
    [InlineData("\"messages\": [{\"content\": \"x\"}]", "messages[0].role", "missing")]
    [InlineData("\"messages\": [{\"role\": \"robot\", \"content\": \"x\"}]", "messages[0].role", "robot")]
    [InlineData("\"messages\": [{\"role\": \"user\"}]", "messages[0].content", "missing")]
    [InlineData("\"messages\": [{\"role\": \"user\", \"content\": 5}]", "messages[0].content", "5")]
    [InlineData("\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image_url\"}]}]", "messages[0].content[0]", "image_url")]
    [InlineData("\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\"}]}]", "messages[0].content[0].text", "missing")]
    [InlineData("\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"tools\": [{\"type\": \"function\"}]", "tools[0].function",
        "missing")]
    [InlineData("\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"tool_choice\": \"required\"", "tool_choice", "no tools")]
    [InlineData("\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"modalities\": [\"audio\"]", "modalities", "not supported")]
    [InlineData("\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"top_logprobs\": 2", "top_logprobs", "\"logprobs\": true")]
    [InlineData("\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"logprobs\": 2", "logprobs", "true or false")]
    [InlineData("\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"prediction\": \"x\"", "prediction", "an object such as")]
    [InlineData("\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"prediction\": {\"type\": \"code\", \"content\": \"x\"}",
        "prediction.type", "\"content\"")]
    [InlineData("\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"prediction\": {\"type\": \"content\"}", "prediction.content",
        "missing")]
    [InlineData("\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"prediction\": {\"type\": \"content\", \"content\": [5]}",
        "prediction.content[0]", "5")]
    public async Task A_chat_that_cannot_be_names_the_field(string fields, string name, string named) =>
        Assert.Contains(named, await (await _server.PostAsync("/v1/chat/completions", $"{{{fields}}}")).ErrorAsync(400, name));

    [Theory]
    [InlineData("{\"prompt\": ", "line 1")]
    [InlineData("", "empty")]
    [InlineData("[1]", "an array of 1")]
    [InlineData("\"x\"", "object")]
    [InlineData("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "deeper than 64 levels")]
    public async Task A_body_that_is_no_JSON_object_is_refused(string body, string named) =>
        Assert.Contains(named, await (await _server.PostAsync("/v1/completions", body)).ErrorAsync(400));

    [Theory]
    [InlineData("/tokenize", "{}", "text")]
    [InlineData("/tokenize", "{\"text\": 5}", "text")]
    [InlineData("/detokenize", "{}", "tokens")]
    [InlineData("/detokenize", "{\"tokens\": \"a\"}", "tokens")]
    [InlineData("/detokenize", "{\"tokens\": [\"a\"]}", "tokens[0]")]
    [InlineData("/detokenize", "{\"tokens\": [4096]}", "tokens")]
    [InlineData("/v1/completions", "{\"prompt\": \"x\", \"logit_bias\": {\"\\ud800\": 1}}", "logit_bias")]
    [InlineData("/v1/chat/completions", "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"chat_template_kwargs\": {\"a\": "
        + "\"\\ud800\"}}", "chat_template_kwargs.a")]
    [InlineData("/v1/chat/completions", "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"chat_template_kwargs\": 1}",
        "chat_template_kwargs")]
    public async Task Every_endpoint_refuses_in_the_same_way(string path, string body, string? name) =>
        await (await _server.PostAsync(path, body)).ErrorAsync(400, name);

    [Fact]
    public async Task Nesting_without_end_is_refused() =>
        await (await _server.PostAsync("/v1/completions", "{\"prompt\":" + new string('[', 100_000))).ErrorAsync(400);

    [Fact]
    public async Task Bytes_that_are_no_text_are_refused()
    {
        using var content = new ByteArrayContent([.. "{\"prompt\": \""u8, 0xFF, 0xFE, .. "\"}"u8]);
        content.Headers.ContentType = new("application/json");
        await (await _server.Client.PostAsync("/v1/completions", content)).ErrorAsync(400, "prompt");
    }

    [Fact]
    public async Task Too_long_a_prompt_is_refused_with_both_numbers()
    {
        string ids = string.Join(',', Enumerable.Repeat(5, 64));
        string message = await (await _server.PostAsync("/v1/completions", $"{{\"prompt\": [{ids}]}}"))
            .ErrorAsync(400, "prompt", "context_length_exceeded");
        Assert.StartsWith("prompt is too long: 64 tokens > 63 maximum. This model's maximum context length is 64 tokens", message);
        string chat = $"{{\"messages\": [{{\"role\": \"user\", \"content\": \"{string.Concat(Enumerable.Repeat("word ", 100))}\"}}]}}";
        await (await _server.PostAsync("/v1/chat/completions", chat)).ErrorAsync(400, "messages", "context_length_exceeded");
    }

    [Theory]
    [InlineData("/v1/completions", "{\"model\": \"gpt-5\", \"prompt\": \"x\"}")]
    [InlineData("/v1/chat/completions", "{\"model\": \"gpt-5\", \"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}")]
    [InlineData("/tokenize", "{\"model\": \"gpt-5\", \"text\": \"x\"}")]
    public async Task Another_model_is_not_found(string path, string body)
    {
        string message = await (await _server.PostAsync(path, body)).ErrorAsync(404, "model", "model_not_found");
        Assert.Contains("gpt-5", message);
        Assert.Contains("scripted", message);
    }

    [Fact]
    public async Task A_mode_without_its_drafter_is_refused()
    {
        string message = await (await _server.PostAsync("/v1/completions", "{\"prompt\": \"x\", \"speculation\": \"draft\"}"))
            .ErrorAsync(400, "speculation");
        Assert.Contains("auto, off, ngram", message);
    }

    [Fact]
    public async Task Unknown_paths_and_methods_are_answered_in_OpenAIs_shape()
    {
        Assert.Contains("/nowhere", await (await _server.Client.GetAsync("/nowhere")).ErrorAsync(404));
        HttpResponseMessage response = await _server.Client.GetAsync("/v1/completions");
        Assert.Contains("POST", await response.ErrorAsync(405));
        Assert.Equal(["POST"], response.Content.Headers.Allow);
        await (await _server.PostAsync("/health", "{}")).ErrorAsync(405);
        await (await _server.Client.GetAsync("/v1/models/nothing")).ErrorAsync(404, "model", "model_not_found");
    }

    [Theory]
    [InlineData("text/plain", "{\"prompt\": \"x\"}")]
    [InlineData("application/x-www-form-urlencoded", "prompt=x")]
    [InlineData("application/x-www-form-urlencoded", "")]
    public async Task A_body_of_another_type_is_refused(string type, string body)
    {
        using var content = new StringContent(body, Encoding.UTF8, type);
        Assert.Contains("application/json", await (await _server.Client.PostAsync("/v1/completions", content)).ErrorAsync(415));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_body_of_50_MB_gets_its_answer(bool chunked)
    {
        using var content = new ByteArrayContent(new byte[50_000_000]);
        content.Headers.ContentType = new("application/json");
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions") { Content = content };
        request.Headers.TransferEncodingChunked = chunked;
        Assert.Contains("8 MiB", await (await _server.Client.SendAsync(request)).ErrorAsync(413));
        // The server is as well as before.
        Assert.True((await _server.Client.GetAsync("/health")).IsSuccessStatusCode);
    }

    [Fact]
    public async Task Refused_requests_take_no_place_and_the_server_stays_up()
    {
        for (int i = 0; i < 20; i++)
        {
            await (await _server.PostAsync("/v1/completions", "{\"prompt\": 5}")).ErrorAsync(400, "prompt");
        }

        Assert.Equal(0, _server.App.Queue.Depth);
    }
}
