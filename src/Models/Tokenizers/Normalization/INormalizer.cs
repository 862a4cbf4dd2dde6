using System.Globalization;
using System.Text;

namespace Understory.Models.Tokenizers.Normalization;

/// <summary>Rewrites text before it is cut into words.</summary>
internal interface INormalizer
{
    /// <summary>The normalised text; <paramref name="text"/> itself if nothing changes.</summary>
    string Normalize(string text);
}

/// <summary>One normalizer after the other.</summary>
internal sealed class NormalizerSequence(IReadOnlyList<INormalizer> steps) : INormalizer
{
    public string Normalize(string text)
    {
        foreach (INormalizer step in steps)
        {
            text = step.Normalize(text);
        }

        return text;
    }
}

/// <summary>A Unicode normalisation form.</summary>
internal sealed class UnicodeNormalizer(NormalizationForm form) : INormalizer
{
    public string Normalize(string text) => UnicodeNormalization.Normalize(text, form);
}

/// <summary>Lower case by code point, without regard to context.</summary>
internal sealed class LowercaseNormalizer : INormalizer
{
    // U+0130 is the one code point whose full lower case is longer than itself.
    public string Normalize(string text) =>
        CultureInfo.InvariantCulture.TextInfo.ToLower(text).Replace("\u0130", "i\u0307", StringComparison.Ordinal);
}

/// <summary>Puts a text in front of any that is not empty.</summary>
internal sealed class PrependNormalizer(string prefix) : INormalizer
{
    public string Normalize(string text) => text.Length == 0 ? text : prefix + text;
}

/// <summary>Replaces a fixed text.</summary>
internal sealed class ReplaceNormalizer(string pattern, string content) : INormalizer
{
    public string Normalize(string text) => text.Replace(pattern, content, StringComparison.Ordinal);
}

/// <summary>Replaces what a regular expression matches.</summary>
internal sealed class RegexReplaceNormalizer(PreTokenization.IMatcher matcher, string content) : INormalizer
{
    public string Normalize(string text)
    {
        var matches = new List<Range>();
        matcher.Find(text, matches);
        if (matches.Count == 0)
        {
            return text;
        }

        var result = new StringBuilder();
        int copied = 0;
        foreach (Range match in matches)
        {
            result.Append(text, copied, match.Start.Value - copied).Append(content);
            copied = match.End.Value;
        }

        return result.Append(text, copied, text.Length - copied).ToString();
    }
}

/// <summary>Removes white space at the ends.</summary>
internal sealed class StripNormalizer(bool left, bool right) : INormalizer
{
    public string Normalize(string text)
    {
        text = left ? text.TrimStart() : text;
        return right ? text.TrimEnd() : text;
    }
}
