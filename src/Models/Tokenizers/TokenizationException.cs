namespace Understory.Models.Tokenizers;

/// <summary>A text that the model's tokenizer cannot take apart; the message says why.</summary>
public sealed class TokenizationException(string message, Exception? inner = null) : Exception(message, inner);
