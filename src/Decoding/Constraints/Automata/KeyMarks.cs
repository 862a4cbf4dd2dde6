namespace Understory.Decoding.Constraints.Automata;

/// <summary>What a byte means for the keys of objects, which must differ: a grammar alone cannot remember what was written.</summary>
[Flags]
internal enum KeyMarks : byte
{
    None = 0,

    /// <summary>An object begins: no key has been written in it.</summary>
    Opens = 1,

    /// <summary>The innermost object ends.</summary>
    Closes = 2,

    /// <summary>A byte of a key.</summary>
    Key = 4,

    /// <summary>The byte behind a key.</summary>
    KeyEnds = 8,
}
