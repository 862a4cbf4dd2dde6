using System.Text;
using System.Text.Json;
using Understory.Server.Wire;
using static Understory.Server.Wire.Parameter;

namespace Understory.Server.OpenAi;

/// <summary>
/// Reads the content of turns, whatever API they come by: a text, or parts. Of pictures and sounds, which no model here sees or hears, a
/// note stands in their place in tools' results and earlier turns; in the last of the user's turns they are refused.
/// </summary>
public sealed class ContentParts
{
    /// <summary>What a part is called that is not text, by its type.</summary>
    private static readonly Dictionary<string, string> Unseen = new()
    {
        ["image_url"] = "picture",
        ["image"] = "picture",
        ["input_image"] = "picture",
        ["computer_screenshot"] = "picture",
        ["input_audio"] = "sound",
        ["audio_url"] = "sound",
        ["audio"] = "sound",
        ["video_url"] = "film",
        ["video"] = "film",
        ["file"] = "file",
        ["input_file"] = "file",
        ["document"] = "document",
    };

    /// <summary>The first of the user's last turn that cannot be seen.</summary>
    private (string Name, string Type)? _asked;

    /// <summary>A text, or texts in parts.</summary>
    internal static Shape Texts { get; } = Shape.Either(
        Shape.Text(),
        Shape.List(Shape.Tagged("type", "{\"type\": \"text\", \"text\": …}", null, (["text"], [Honoured("text", Shape.Text(),
            required: true)]))))
        .Called("a string or an array of {\"type\": \"text\", \"text\": …} parts");

    /// <param name="fewest">Parts that there must be.</param>
    internal static Shape OfChat(int fewest) => Parts(fewest, "text",
        (["text"], [Honoured("text", Shape.Text(), required: true)]),
        (["refusal"], [Honoured("refusal", Shape.Text(), required: true)]),
        (["image_url", "image", "input_audio", "audio_url", "video_url", "file"], []));

    internal static Shape OfResponses(int fewest) => Parts(fewest, "input_text",
        (["input_text", "output_text", "text", "summary_text", "reasoning_text"], [Honoured("text", Shape.Text(), required: true)]),
        (["refusal"], [Honoured("refusal", Shape.Text(), required: true)]),
        (["input_image", "input_file", "input_audio", "computer_screenshot"], []));

    /// <summary>The text of a content that a table has checked.</summary>
    /// <param name="name">Its place in the request.</param>
    /// <param name="role">Whose turn it is; a turn of the user begins here.</param>
    public string Read(JsonElement content, string name, string role)
    {
        if (role == "user")
        {
            BeginUser();
        }

        if (content.ValueKind == JsonValueKind.String)
        {
            return content.GetString()!;
        }

        var text = new StringBuilder();
        int index = 0;
        foreach (JsonElement part in content.EnumerateArray())
        {
            text.Append(ReadPart(part, $"{name}[{index++}]", role));
        }

        return text.ToString();
    }

    /// <summary>From here on the user speaks anew: what stood before is an earlier turn.</summary>
    public void BeginUser() => _asked = null;

    /// <summary>What stands in the place of something that cannot be seen.</summary>
    public string Note(string type, string name, string role)
    {
        if (role == "user")
        {
            _asked ??= (name, type);
        }

        return $"[A {Unseen.GetValueOrDefault(type, "part")} that this model cannot see]";
    }

    /// <exception cref="ApiException">400: the user's last turn has a part that the model cannot see.</exception>
    public void CheckLast()
    {
        if (_asked is var (name, type))
        {
            throw ApiException.Invalid(name, $"{name} is of type \"{type}\", which this model cannot see; this server reads text only.",
                Fault.Unsupported);
        }
    }

    /// <summary>The texts of parts that are nothing else.</summary>
    public static string ReadTexts(JsonElement content) => content.ValueKind == JsonValueKind.String
        ? content.GetString()!
        : string.Concat(content.EnumerateArray().Select(part => part.GetProperty("text").GetString()));

    private string ReadPart(JsonElement part, string name, string role)
    {
        string type = part.GetProperty("type").GetString()!;
        return Unseen.ContainsKey(type) ? Note(type, name, role)
            : part.GetProperty(type == "refusal" ? type : "text").GetString()!;
    }

    private static Shape Parts(int fewest, string text, params (string[] Tags, Parameter[] Members)[] cases) => Shape.Either(
        Shape.Text(), Shape.List(Shape.Tagged("type", $"{{\"type\": \"{text}\", \"text\": …}}", null, cases), fewest)).Called(
            $"a string or an array of {{\"type\": \"{text}\", \"text\": …}} parts{(fewest > 0 ? ", at least one" : "")}");
}
