namespace Understory.Server.Chat;

/// <summary>Reads one call of a tool character by character.</summary>
public interface ICallReader
{
    /// <summary>Null until it is known.</summary>
    string? Name { get; }

    /// <summary>It is a call, and cannot be taken back.</summary>
    bool Begun { get; }

    /// <summary>It is complete.</summary>
    bool Done { get; }

    /// <returns>False: the character does not belong to the call, which ends broken before it.</returns>
    bool Feed(char c);

    /// <summary>Text of the arguments, a JSON object, that became certain since this was last asked.</summary>
    string TakeArguments();
}
