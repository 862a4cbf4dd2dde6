namespace Understory.Training;

/// <summary>Training cannot go on, and its user can do something about it: the message is one line that names the remedy.</summary>
public sealed class TrainingException(string message, Exception? inner = null) : Exception(message, inner);
