using System.Text.RegularExpressions;

namespace Understory.Server.Hub;

/// <summary>A model on a hub: <c>OWNER/NAME[@REVISION][:FILE]</c>, where FILE may also be a quantisation.</summary>
/// <param name="Repository">"OWNER/NAME".</param>
/// <param name="Revision">A branch, a tag or a commit.</param>
/// <param name="File">One GGUF file of the repository, or the quantisation of one: <c>Q4_K_M</c>. Null: what the repository is.</param>
public sealed partial record HubReference(string Repository, string Revision, string? File)
{
    public const string DefaultRevision = "main";

    /// <summary>For people.</summary>
    public override string ToString() =>
        Repository + (Revision == DefaultRevision ? "" : "@" + Revision) + (File is null ? "" : ":" + File);

    /// <summary>False: the text cannot name a model on a hub.</summary>
    public static bool TryParse(string text, out HubReference reference)
    {
        Match match = Pattern().Match(text);
        reference = new HubReference(
            match.Groups["repository"].Value,
            match.Groups["revision"] is { Success: true, Value: var revision } ? revision : DefaultRevision,
            match.Groups["file"] is { Success: true, Value: var file } ? file : null);
        return match.Success && !text.Contains("..", StringComparison.Ordinal) && !text.Contains("//", StringComparison.Ordinal);
    }

    [GeneratedRegex(
        "^(?<repository>[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95})"
        + "(@(?<revision>[A-Za-z0-9][A-Za-z0-9._/-]{0,199}))?(:(?<file>[A-Za-z0-9._][A-Za-z0-9._/ -]{0,199}))?$")]
    private static partial Regex Pattern();
}
