namespace Understory.Server.Hosting;

/// <summary>What people are told of the model that runs: its name, size and abilities; for the demo, where to get a real one.</summary>
public static class ModelIntroduction
{
    /// <summary>What sort of model the bundle's is.</summary>
    public const string Demo =
        "A small model of Python code that comes with the program: it shows how the server works, not what a model can do.";

    /// <summary>One line: "name: 2.77 million parameters, context of 1,024 tokens; completes text".</summary>
    public static string Line(ServedModel model) => FormattableString.Invariant(
        $"{model.Id}: {Quantity.Count(model.Parameters)} parameters, context of {model.Context:N0} tokens; {Abilities(model)}");

    /// <summary>The line, and for the demo what it is and which models would run here.</summary>
    /// <param name="memory">Bytes that this machine has.</param>
    public static IEnumerable<string> Lines(ServedModel model, long memory)
    {
        yield return Line(model);
        if (!model.Demo)
        {
            yield break;
        }

        yield return Demo;
        IReadOnlyList<SuggestedModel> suggested = SuggestedModel.For(memory);
        if (suggested.Count == 0)
        {
            yield break;
        }

        yield return $"Real ones that fit the {Quantity.Bytes(memory)} of memory here; serve one by --model once it is pulled:";
        foreach (SuggestedModel one in suggested)
        {
            yield return $"  {one.Command}   ({Quantity.Count(one.Parameters)} parameters, {Quantity.Bytes(one.Bytes)} to fetch, "
                + $"{Quantity.Bytes(one.MemoryBytes)} of memory)";
        }
    }

    private static string Abilities(ServedModel model)
    {
        var can = model.Abilities.Where(ability => ability != Ability.Completion).Select(ability => ability switch
        {
            Ability.Chat => "chats",
            Ability.Tools => "calls tools",
            Ability.Thinking => "thinks before it answers",
            _ => "fills in the middle",
        }).ToList();
        return model.Abilities.Contains(Ability.Chat) ? string.Join(", ", can)
            : string.Join(", ", can.Prepend("completes text")) + " (a base model: it has no chat template)";
    }
}

/// <summary>Something that a model can do.</summary>
public enum Ability
{
    Completion,
    Chat,
    Tools,
    Thinking,
    Infill,
}
