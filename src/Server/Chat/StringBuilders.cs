using System.Text;

namespace Understory.Server.Chat;

internal static class StringBuilders
{
    /// <summary>All that is in it, which is then empty.</summary>
    public static string TakeAll(this StringBuilder builder)
    {
        string text = builder.ToString();
        builder.Clear();
        return text;
    }
}
