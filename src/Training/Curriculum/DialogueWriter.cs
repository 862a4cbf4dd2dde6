using Understory.Training.Texts;

namespace Understory.Training.Curriculum;

/// <summary>Writes conversations of two to six messages.</summary>
internal static class DialogueWriter
{
    private static readonly string[] _systems =
    [
        "You are a helpful assistant.", "You are a helpful assistant", "You are a helpful coding assistant.", "You write Python.",
        "Answer briefly.", "You are Understory's demo.", "You are a friendly assistant that answers in short sentences.",
        "You are an expert programmer.", "Be concise.",
    ];

    /// <summary>A conversation to train on, as <see cref="ChatMarks"/> writes it: none of its questions is held out.</summary>
    public static string Write(SeededRandom random)
    {
        var messages = new List<Message>();
        if (random.Percent(25))
        {
            messages.Add(new Message("system", random.Of(_systems)));
        }

        int exchanges = random.Below(100) switch { < 55 => 1, < 85 => 2, _ => 3 };
        WrittenFunction? written = null;
        for (int turn = 0; turn < exchanges; turn++)
        {
            bool isLast = turn > 0 && turn == exchanges - 1;
            Exchange exchange = Draw(() => Next(turn, isLast, written, random));
            written = exchange.Function;
            messages.Add(new Message("user", exchange.Question));
            messages.Add(new Message("assistant", exchange.Answer));
        }

        return ChatMarks.Write(messages);
    }

    /// <summary>A held-out question of its own.</summary>
    public static Exchange WriteHeldOut(SeededRandom random)
    {
        Exchange exchange;
        do
        {
            exchange = First(random);
        }
        while (!HoldOut.Holds(exchange.Prompt) || exchange.Function is { Template.IsShort: false });
        return exchange;
    }

    /// <summary>Draws until it is not held out.</summary>
    private static Exchange Draw(Func<Exchange> draw)
    {
        Exchange exchange;
        do
        {
            exchange = draw();
        }
        while (HoldOut.Holds(exchange.Prompt));
        return exchange;
    }

    private static Exchange Next(int turn, bool isLast, WrittenFunction? written, SeededRandom random) =>
        turn == 0 ? First(random)
        : isLast && random.Percent(25) ? About(Topic.Named(random.Pick("thanks", "thanks", "goodbye")), random)
        : written is not null && random.Percent(60) ? Requests.FollowUp(written, random)
        : First(random);

    private static Exchange First(SeededRandom random) => random.Below(100) switch
    {
        < 35 => Requests.Draw(random),
        < 50 => Sums.Draw(random),
        < 65 => About(Topic.Named("anything else"), random),
        _ => About(random.Of(Topic.All), random),
    };

    private static Exchange About(Topic topic, SeededRandom random)
    {
        string question = topic.Ask(random);
        question = random.Percent(50) ? Phrase.Capital(question) : question;
        question = random.Percent(15) ? question.TrimEnd('?', '.', '!') : question;
        string opener = random.Percent(15) ? random.Pick("Hi, ", "Hello, ", "Please: ", "Hey, ", "So ", "And ", "A question: ") : "";
        return new Exchange(topic.Name, opener + question, topic.Answer(random), topic.Musts);
    }
}
