namespace Understory.Server.Hosting;

/// <summary>The caller asked for something that cannot be: one line for stderr, exit code 2.</summary>
public sealed class UsageException(string message) : Exception(message);

/// <summary>The machine or the files do not allow what was asked: one line for stderr, exit code 1.</summary>
public sealed class StartupException(string message, Exception? inner = null) : Exception(message, inner);
