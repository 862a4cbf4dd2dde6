namespace Understory.Decoding.Sampling;

/// <summary>A request asks for what cannot be done; the message names the value and the remedy.</summary>
/// <param name="parameter">The field of the request, as the HTTP API names it.</param>
public sealed class InvalidRequestException(string parameter, string message) : ArgumentException(message)
{
    public string Parameter { get; } = parameter;
}
