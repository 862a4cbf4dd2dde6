namespace Understory.Server.Chat;

/// <summary>
/// What a template takes of a conversation's shape, found out once, and what is made of conversations that do not have it: no text is lost
/// and none refused for its place.
/// </summary>
/// <param name="TakesSystem">A first turn may be the system's.</param>
/// <param name="TakesLaterSystem">Later turns may be too.</param>
/// <param name="Alternates">No two turns of one speaker may follow each other.</param>
/// <param name="SplitsCalls">A turn may call one tool only.</param>
internal sealed record ConversationShape(bool TakesSystem, bool TakesLaterSystem, bool Alternates, bool SplitsCalls)
{
    public static ConversationShape Any { get; } = new(true, true, false, false);

    public IReadOnlyList<ChatTurn> Fit(IReadOnlyList<ChatTurn> turns)
    {
        bool hasSystem = turns.Any(turn => turn.Role == "system");
        if (hasSystem && !(TakesSystem && (TakesLaterSystem || turns.Skip(1).All(turn => turn.Role != "system"))))
        {
            string system = Join(turns.Where(turn => turn.Role == "system").Select(turn => turn.Content));
            turns = [.. turns.Where(turn => turn.Role != "system")];
            turns = TakesSystem ? [new ChatTurn("system", system), .. turns] : BeforeUser(turns, system);
        }

        turns = SplitsCalls ? Split(turns) : turns;
        return Alternates ? Merge(turns) : turns;
    }

    /// <summary>Several calls of a turn as turns of their own, each with its result behind it.</summary>
    private static List<ChatTurn> Split(IReadOnlyList<ChatTurn> turns)
    {
        var split = new List<ChatTurn>();
        for (int i = 0; i < turns.Count; i++)
        {
            ChatTurn turn = turns[i];
            if (turn.ToolCalls.Count < 2)
            {
                split.Add(turn);
                continue;
            }

            List<ChatTurn> results = [.. turns.Skip(i + 1).TakeWhile(next => next.Role == "tool")];
            i += results.Count;
            foreach ((int at, ToolCall call) in turn.ToolCalls.Index())
            {
                split.Add(at == 0 ? turn with { ToolCalls = [call] } : new ChatTurn(turn.Role, "") { ToolCalls = [call] });
                split.AddRange(results.Where(result => result.ToolCallId == call.Id));
            }

            split.AddRange(results.Where(result => turn.ToolCalls.All(call => call.Id != result.ToolCallId)));
        }

        return split;
    }

    /// <summary>The system's text before that of the first user's turn.</summary>
    private static IReadOnlyList<ChatTurn> BeforeUser(IReadOnlyList<ChatTurn> turns, string system)
    {
        int at = turns.Index().FirstOrDefault(pair => pair.Item.Role == "user", (-1, null!)).Index;
        return at < 0 ? [new ChatTurn("user", system), .. turns]
            : [.. turns.Take(at), turns[at] with { Content = Join([system, turns[at].Content]) }, .. turns.Skip(at + 1)];
    }

    /// <summary>Neighbours of one role as one turn, but for results of tools, of which each has its call.</summary>
    private static List<ChatTurn> Merge(IReadOnlyList<ChatTurn> turns)
    {
        var merged = new List<ChatTurn>();
        foreach (ChatTurn turn in turns)
        {
            if (merged.Count > 0 && merged[^1].Role == turn.Role && turn.Role is "user" or "assistant" && merged[^1].ToolCalls.Count == 0)
            {
                merged[^1] = turn with
                {
                    Content = Join([merged[^1].Content, turn.Content]),
                    Reasoning = Join([merged[^1].Reasoning ?? "", turn.Reasoning ?? ""]) is { Length: > 0 } thoughts ? thoughts : null,
                };
            }
            else
            {
                merged.Add(turn);
            }
        }

        return merged;
    }

    private static string Join(IEnumerable<string> texts) => string.Join("\n\n", texts.Where(text => text.Length > 0));
}
