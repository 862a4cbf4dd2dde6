namespace Understory.Server.Hub;

/// <summary>A model that cannot be had, and what to do about it, in one line.</summary>
public sealed class HubException(string message, Exception? inner = null) : Exception(message, inner);
