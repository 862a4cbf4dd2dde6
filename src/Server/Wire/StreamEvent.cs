namespace Understory.Server.Wire;

/// <summary>One server-sent event.</summary>
/// <param name="Body">What follows <c>data:</c>; null: how OpenAI's older endpoints end a stream, which is no JSON.</param>
/// <param name="Name">What follows <c>event:</c>; null: the event has no name, as on OpenAI's older endpoints.</param>
public readonly record struct StreamEvent(IJsonBody? Body, string? Name = null)
{
    /// <summary><c>[DONE]</c>.</summary>
    public static StreamEvent Done => default;
}
