using System.Globalization;
using Understory.Training.Texts;

namespace Understory.Training.Curriculum;

/// <summary>Small sums.</summary>
internal static class Sums
{
    public static Exchange Draw(SeededRandom random) => random.Percent(25) ? Story(random) : Plain(random);

    private static Exchange Plain(SeededRandom random)
    {
        (int a, char sign, int b, int result) = Terms(random);
        string word = sign switch
        {
            '+' => "plus",
            '-' => "minus",
            _ => "times",
        };
        string written = random.Pick($"{a} {sign} {b}", $"{a} {sign} {b}", $"{a}{sign}{b}", $"{a} {word} {b}");
        string question = random.Pick("What is {0}?", "what is {0}", "How much is {0}?", "{0}", "{0} =", "Calculate {0}.",
            "{0}?", "compute {0}", "Can you tell me what {0} is?", "Please calculate {0}.", "what's {0}?", "Tell me {0}.",
            "Do you know what {0} is?");
        return Answered(string.Format(CultureInfo.InvariantCulture, question, written), $"{a} {sign} {b} = {result}.", result);
    }

    private static Exchange Story(SeededRandom random)
    {
        (int a, char sign, int b, int result) = Terms(random);
        string thing = random.Pick("apples", "books", "coins", "eggs", "cards", "pens", "stones", "tickets");
        string question = sign switch
        {
            '+' => random.Pick(
                $"I have {a} {thing} and get {b} more. How many {thing} do I have?", $"How many are {a} {thing} and {b} {thing}?"),
            '-' => random.Pick(
                $"I have {a} {thing} and give {b} away. How many {thing} are left?", $"How many {thing} are left if I take {b} from {a}?"),
            _ => random.Pick(
                $"How many {thing} are in {a} boxes of {b} {thing} each?", $"I buy {b} {thing} {a} times. How many {thing} do I have?"),
        };
        return Answered(question, $"{a} {sign} {b} = {result}, so {result} {thing}.", result);
    }

    private static (int A, char Sign, int B, int Result) Terms(SeededRandom random)
    {
        int a = random.Between(1, 20);
        int b = random.Between(1, 20);
        return random.Below(5) switch
        {
            < 2 => (a, '+', b, a + b),
            < 4 => (Math.Max(a, b), '-', Math.Min(a, b), Math.Abs(a - b)),
            _ => (a % 10 + 1, '*', b % 10 + 1, (a % 10 + 1) * (b % 10 + 1)),
        };
    }

    private static Exchange Answered(string question, string answer, int result) =>
        new("sum", question, answer, [string.Create(CultureInfo.InvariantCulture, $"= {result}")]);
}
