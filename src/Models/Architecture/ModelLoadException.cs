namespace Understory.Models.Architecture;

/// <summary>A model cannot be loaded; the message is one line that names the thing and, where there is one, the remedy.</summary>
public sealed class ModelLoadException : Exception
{
    public ModelLoadException(string message)
        : base(message)
    {
    }

    public ModelLoadException(string message, Exception cause)
        : base(message, cause)
    {
    }

    public ModelLoadException()
    {
    }
}
