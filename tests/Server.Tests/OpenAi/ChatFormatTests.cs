using Understory.Models.Tokenizers;
using Understory.Server.Hosting;
using Understory.Server.OpenAi;

namespace Understory.Server.Tests.OpenAi;

public sealed class ChatFormatTests
{
    private const string ChatMl =
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
        + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}{% if enable_thinking is defined %}{{ 'think' }}{% endif %}";

    private static readonly Tokenizer Demo = Tokenizer.Load(Path.Combine(DemoBundle.Target, "tokenizer.json"));
    private static readonly Dictionary<string, object?> None = [];
    private static readonly ChatTurn[] Conversation = [new("system", "Be brief."), new("user", "Hi"), new("assistant", "Hello."), new("user", "Bye")];

    [Fact]
    public void Without_a_template_a_chat_is_a_plain_dialogue()
    {
        var format = new ChatFormat(Demo, null);
        Assert.Equal("Be brief.\n\nuser: Hi\nassistant: Hello.\nuser: Bye\nassistant:", Demo.Decode(format.Encode(Conversation, None)));
        Assert.Equal(["\nuser:"], format.Stops);
    }

    [Fact]
    public void The_models_own_template_is_rendered_and_asks_for_an_answer()
    {
        var format = new ChatFormat(Demo, ChatTemplate.Parse(ChatMl));
        const string Expected =
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n"
            + "<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n";
        Assert.Equal(Expected, Demo.Decode(format.Encode(Conversation, None)));
        Assert.Equal(Expected + "think", Demo.Decode(format.Encode(Conversation, new Dictionary<string, object?> { ["enable_thinking"] = false })));
        Assert.Empty(format.Stops);
    }

    [Fact]
    public void A_conversation_that_the_template_refuses_is_the_clients_fault()
    {
        var format = new ChatFormat(Demo, ChatTemplate.Parse("{{ raise_exception('Roles must alternate') }}"));
        var refusal = Assert.Throws<ApiException>(() => format.Encode(Conversation, None));
        Assert.Equal(400, refusal.Status);
        Assert.Contains("Roles must alternate", refusal.Message);
    }

    [Fact]
    public void A_template_that_cannot_be_used_refuses_chats_and_says_why()
    {
        var refusal = Assert.Throws<ApiException>(() => new ChatFormat(Demo, null, "line 3: unknown tag").Encode(Conversation, None));
        Assert.Equal(400, refusal.Status);
        Assert.Contains("line 3", refusal.Message);
        Assert.Contains("/v1/completions", refusal.Message);
    }
}
