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

    /// <returns>False: no call goes on with this character, which is not part of it.</returns>
    bool Feed(char c);

    /// <summary>Text of the arguments, a JSON object, that became certain since this was last asked.</summary>
    string TakeArguments();
}
