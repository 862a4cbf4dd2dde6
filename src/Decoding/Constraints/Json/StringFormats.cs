namespace Understory.Decoding.Constraints.Json;

/// <summary>Formats of JSON Schema as regular expressions: narrower than the standards where those allow what nobody writes.</summary>
internal static class StringFormats
{
    private const string Date =
        "([0-9]{4}-(((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01]))|((0[469]|11)-(0[1-9]|[12][0-9]|30))|(02-(0[1-9]|1[0-9]|2[0-8])))"
        + "|([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)";

    private const string Time = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])";
    private const string Label = "[a-zA-Z0-9]([a-zA-Z0-9-]{0,30}[a-zA-Z0-9])?";
    private const string Host = Label + "(\\." + Label + "){0,4}";
    private const string Byte = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";

    /// <summary>By name.</summary>
    public static IReadOnlyDictionary<string, Grammar> All { get; } = new Dictionary<string, string>
    {
        ["date"] = Date,
        ["time"] = Time,
        ["date-time"] = Date + "T" + Time,
        ["duration"] = "P([0-9]{1,6}W|[0-9]{1,6}D(T[0-9]{1,6}H([0-9]{1,6}M)?)?|[0-9]{1,6}Y([0-9]{1,6}M)?([0-9]{1,6}D)?|"
            + "T[0-9]{1,6}(H([0-9]{1,6}M)?([0-9]{1,6}S)?|M([0-9]{1,6}S)?|S))",
        ["email"] = "[a-zA-Z0-9_+-]{1,30}(\\.[a-zA-Z0-9_+-]{1,20}){0,2}@(" + Label + "\\.){1,4}[a-zA-Z]{2,20}",
        ["hostname"] = Host,
        ["ipv4"] = Byte + "(\\." + Byte + "){3}",
        ["ipv6"] = Ipv6(),
        ["uuid"] = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
        ["uri"] = "https?://" + Host + "(:[1-9][0-9]{0,3})?(/[a-zA-Z0-9._~-]*)*(\\?[a-zA-Z0-9._~=&-]*)?(#[a-zA-Z0-9._~-]*)?",
    }.ToDictionary(entry => entry.Key, entry => Grammar.Regex(entry.Value));

    /// <summary>Eight groups, or fewer with one <c>::</c> for the two or more that are zero (RFC 4291, section 2.2).</summary>
    private static string Ipv6()
    {
        const string Group = "[0-9a-fA-F]{1,4}";
        var forms = new List<string> { $"{Group}(:{Group}){{7}}" };
        for (int before = 0; before <= 6; before++)
        {
            string head = before == 0 ? "" : $"{Group}(:{Group}){{{before - 1}}}";
            string tail = before == 6 ? "" : $"({Group}(:{Group}){{0,{5 - before}}})?";
            forms.Add($"{head}::{tail}");
        }

        return string.Join('|', forms);
    }
}
