using System.Text;

namespace Understory.Models.Tokenizers.Normalization;

internal static class UnicodeNormalization
{
    public static string Normalize(string text, NormalizationForm form) => text.Normalize(form);
}
