namespace Understory.Server.OpenAi;

/// <summary>One server-sent event.</summary>
/// <param name="Body">What follows <c>data:</c>, as JSON.</param>
/// <param name="Name">What follows <c>event:</c>; null: the event has no name, as on OpenAI's older endpoints.</param>
public readonly record struct StreamEvent(object Body, string? Name = null)
{
    /// <summary>How OpenAI's older endpoints end a stream; not JSON.</summary>
    public static StreamEvent Done { get; } = new("[DONE]");
}
