using System.Buffers;
using System.Text;
using System.Text.Json;
using Understory.Decoding.Sequences;
using Understory.Models.Tokenizers;
using Understory.Server.OpenAi;
using Understory.Server.Wire;
using ServerJson = Understory.Server.Wire.Json;

namespace Understory.Server.Tests.Wire;

public sealed class JsonTests
{
    private static string Write(IJsonBody body)
    {
        var bytes = new ArrayBufferWriter<byte>();
        ServerJson.Write(bytes, body);
        return Encoding.UTF8.GetString(bytes.WrittenSpan);
    }

    [Theory]
    [InlineData("plain")]
    [InlineData("é ≠ 語 😀 \u00A0\u200B\u2028")]
    [InlineData("é\"\\/\b\f\n\r\t\u0001\u007f")]
    public void Text_is_readable_and_comes_back_as_it_was(string text)
    {
        string json = Write(new DetokenizeBody(text));
        Assert.Equal(text, JsonDocument.Parse(json).RootElement.GetProperty("text").GetString());
        foreach (char c in text.Where(c => c > 0x7f))
        {
            Assert.Contains(c, json);
        }
    }

    [Fact]
    public void Names_are_as_readable_as_texts()
    {
        var logProbs = new CompletionLogProbs(["a"], [null, -0.5f],
            [null, new Dictionary<string, float> { ["😀\"é\n"] = -1e-7f, [""] = -9999 }, new Dictionary<string, float>()], [0]);
        string json = Write(new CompletionBody("id", "text_completion", 0, "m", "fp", [new(0, "", logProbs, null)]));
        Assert.Contains("\"top_logprobs\":[null,{\"😀\\\"é\\n\":-1E-07,\"\":-9999},{}]", json);
        JsonElement top = JsonDocument.Parse(json).RootElement.GetProperty("choices")[0].GetProperty("logprobs")
            .GetProperty("top_logprobs");
        Assert.Equal(-1e-7f, top[1].GetProperty("😀\"é\n").GetSingle());
    }

    [Fact]
    public void Half_a_pair_becomes_a_replacement_character() =>
        Assert.Equal("{\"text\":\"é\uFFFDx\"}", Write(new DetokenizeBody("é\ud800x")));

    [Fact]
    public void Names_are_snake_case_and_absent_extensions_are_left_out()
    {
        Assert.Equal("{\"tokens\":[1],\"count\":1,\"max_model_len\":8}", Write(new TokenizeBody([1], 1, 8)));
        Assert.Equal("{\"error\":{\"message\":\"m\",\"type\":\"server_error\",\"param\":null,\"code\":null}}",
            Write(new ApiException(500, "m").Body));
    }

    [Fact]
    public void Alternatives_that_a_form_rules_out_are_left_out()
    {
        var token = new TokenLogProb(70, -0.25f, [(70, -0.25f), (71, -1.5f), (72, float.NegativeInfinity)], 0);
        var texts = new TokenTexts(Tokenizer.Load(Standin.TokenizerFile));
        Assert.Equal([-0.25f, -1.5f], LogProb.Of(token, texts).TopLogprobs.Select(top => top.Logprob));
    }

    [Theory]
    [InlineData(400, "invalid_request_error")]
    [InlineData(401, "authentication_error")]
    [InlineData(404, "not_found_error")]
    [InlineData(413, "invalid_request_error")]
    [InlineData(429, "rate_limit_error")]
    [InlineData(503, "server_error")]
    public void A_status_has_its_error_type(int status, string type) => Assert.Equal(type, ApiException.TypeOf(status));
}
