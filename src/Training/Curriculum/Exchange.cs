namespace Understory.Training.Curriculum;

/// <summary>A question with an answer.</summary>
/// <param name="Kind">Of what kind it is: a topic's name, <c>sum</c> or <c>function</c>.</param>
/// <param name="Musts">Words that a right answer has; <c>a/b</c>: one of the two.</param>
/// <param name="Function">What was written, where it is a function.</param>
internal sealed record Exchange(string Kind, string Question, string Answer, IReadOnlyList<string> Musts, WrittenFunction? Function = null)
{
    /// <summary>The prompt that asks nothing but this; it says whether the question is held out.</summary>
    public string Prompt => ChatMarks.Prompt(new Message("user", Question));
}
