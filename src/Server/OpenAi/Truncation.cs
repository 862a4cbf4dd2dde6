using Understory.Server.Chat;
using Understory.Server.Wire;

namespace Understory.Server.OpenAi;

/// <summary><c>"truncation": "auto"</c>: the oldest turns of a conversation that does not fit are left out.</summary>
public static class Truncation
{
    /// <summary>Prepares as much of the conversation as fits: system turns, and all turns from one of the user's on.</summary>
    /// <exception cref="ApiException">400: not even the last of the user's turns fits.</exception>
    public static PreparedChat Prepare(Conversation conversation, Func<Conversation, PreparedChat> prepare)
    {
        IReadOnlyList<ChatTurn> turns = conversation.Turns;
        int[] starts = [.. Enumerable.Range(0, turns.Count).Where(i => turns[i].Role == "user")];
        if (starts.Length < 2)
        {
            return prepare(conversation);
        }

        // The longest that fits, found by halving: each try costs a whole tokenization.
        PreparedChat? best = null;
        int fits = starts.Length;
        int tooLong = -1;
        for (int i = 0; fits - tooLong > 1; i = (fits + tooLong) / 2)
        {
            try
            {
                best = prepare(i == 0 ? conversation : From(starts[i]));
                fits = i;
            }
            catch (ApiException e) when (e.Code == "context_length_exceeded" && i < starts.Length - 1)
            {
                tooLong = i;
            }
        }

        return best!;

        Conversation From(int start) => conversation with { Turns = [.. turns.Where((turn, i) => i >= start || turn.Role == "system")] };
    }
}
