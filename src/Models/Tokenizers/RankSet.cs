using System.Numerics;

namespace Understory.Models.Tokenizers;

/// <summary>A set of small integers that tells its least one quickly: bits, and for each 64 of them a bit above.</summary>
/// <param name="limit">Members are less than this.</param>
internal sealed class RankSet(int limit)
{
    private readonly ulong[] _bits = new ulong[(limit >> 6) + 1];
    private readonly ulong[] _words = new ulong[(limit >> 12) + 1];
    private readonly ulong[] _blocks = new ulong[(limit >> 18) + 1];

    /// <summary>The least member; -1 if there is none.</summary>
    public int Least
    {
        get
        {
            for (int block = 0; block < _blocks.Length; block++)
            {
                if (_blocks[block] != 0)
                {
                    int word = (block << 6) + BitOperations.TrailingZeroCount(_blocks[block]);
                    int bits = (word << 6) + BitOperations.TrailingZeroCount(_words[word]);
                    return (bits << 6) + BitOperations.TrailingZeroCount(_bits[bits]);
                }
            }

            return -1;
        }
    }

    public void Add(int member)
    {
        _bits[member >> 6] |= 1UL << member;
        _words[member >> 12] |= 1UL << (member >> 6);
        _blocks[member >> 18] |= 1UL << (member >> 12);
    }

    public void Remove(int member)
    {
        _bits[member >> 6] &= ~(1UL << member);
        if (_bits[member >> 6] == 0)
        {
            _words[member >> 12] &= ~(1UL << (member >> 6));
            if (_words[member >> 12] == 0)
            {
                _blocks[member >> 18] &= ~(1UL << (member >> 12));
            }
        }
    }
}
