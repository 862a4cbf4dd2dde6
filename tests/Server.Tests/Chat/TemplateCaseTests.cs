using System.Text;
using System.Text.Json.Nodes;
using Understory.Decoding;
using Understory.Models.Architecture;
using Understory.Models.Tokenizers;
using Understory.Server.Chat;
using Understory.Server.OpenAi;
using Understory.Server.Wire;

namespace Understory.Server.Tests.Chat;

/// <summary>
/// Real templates through the whole way of a request: the reference's messages and tools go in as an OpenAI request (arguments as text),
/// and the prompt must be what two other implementations of Jinja rendered from them.
/// </summary>
public sealed class TemplateCaseTests
{
    private const string Templates = "chat_templates";

    private static readonly Tokenizer Demo = Tokenizer.Load(Standin.TokenizerFile);

    [SharedDataTheory(Templates)]
    [InlineData("qwen2.5-instruct", "hermes", 10)]
    [InlineData("qwen3", "hermes", 10)]
    [InlineData("llama-3.1", "llama", 9)]
    [InlineData("llama-3.2", "llama", 9)]
    public void A_request_renders_as_the_reference(string name, string syntax, int fewest)
    {
        int tried = 0;
        foreach (string line in File.ReadLines(Path.Combine(SharedData.PathOf(Templates), name + ".cases.jsonl")))
        {
            JsonObject fields = JsonNode.Parse(line)!.AsObject();
            if (!(bool)fields["add_generation_prompt"]! || fields["rendered"] is null || fields["now"] is not null
                || fields["tools"] is not JsonArray { Count: > 0 } || !AsRequest(fields))
            {
                continue;
            }

            ChatRenderer format = new(Demo, Template(name, fields));
            Assert.Equal(syntax, format.Syntax.Name);
            ChatCall request = Fields.Read(
                Encoding.UTF8.GetBytes(fields.ToJsonString()), body =>
                    ChatRequest.Read(body, new RequestContext(new GenerationDefaults(), 4096, SpeculationMode.Off)));
            Assert.Equal((string)fields["rendered"]!, Demo.Decode(format.Prepare(request.Conversation).Prompt));
            tried++;
        }

        Assert.True(tried >= fewest, $"{tried} cases");
    }

    /// <summary>Turns a case into a request, in place; false: OpenAI's API cannot say it.</summary>
    private static bool AsRequest(JsonObject fields)
    {
        foreach (JsonNode? message in fields["messages"]!.AsArray())
        {
            if ((string?)message!["role"] is not ("system" or "user" or "assistant" or "tool"))
            {
                return false;
            }

            foreach (JsonNode? call in message["tool_calls"] as JsonArray ?? [])
            {
                if (call!["function"]!["arguments"] is not JsonObject arguments)
                {
                    return false;
                }

                call["function"]!["arguments"] = arguments.ToJsonString();
            }
        }

        fields["chat_template_kwargs"] = fields["extra"]?.DeepClone();
        return true;
    }

    /// <summary>As from a model's folder, which also names the tokens that begin and end a text.</summary>
    internal static ChatTemplate Template(string name, JsonObject fields)
    {
        string folder = Directory.CreateTempSubdirectory("understory-template-").FullName;
        try
        {
            File.Copy(Path.Combine(SharedData.PathOf(Templates), name + ".jinja"), Path.Combine(folder, "chat_template.jinja"));
            File.WriteAllText(
                Path.Combine(folder, "tokenizer_config.json"),
                new JsonObject
                {
                    ["bos_token"] = fields["bos_token"]?.DeepClone() ?? "",
                    ["eos_token"] = fields["eos_token"]?.DeepClone()
                    ?? ""
                }.ToJsonString());
            return ChatTemplate.FromFolder(folder)!;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
