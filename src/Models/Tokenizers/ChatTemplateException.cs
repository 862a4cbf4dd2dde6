namespace Understory.Models.Tokenizers;

/// <summary>A chat template refused its input (<c>raise_exception</c>) or could not be rendered with it.</summary>
public sealed class ChatTemplateException : Exception
{
    public ChatTemplateException()
    {
    }

    public ChatTemplateException(string message)
        : base(message)
    {
    }

    public ChatTemplateException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
