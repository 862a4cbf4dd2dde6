using System.Text;
using System.Text.Json;
using Understory.Models.Tokenizers.Normalization;

namespace Understory.Models.Tests.Tokenizers.Normalization;

public class UnicodeNormalizationTests
{
    private static readonly NormalizationForm[] s_forms =
        [NormalizationForm.FormC, NormalizationForm.FormD, NormalizationForm.FormKC, NormalizationForm.FormKD];

    [Fact]
    public void All_forms_equal_those_of_an_independent_implementation()
    {
        string json = File.ReadAllText(Repository.Fixture("tokenizers/normalization.json"));
        string[][] cases = JsonSerializer.Deserialize<string[][]>(json)!;
        Assert.NotEmpty(cases);
        Assert.All(cases, texts =>
        {
            for (int form = 0; form < s_forms.Length; form++)
            {
                Assert.Equal(Escaped(texts[form + 1]), Escaped(UnicodeNormalization.Normalize(texts[0], s_forms[form])));
            }
        });
    }

    [Fact]
    public void Every_Hangul_syllable_falls_apart_and_comes_together_again()
    {
        string syllables = string.Concat(Enumerable.Range(0xAC00, 11172).Select(code => (char)code));
        string letters = UnicodeNormalization.Normalize(syllables, NormalizationForm.FormD);
        Assert.Equal("\u1112\u1161\u11AB", UnicodeNormalization.Normalize("\uD55C", NormalizationForm.FormD));
        Assert.DoesNotContain(letters, letter => letter >= 0xAC00);
        Assert.Equal(syllables, UnicodeNormalization.Normalize(letters, NormalizationForm.FormC));
    }

    [Fact]
    public void Normalised_text_is_the_same_object()
    {
        const string Text = "Größe, 大きさ, 한글, 🌱, שלום";
        Assert.Same(Text, UnicodeNormalization.Normalize(Text, NormalizationForm.FormC));
    }

    [Fact]
    public void Lone_surrogates_stay_where_they_are()
    {
        Assert.Equal("\uD800\u00E9\uDC00", UnicodeNormalization.Normalize("\uD800e\u0301\uDC00", NormalizationForm.FormC));
    }

    private static string Escaped(string text) => string.Join(' ', text.Select(unit => $"{(int)unit:X4}"));
}
