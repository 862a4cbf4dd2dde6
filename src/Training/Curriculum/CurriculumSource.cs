using Understory.Training.Texts;

namespace Understory.Training.Curriculum;

/// <summary>The curriculum: functions and conversations about half each, without end and, practically, without repetition.</summary>
internal sealed class CurriculumSource : ITextSource
{
    /// <summary>Prompts of each kind in the examination.</summary>
    public const int HeldOutPrompts = 40;

    /// <summary>Of the texts that are measured on, and of the examination: none is trained on, whatever the seed.</summary>
    private const ulong HeldOutSeed = 0x5EED;

    public string Name => "curriculum";

    public IEnumerable<string> Texts(int seed)
    {
        var random = new SeededRandom((ulong)seed);
        while (true)
        {
            yield return random.Percent(50)
                ? FunctionWriter.Write(random.Of(FunctionTemplate.All), random).Text
                : DialogueWriter.Write(random);
        }
    }

    /// <summary>Held-out functions and questions with their answers.</summary>
    public IEnumerable<string> HeldOut()
    {
        foreach (WrittenFunction function in HeldOutFunctions())
        {
            yield return function.Text;
        }

        foreach (Exchange exchange in HeldOutQuestions())
        {
            yield return exchange.Prompt + exchange.Answer + ChatMarks.End;
        }
    }

    /// <summary>Functions of different kinds that end within 128 tokens; only their prompts are given to the model.</summary>
    public static IReadOnlyList<WrittenFunction> HeldOutFunctions()
    {
        var random = new SeededRandom(HeldOutSeed);
        List<FunctionTemplate> left = [.. FunctionTemplate.All.Where(template => template.IsShort)];
        var functions = new List<WrittenFunction>();
        while (functions.Count < HeldOutPrompts)
        {
            FunctionTemplate template = random.Of(left);
            left.Remove(template);
            functions.Add(FunctionWriter.WriteHeldOut(template, random));
        }

        return functions;
    }

    /// <summary>Different questions with the words that their answers must have.</summary>
    public static IReadOnlyList<Exchange> HeldOutQuestions()
    {
        var random = new SeededRandom(HeldOutSeed + 1);
        var questions = new Dictionary<string, Exchange>();
        while (questions.Count < HeldOutPrompts)
        {
            Exchange exchange = DialogueWriter.WriteHeldOut(random);
            questions.TryAdd(exchange.Question, exchange);
        }

        return [.. questions.Values];
    }
}
