using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Understory.Models.Tokenizers;

/// <summary>
/// The encodings of recent short words: direct-mapped, of fixed size, without allocation after construction. A word that
/// falls on another's place replaces it.
/// </summary>
internal sealed class WordCache
{
    /// <summary>Words of more UTF-16 units are not kept.</summary>
    public const int MaxChars = 16;

    private const int MaxIds = 6;
    private const int Bits = 13;

    private readonly Slot[] _slots = new Slot[1 << Bits];

    /// <summary>Finds the encoding of <paramref name="word"/>, of at most <see cref="MaxChars"/> units and not empty.</summary>
    public bool TryGet(ReadOnlySpan<char> word, out ReadOnlySpan<int> ids)
    {
        Vector256<ushort> key = Load(word);
        ref Slot slot = ref _slots[Place(key, word.Length)];
        if (slot.Length == word.Length && slot.Key == key)
        {
            ids = MemoryMarshal.CreateReadOnlySpan(ref slot.Ids[0], slot.Count);
            return true;
        }

        ids = default;
        return false;
    }

    public void Set(ReadOnlySpan<char> word, ReadOnlySpan<int> ids)
    {
        if (ids.Length > MaxIds)
        {
            return;
        }

        Vector256<ushort> key = Load(word);
        ref Slot slot = ref _slots[Place(key, word.Length)];
        slot.Key = key;
        slot.Length = (ushort)word.Length;
        slot.Count = (ushort)ids.Length;
        ids.CopyTo(MemoryMarshal.CreateSpan(ref slot.Ids[0], MaxIds));
    }

    [SkipLocalsInit]
    private static Vector256<ushort> Load(ReadOnlySpan<char> word)
    {
        Span<ushort> padded = stackalloc ushort[MaxChars];
        padded.Clear();
        MemoryMarshal.Cast<char, ushort>(word).CopyTo(padded);
        return Vector256.Create<ushort>(padded);
    }

    private static int Place(Vector256<ushort> key, int length)
    {
        Vector256<ulong> parts = key.AsUInt64();
        ulong hash = (parts[0] * 0x9E3779B97F4A7C15UL) ^ (parts[1] * 0xC2B2AE3D27D4EB4FUL);
        hash = (hash ^ (hash >> 29) ^ (ulong)length) + (parts[2] * 0x165667B19E3779F9UL) + (parts[3] * 0x27D4EB2F165667C5UL);
        return (int)((hash * 0x9E3779B97F4A7C15UL) >> (64 - Bits));
    }

    private struct Slot
    {
        public Vector256<ushort> Key;
        public ushort Length;
        public ushort Count;
        public IdList Ids;
    }

    [InlineArray(MaxIds)]
    private struct IdList
    {
        [SuppressMessage("Style", "IDE0044", Justification = "An inline array's element.")]
        private int _first;
    }
}
