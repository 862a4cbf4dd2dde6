using System.Globalization;
using System.Text;

namespace Understory.Models.Tokenizers.Templates;

/// <summary>C's <c>strftime</c>, in English.</summary>
internal static class TimeText
{
    public static string Format(DateTimeOffset time, string format)
    {
        var text = new StringBuilder();
        for (int i = 0; i < format.Length; i++)
        {
            if (format[i] != '%' || i + 1 == format.Length)
            {
                text.Append(format[i]);
                continue;
            }

            bool isBare = format[i + 1] == '-' && i + 2 < format.Length; // %-d: without leading zeros
            char field = format[i += isBare ? 2 : 1];
            string value = Field(time, field);
            value = isBare ? value.TrimStart('0', ' ') : value;
            text.Append(isBare && value.Length == 0 ? "0" : value);
        }

        return text.ToString();
    }

    private static string Field(DateTimeOffset time, char field) => field switch
    {
        'd' => Text(time, "dd"),
        'e' => $"{time.Day,2}",
        'm' => Text(time, "MM"),
        'b' or 'h' => Text(time, "MMM"),
        'B' => Text(time, "MMMM"),
        'y' => Text(time, "yy"),
        'Y' => Text(time, "yyyy"),
        'a' => Text(time, "ddd"),
        'A' => Text(time, "dddd"),
        'H' => Text(time, "HH"),
        'I' => Text(time, "hh"),
        'M' => Text(time, "mm"),
        'S' => Text(time, "ss"),
        'f' => Text(time, "ffffff"),
        'p' => Text(time, "tt"),
        'j' => $"{time.DayOfYear:000}",
        'u' => $"{(time.DayOfWeek == DayOfWeek.Sunday ? 7 : (int)time.DayOfWeek)}",
        'w' => $"{(int)time.DayOfWeek}",
        'F' => Text(time, "yyyy-MM-dd"),
        'T' or 'X' => Text(time, "HH:mm:ss"),
        'R' => Text(time, "HH:mm"),
        'D' or 'x' => Text(time, "MM/dd/yy"),
        'c' => $"{Text(time, "ddd MMM")} {time.Day,2} {Text(time, "HH:mm:ss yyyy")}",
        's' => $"{time.ToUnixTimeSeconds()}",
        'z' => "",
        'Z' => "",
        'n' => "\n",
        't' => "\t",
        '%' => "%",
        _ => throw new ChatTemplateException($"strftime_now does not know %{field}."),
    };

    private static string Text(DateTimeOffset time, string format) => time.ToString(format, CultureInfo.InvariantCulture);
}
