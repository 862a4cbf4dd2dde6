using System.Text;
using System.Text.Json;
using Understory.Decoding;
using Understory.Models.Architecture;
using Understory.Server.Anthropic;
using Understory.Server.OpenAi;
using Understory.Server.OpenAi.Responses;
using Understory.Server.Wire;

namespace Understory.Server.Tests.OpenAi;

/// <summary>Every field in a table is read by somebody, and every field that is read stands in a table.</summary>
public sealed class RequestParametersTests
{
    private static readonly RequestContext Context = new(new GenerationDefaults(), 4096, SpeculationMode.Auto);

    /// <summary>Endpoint, its table, its reader, and the least body that it takes.</summary>
    private static readonly Dictionary<string, (IReadOnlyList<Parameter> Table, Action<Fields> Read, string Least)> Readers = new()
    {
        ["completions"] = (RequestParameters.Completions, fields => CompletionRequest.Read(fields, Context), "{}"),
        ["chat"] = (RequestParameters.Chat, fields => ChatRequest.Read(fields, Context),
            "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}"),
        ["embeddings"] = (RequestParameters.Embeddings, fields => EmbeddingRequest.Read(fields, 4096, 192), "{\"input\": \"x\"}"),
        ["responses"] = (ResponsesParameters.All, fields => ResponsesRequest.Read(fields, Context), "{\"input\": \"x\"}"),
        ["messages"] = (MessagesParameters.Messages, fields => MessagesRequest.Read(fields, Context),
            "{\"max_tokens\": 5, \"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}"),
        ["count"] = (MessagesParameters.Count, fields => MessagesRequest.ReadCount(fields, Context),
            "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}"),
    };

    public static TheoryData<string> Endpoints => [.. Readers.Keys];

    [Theory]
    [MemberData(nameof(Endpoints))]
    public void Every_field_that_is_read_is_in_the_table_and_the_other_way_round(string endpoint)
    {
        (IReadOnlyList<Parameter> table, Action<Fields> read, string least) = Readers[endpoint];
        var asked = new HashSet<string>();
        using JsonDocument body = JsonDocument.Parse(least);
        read(new Fields(body.RootElement, asked));
        Assert.Equal(table.Where(parameter => parameter.Standing == Standing.Honoured).Select(parameter => parameter.Name).Order(),
            asked.Order());
        Assert.Equal(table.Count, table.Select(parameter => parameter.Name).Distinct().Count());
        Assert.All(table.Where(parameter => parameter.Standing == Standing.Honoured), parameter => Assert.NotEmpty(parameter.Meaning));
    }

    [Theory]
    [MemberData(nameof(Endpoints))]
    public void What_would_change_the_answer_is_refused_by_name_and_what_would_not_is_passed_over(string endpoint)
    {
        foreach (Parameter parameter in Readers[endpoint].Table.Where(parameter => parameter.Standing != Standing.Honoured))
        {
            ApiException? refusal = Refusal(endpoint, parameter.Name, "{\"type\": \"else\"}");
            Assert.Equal(parameter.Standing == Standing.Refused, refusal is not null);
            Assert.True(refusal is null || (refusal.Parameter == parameter.Name && refusal.Code == "unsupported_parameter"
                && refusal.Message.StartsWith(parameter.Name, StringComparison.Ordinal)), refusal?.Message);
            Assert.Null(Refusal(endpoint, parameter.Name, "null"));
        }
    }

    /// <summary>Fields of other servers, with the value that their clients send by default and one that asks for something.</summary>
    [Theory]
    [InlineData("mirostat", "0", "2")]
    [InlineData("dry_multiplier", "0.0", "0.8")]
    [InlineData("xtc_probability", "0", "0.5")]
    [InlineData("typical_p", "1.0", "0.9")]
    [InlineData("tfs_z", "1", "0.9")]
    [InlineData("dynatemp_range", "0", "0.5")]
    [InlineData("min_tokens", "0", "3")]
    [InlineData("stop_token_ids", "[]", "[5]")]
    [InlineData("skip_special_tokens", "true", "false")]
    [InlineData("use_beam_search", "false", "true")]
    [InlineData("length_penalty", "1.0", "1.2")]
    [InlineData("top_n_sigma", "-1", "1")]
    [InlineData("n_indent", "0", "2")]
    [InlineData("n_cmpl", "1", "3")]
    [InlineData("grammar_lazy", "false", "true")]
    [InlineData("grammar_triggers", "[]", "[{\"type\": 0, \"value\": \"<\"}]")]
    [InlineData("vllm_xargs", "{}", "{\"a\": 1}")]
    [InlineData("repetition_penalty_range", "0", "1024")]
    [InlineData("do_sample", "true", "false")]
    [InlineData("repeat_last_n", "64", "-2")]
    [InlineData("repeat_last_n", "0", "1.5")]
    public void A_parameter_that_is_lacking_is_taken_at_its_neutral_value_alone(string name, string neutral, string asking)
    {
        foreach (string endpoint in Readers.Keys.Where(key => key is not ("embeddings" or "count")))
        {
            Assert.Null(Refusal(endpoint, name, neutral));
            Assert.Equal(name, Refusal(endpoint, name, asking)?.Parameter);
        }
    }

    [Fact]
    public void A_thread_is_refused_by_the_code_upon_which_the_library_sends_whole_conversations() =>
        Assert.Equal("thread_unsupported_request", Refusal("messages", "thread", "{\"type\": \"create\"}")?.DetailCode);

    /// <summary>The error for the least body with this field in it; null: taken.</summary>
    private static ApiException? Refusal(string endpoint, string name, string value)
    {
        string least = Readers[endpoint].Least;
        string body = least.Length > 2 ? $"{least[..^1]}, \"{name}\": {value}}}" : $"{{\"{name}\": {value}}}";
        try
        {
            Fields.Read(Encoding.UTF8.GetBytes(body), fields =>
            {
                Readers[endpoint].Read(fields);
                return true;
            });
            return null;
        }
        catch (ApiException error)
        {
            Assert.Equal(400, error.Status);
            return error;
        }
    }
}
