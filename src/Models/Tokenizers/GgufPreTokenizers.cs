using Understory.Models.Tokenizers.PreTokenization;

namespace Understory.Models.Tokenizers;

/// <summary>What the name of a pre-tokenizer in a GGUF file stands for.</summary>
/// <param name="Words">Cuts a text into words.</param>
/// <param name="Nfc">The text is composed first.</param>
/// <param name="IgnoreMerges">A word that is a token is that token.</param>
/// <param name="AddBos">The text begins with the beginning token, unless the file says otherwise.</param>
internal sealed record GgufPreTokenizer(IPreTokenizer Words, bool Nfc = false, bool IgnoreMerges = false, bool AddBos = false);

/// <summary>
/// The names that llama.cpp's converter gives to pre-tokenizers (<c>tokenizer.ggml.pre</c>), each with the patterns of the models that it
/// was made for, which cut a text one after the other.
/// </summary>
internal static class GgufPreTokenizers
{
    private const string Contraction = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
    private const string Blanks = @"\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string Upper = @"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}";
    private const string Lower = @"\p{Ll}\p{Lm}\p{Lo}\p{M}";
    private const string Marks = @"[!""#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
        + @" ?[\p{P}\p{S}]+";

    /// <summary>Letters of scripts that have cases, as DeepSeek LLM's tokenizer lists them.</summary>
    private const string CasedLetters = "A-Za-z"
        + "\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293\u0295-\u02AF\u0370-\u0373\u0376\u0377"
        + "\u037B-\u037D\u037F\u0386\u0388-\u038A\u038C\u038E-\u03A1\u03A3-\u03F5\u03F7-\u0481\u048A-\u052F\u0531-\u0556"
        + "\u10A0-\u10C5\u13A0-\u13F5\u13F8-\u13FD\u1C90-\u1CBA\u1CBD-\u1CBF\u1D00-\u1D2B\u1D6B-\u1D77\u1D79-\u1D9A\u1E00-\u1F15"
        + "\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D\u1F50-\u1F57\u1F59\u1F5B\u1F5D\u1F5F-\u1F7D\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE"
        + "\u1FC2-\u1FC4\u1FC6-\u1FCC\u1FD0-\u1FD3\u1FD6-\u1FDB\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC\u2102\u2107\u210A-\u2113"
        + "\u2115\u2119-\u211D\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139\u213C-\u213F\u2145-\u2149\u214E\u2183\u2184"
        + "\u2C00-\u2C7B\u2C7E-\u2CE4\u2CEB-\u2CEE\u2CF2\u2CF3\uA640-\uA66D\uA680-\uA69B\uA722-\uA76F\uA771-\uA787\uA78B-\uA78E"
        + "\uAB70-\uABBF\uFB00-\uFB06\uFB13-\uFB17\uFF21-\uFF3A\uFF41-\uFF5A\U00010400-\U0001044F\U000104B0-\U000104D3"
        + "\U000104D8-\U000104FB\U00010C80-\U00010CB2\U00010CC0-\U00010CF2\U000118A0-\U000118DF\U0001E900-\U0001E943";

    private const string Cjk = "[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+";
    private const string HanAndKana = "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+";
    private const string BloomWords = " ?[^(\\s|.,!?\u2026\u3002\uFF0C\u3001\u0964\u06D4\u060C)]+";

    private static readonly Dictionary<string, Func<GgufPreTokenizer>> _all = All();

    /// <param name="name">Null: the file names none.</param>
    /// <exception cref="InvalidDataException">It is not known.</exception>
    public static GgufPreTokenizer Find(string? name) => _all.TryGetValue(name ?? "default", out Func<GgufPreTokenizer>? make)
        ? make()
        : throw new InvalidDataException($"tokenizer.ggml.pre: the pre-tokenizer {name} is not supported; "
            + $"{string.Join(", ", _all.Keys.Order(StringComparer.Ordinal))} are");

    private static Dictionary<string, Func<GgufPreTokenizer>> All()
    {
        var all = new Dictionary<string, Func<GgufPreTokenizer>>(StringComparer.Ordinal);
        IPreTokenizer gpt2 = new ScannerPreTokenizer(WordScanner.Gpt2);
        IPreTokenizer llama3 = new ScannerPreTokenizer(WordScanner.Llama3);
        IPreTokenizer qwen2 = new ScannerPreTokenizer(WordScanner.Qwen2);
        string others = @" ?[^\s\p{L}\p{N}]+[\r\n/]*|" + Blanks;
        Add(() => new(gpt2), "gpt-2", "gpt2", "phi-2", "olmo", "mpt", "jais", "trillion", "granite-docling", "jina-es", "jina-de",
            "jina-v2-es", "jina-v2-de", "gigachat", "a.x-4.0", "mellum", "modern-bert", "exaone4");
        Add(() => new(llama3, IgnoreMerges: true, AddBos: true), "llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral",
            "midm-2.0", "lfm2", "jina-v5-nano");
        Add(() => new(llama3, IgnoreMerges: true), "dbrx", "smaug-bpe");
        Add(() => new(llama3), "glm4", "chatglm-bpe");
        Add(() => new(qwen2, Nfc: true), "qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez");
        Add(() => new(qwen2), "hunyuan", "solar-open", "stablelm2", "grok-2");
        Add(() => new(Steps(Contraction + @"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" + Blanks), Nfc: true),
            "qwen35");
        Add(() => new(new PreTokenizerSequence([Digits(), gpt2])), "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone",
            "minerva-7b", "mellum2");
        Add(() => new(new PreTokenizerSequence([Isolate(@"[\p{P}\$\+<=>\^~\|]+"), gpt2, Isolate(@"\p{N}+"), Isolate("[0-9][0-9][0-9]")])),
            "default");
        Add(() => new(new PreTokenizerSequence([Isolate(@"[\p{P}\$\+<=>\^~\|`]+"), gpt2, Isolate("[0-9][0-9][0-9]")])), "falcon");
        Add(() => new(Steps(Cased("") + @"\p{N}|" + others), IgnoreMerges: true, AddBos: true), "tekken");
        Add(() => new(Steps(Cased(Contraction + "?") + @"\p{N}{1,3}|" + others)), "gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2");
        Add(() => new(Steps(@"\d{1,3}(?=(?:\d{3})*\b)", Cased(Contraction + "?") + @"\p{N}{1,3}|" + others)), "tiny_aya", "cohere2moe");
        Add(() => new(Steps(@"[\r\n]", @"\s?[" + CasedLetters + "]+",
            "\\s?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002]+", @"\s+$", Cjk,
            @"\p{N}+")), "deepseek-llm");
        Add(() => new(Steps(@"[\r\n]", @"\s?\p{L}+", @"\s?\p{P}+", Cjk, @"\p{N}")), "deepseek-coder");
        Add(() => new(Steps(@"\p{N}{1,3}", HanAndKana, Marks + @"[\r\n]*|" + Blanks)), "deepseek-v3", "hunyuan-dense", "joyai-llm",
            "hy_v4");
        Add(() => new(Steps(@"\p{N}{1,3}", Contraction + @"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|" + Blanks),
            IgnoreMerges: true), "minicpm5");
        Add(() => new(Steps(BloomWords)), "bloom", "poro-chat", "gpt3-finnish");
        Add(() => new(Steps(BloomWords, @"\p{N}")), "viking");
        Add(() => new(Steps(Contraction + @"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+")),
            "bailingmoe", "bailingmoe2", "llada-moe");
        Add(() => new(Steps(Contraction + @"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|" + Blanks)), "seed-coder");
        Add(() => new(Steps(@"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + Blanks)), "ufakzeka");
        Add(() => new(Steps(Contraction + @"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|"
            + @"\s*[\r\n]|\s+(?!\S)|\s+")), "exaone-moe");
        Add(() => new(new PreTokenizerSequence([Isolate("\n+"), qwen2])), "laguna");
        return all;

        void Add(Func<GgufPreTokenizer> make, params ReadOnlySpan<string> names)
        {
            foreach (string name in names)
            {
                all.Add(name, make);
            }
        }
    }

    /// <summary>Words whose capitals come first, and what may follow them.</summary>
    private static string Cased(string behind) => $@"[^\r\n\p{{L}}\p{{N}}]?[{Upper}]*[{Lower}]+{behind}|"
        + $@"[^\r\n\p{{L}}\p{{N}}]?[{Upper}]+[{Lower}]*{behind}|";

    private static PreTokenizerSequence Steps(params string[] patterns) => new([.. patterns.Select(Isolate)]);

    private static SplitPreTokenizer Digits() => new(new KindMatcher(CodePointKind.Number), SplitBehavior.Isolated, invert: false);

    private static SplitPreTokenizer Isolate(string pattern) => new(new RegexMatcher(pattern), SplitBehavior.Isolated, invert: false);
}
