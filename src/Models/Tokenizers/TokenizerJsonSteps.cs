using System.Text;
using Understory.Models.Tokenizers.Normalization;
using Understory.Models.Tokenizers.PreTokenization;

namespace Understory.Models.Tokenizers;

/// <summary>
/// Reads the steps around the model of a tokenizer.json: normalizer, pre-tokenizer, post-processor, decoder. Each has a
/// <c>type</c>; one that is not known is refused by name.
/// </summary>
internal static class TokenizerJsonSteps
{
    public static INormalizer? Normalizer(JsonField field)
    {
        if (field.IsNull)
        {
            return null;
        }

        switch (Type(field))
        {
            case "Sequence":
                return new NormalizerSequence([.. field["normalizers"].Items().Select(item => Normalizer(item) ?? throw Missing(item))]);
            case "NFC":
                return new UnicodeNormalizer(NormalizationForm.FormC);
            case "NFD":
                return new UnicodeNormalizer(NormalizationForm.FormD);
            case "NFKC":
                return new UnicodeNormalizer(NormalizationForm.FormKC);
            case "NFKD":
                return new UnicodeNormalizer(NormalizationForm.FormKD);
            case "Lowercase":
                return new LowercaseNormalizer();
            case "Prepend":
                return new PrependNormalizer(field["prepend"].Text());
            case "Strip":
                return new StripNormalizer(field["strip_left"].Flag(true), field["strip_right"].Flag(true));
            case "Replace":
                string content = field["content"].Text();
                return Literal(field["pattern"]) is string literal
                    ? new ReplaceNormalizer(literal, content)
                    : new RegexReplaceNormalizer(Pattern(field["pattern"]), content);
            default:
                throw Unsupported(field, "normalizer");
        }
    }

    /// <summary>
    /// Whether the model's symbols are the bytes of the words that a pre-tokenizer cuts: its last step, and no other, is ByteLevel. An
    /// earlier one writes the bytes out as letters, which the steps behind it see.
    /// </summary>
    public static bool IsByteLevel(JsonField field) => Steps(field).ToArray() is [.. var before, var last]
        && Type(last) == "ByteLevel" && !before.Any(step => Type(step) == "ByteLevel");

    /// <param name="writesBytes">ByteLevel steps write the bytes out: see <see cref="IsByteLevel"/>.</param>
    public static IPreTokenizer? PreTokenizer(JsonField field, bool writesBytes)
    {
        if (field.IsNull)
        {
            return null;
        }

        switch (Type(field))
        {
            case "Sequence":
                return new PreTokenizerSequence(
                    [.. field["pretokenizers"].Items().Select(item => PreTokenizer(item, writesBytes) ?? throw Missing(item))]);
            case "ByteLevel":
                return new ByteLevelPreTokenizer(
                    field["add_prefix_space"].Flag(true), field["use_regex"].Flag(true), writesBytes);
            case "Metaspace":
                return new MetaspacePreTokenizer(field["replacement"].Letter('\u2581'), Scheme(field), field["split"].Flag(true));
            case "Split":
                return Split(field);
            case "Digits":
                bool individual = field["individual_digits"].Flag(false);
                return new SplitPreTokenizer(
                    new KindMatcher(CodePointKind.Number), individual ? SplitBehavior.Isolated : SplitBehavior.Contiguous, invert: false);
            case "Punctuation":
                return new SplitPreTokenizer(
                    new KindMatcher(CodePointKind.Punctuation), Behavior(field["behavior"], SplitBehavior.Isolated), invert: false);
            case "Whitespace":
                return new SplitPreTokenizer(new WordMatcher(), SplitBehavior.Removed, invert: true);
            case "WhitespaceSplit":
                return new SplitPreTokenizer(new KindMatcher(CodePointKind.Space), SplitBehavior.Removed, invert: false);
            default:
                throw Unsupported(field, "pre-tokenizer");
        }
    }

    private static IEnumerable<JsonField> Steps(JsonField field) => field.IsNull ? []
        : Type(field) == "Sequence" ? field["pretokenizers"].Items().SelectMany(Steps) : [field];

    /// <summary>Adds what a post-processor puts around a single text.</summary>
    public static TokenizerParts PostProcess(JsonField field, TokenizerParts parts)
    {
        if (field.IsNull)
        {
            return parts;
        }

        switch (Type(field))
        {
            case "ByteLevel":
                return parts; // moves offsets only
            case "Sequence":
                return field["processors"].Items().Aggregate(parts, (before, item) => PostProcess(item, before));
            case "TemplateProcessing":
                return Template(field, parts);
            default:
                throw Unsupported(field, "post-processor");
        }
    }

    public static DecoderOptions Decoder(JsonField field)
    {
        if (field.IsNull)
        {
            return DecoderOptions.Joining;
        }

        var options = new DecoderOptions([], ByteLevel: false, ByteFallback: false, DependsOnFirst: false);
        bool isFused = false;
        IEnumerable<JsonField> steps = Type(field) == "Sequence" ? field["decoders"].Items() : [field];
        foreach (JsonField step in steps)
        {
            options = Add(options, step, ref isFused);
        }

        return options;
    }

    private static DecoderOptions Add(DecoderOptions options, JsonField step, ref bool isFused)
    {
        string type = Type(step);
        if (isFused && type is not ("Fuse" or "Strip"))
        {
            throw step.Fail($"the decoder {type} is not supported where tokens are one text already");
        }

        switch (type)
        {
            case "Fuse":
                isFused = true;
                return options;
            case "ByteLevel":
                isFused = true;
                return options with { ByteLevel = true };
            case "ByteFallback":
                return options with { ByteFallback = true };
            case "Replace":
                string pattern = Literal(step["pattern"]) ?? throw step.Fail("a decoder replaces fixed texts only");
                string content = step["content"].Text();
                return With(options, (token, _) => token.Replace(pattern, content, StringComparison.Ordinal));
            case "Metaspace":
                char letter = step["replacement"].Letter('\u2581');
                string atFirst = Scheme(step) == PrependScheme.Never ? " " : "";
                return With(options, (token, first) =>
                    token.Replace(letter.ToString(), first ? atFirst : " ", StringComparison.Ordinal)) with
                {
                    DependsOnFirst = options.DependsOnFirst || atFirst.Length == 0,
                };
            case "Strip":
                char stripped = step["content"].Letter(' ');
                int start = Count(step["start"]);
                int stop = Count(step["stop"]);
                if (!isFused)
                {
                    return With(options, (token, _) => StripToken(token, stripped, start, stop));
                }

                bool isOnlyOne = options.StripCount == 0 && stop == 0;
                return isOnlyOne
                    ? options with
                    {
                        Strip = stripped,
                        StripCount = start
                    } : throw step.Fail("a whole text is stripped once, at its start");
            default:
                throw Unsupported(step, "decoder");
        }
    }

    private static DecoderOptions With(DecoderOptions options, TokenStep step) => options with { Steps = [.. options.Steps, step] };

    private static string StripToken(string token, char stripped, int start, int stop)
    {
        int first = 0;
        while (first < start && first < token.Length && token[first] == stripped)
        {
            first++;
        }

        int end = token.Length;
        while (token.Length - end < stop && end > first && token[end - 1] == stripped)
        {
            end--;
        }

        return token[first..end];
    }

    private static int Count(JsonField field)
    {
        int count = field.IsNull ? 0 : field.Int();
        return count >= 0 ? count : throw field.Fail("expected a count");
    }

    private static IPreTokenizer Split(JsonField field)
    {
        SplitBehavior behavior = Behavior(field["behavior"], otherwise: null);
        bool invert = field["invert"].Flag(false);
        if (Literal(field["pattern"]) is string literal)
        {
            return new SplitPreTokenizer(new LiteralMatcher(literal), behavior, invert);
        }

        // Known patterns match everything, so that cutting out matches and dropping all else is the same as isolating them.
        bool keepsMatches = (behavior, invert) is (SplitBehavior.Isolated, false) or (SplitBehavior.Removed, true);
        return keepsMatches && WordScanner.ForPattern(field["pattern"]["Regex"].Text()) is WordScanner scanner
            ? new ScannerPreTokenizer(scanner)
            : new SplitPreTokenizer(Pattern(field["pattern"]), behavior, invert);
    }

    /// <summary>A pattern that is a fixed text, not empty; null if it is a regular expression.</summary>
    private static string? Literal(JsonField pattern)
    {
        string? literal = pattern["String"].TextOrNull();
        return literal?.Length == 0 ? throw pattern.Fail("empty") : literal;
    }

    private static RegexMatcher Pattern(JsonField pattern)
    {
        JsonField regex = pattern["Regex"];
        try
        {
            return new RegexMatcher(regex.Text());
        }
        catch (ArgumentException e)
        {
            throw regex.Fail($"this regular expression is not supported: {e.Message}");
        }
    }

    private static TokenizerParts Template(JsonField field, TokenizerParts parts)
    {
        var before = new List<int>();
        var after = new List<int>();
        bool isAfter = false;
        foreach (JsonField item in field["single"].Items())
        {
            if (!item["Sequence"].IsNull)
            {
                if (isAfter || item["Sequence"]["id"].TextOrNull() is not (null or "A"))
                {
                    throw item.Fail("a single text stands once in its template, as A");
                }

                isAfter = true;
                continue;
            }

            string name = item["SpecialToken"]["id"].Text();
            foreach (JsonField id in field["special_tokens"][name]["ids"].Items())
            {
                (isAfter ? after : before).Add(parts.Vocabulary.Contains(id.Int()) ? id.Int() : throw id.Fail("no such token"));
            }
        }

        if (!isAfter)
        {
            throw field["single"].Fail("the text itself is missing");
        }

        return parts with
        {
            Prefix = [.. before, .. parts.Prefix],
            Suffix = [.. parts.Suffix, .. after],
            BosId = before.Count > 0 ? before[0] : parts.BosId,
            EosId = after.Count > 0 ? after[^1] : parts.EosId,
        };
    }

    private static PrependScheme Scheme(JsonField field)
    {
        JsonField scheme = field["prepend_scheme"];
        return scheme.TextOrNull() switch
        {
            "always" => PrependScheme.Always,
            "first" => PrependScheme.First,
            "never" => PrependScheme.Never,
            null => field["add_prefix_space"].Flag(true) ? PrependScheme.Always : PrependScheme.Never,
            _ => throw scheme.Fail("expected always, first or never"),
        };
    }

    private static SplitBehavior Behavior(JsonField field, SplitBehavior? otherwise) => field.TextOrNull() switch
    {
        "Isolated" => SplitBehavior.Isolated,
        "Removed" => SplitBehavior.Removed,
        "MergedWithPrevious" => SplitBehavior.MergedWithPrevious,
        "MergedWithNext" => SplitBehavior.MergedWithNext,
        "Contiguous" => SplitBehavior.Contiguous,
        null => otherwise ?? throw Missing(field),
        string name => throw field.Fail($"{name} is not known"),
    };

    private static string Type(JsonField field) => field["type"].Text();

    private static InvalidDataException Missing(JsonField field) => field.Fail("missing");

    private static InvalidDataException Unsupported(JsonField field, string what) =>
        field["type"].Fail($"the {what} {Type(field)} is not supported");
}
