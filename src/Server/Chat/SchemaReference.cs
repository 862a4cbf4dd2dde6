using System.Globalization;
using System.Text.Json;

namespace Understory.Server.Chat;

/// <summary>References within a JSON schema (<c>#/$defs/name</c>, RFC 6901).</summary>
internal static class SchemaReference
{
    /// <summary>What a reference points to; null: nothing within the schema.</summary>
    public static JsonElement? Find(JsonElement root, string reference)
    {
        string path = reference.StartsWith('#') ? reference[1..] : reference;
        JsonElement at = root;
        foreach (string step in path.Split('/').Skip(1))
        {
            string name = Uri.UnescapeDataString(step).Replace("~1", "/", StringComparison.Ordinal)
                .Replace("~0", "~", StringComparison.Ordinal);
            if (at.ValueKind == JsonValueKind.Object && at.TryGetProperty(name, out JsonElement member))
            {
                at = member;
            }
            else if (at.ValueKind == JsonValueKind.Array
                && int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out int index) && index < at.GetArrayLength())
            {
                at = at[index];
            }
            else
            {
                return null;
            }
        }

        return path.Length == 0 || path.StartsWith('/') ? at : null;
    }
}
