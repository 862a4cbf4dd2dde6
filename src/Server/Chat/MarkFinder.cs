using System.Buffers;
using System.Text;

namespace Understory.Server.Chat;

/// <summary>What a mark in a text is.</summary>
internal enum Meaning
{
    /// <summary>No part of the text, and nothing else.</summary>
    Nothing,
    Calls,

    /// <summary>Calls whose mark is missing: it is their beginning itself.</summary>
    BareCalls,
    CallsEnd,
    ThoughtsEnd,
    MessageEnd,
    TurnEnd,
}

/// <summary>A text that stands for something else than itself.</summary>
internal readonly record struct Mark(string Text, Meaning Meaning);

/// <summary>Finds marks in a text that comes piece by piece; what may yet become one is held, with the blanks before it.</summary>
internal sealed class MarkFinder
{
    private const string Blanks = " \t\r\n";

    private readonly Mark[] _marks;
    private readonly SearchValues<char> _beginnings;

    public MarkFinder(IEnumerable<Mark> marks)
    {
        _marks = [.. marks];
        _beginnings = SearchValues.Create([.. Blanks, .. _marks.Select(mark => mark.Text[0])]);
    }

    /// <summary>There is nothing to find.</summary>
    public bool IsEmpty => _marks.Length == 0;

    /// <summary>Characters at the beginning of a text that are no part of a mark, where nothing is held.</summary>
    public int PlainLength(ReadOnlySpan<char> text) =>
        IsEmpty ? text.Length : text.IndexOfAny(_beginnings) is >= 0 and int at ? at : text.Length;

    /// <summary>Takes a character; gives what is certain to be text.</summary>
    /// <param name="held">Keeps what is not certain; where a mark is complete, the blanks before it and the mark.</param>
    /// <returns>What the mark means that is complete; null: none is.</returns>
    public Meaning? Feed(char c, StringBuilder held, Action<string> give)
    {
        held.Append(c);
        string text = held.ToString();
        int certain = 0;
        Mark? found = null;
        while (certain < text.Length && !MayBe(text.AsSpan(certain), out found))
        {
            certain++;
        }

        if (certain > 0)
        {
            give(text[..certain]);
            held.Remove(0, certain);
        }

        return found?.Meaning;
    }

    /// <summary>Blanks, and then a beginning of a mark, perhaps all of it.</summary>
    private bool MayBe(ReadOnlySpan<char> text, out Mark? found)
    {
        found = null;
        ReadOnlySpan<char> word = text.TrimStart(Blanks);
        bool may = false;
        foreach (Mark mark in _marks)
        {
            if (mark.Text.AsSpan().StartsWith(word, StringComparison.Ordinal))
            {
                may = true;
                found ??= word.Length == mark.Text.Length ? mark : null;
            }
        }

        return may;
    }
}
