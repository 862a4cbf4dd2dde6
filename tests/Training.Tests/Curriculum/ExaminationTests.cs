using Understory.Training.Curriculum;
using Understory.Training.Texts;

namespace Understory.Training.Tests.Curriculum;

public class ExaminationTests
{
    [Fact]
    public void Who_knows_the_answers_passes_with_full_marks()
    {
        Dictionary<string, string> answers = CurriculumSource.HeldOutFunctions()
            .Select(function => (function.Prompt, Answer: function.Body))
            .Concat(CurriculumSource.HeldOutQuestions().Select(question => (question.Prompt, question.Answer)))
            .ToDictionary();
        Marks marks = Examination.Hold(prompt => new Reply(answers[prompt], Ended: true));
        Assert.Equal(new Marks(40, 40, 0), marks);
        Assert.True(marks.Passed);
    }

    [Fact]
    public void Who_does_not_end_or_repeats_himself_fails()
    {
        Marks marks = Examination.Hold(_ => new Reply("    x = 1\n    x = 1\n    x = 1\n", Ended: false));
        Assert.Equal(new Marks(0, 0, 80), marks);
        Assert.False(marks.Passed);
    }

    [Fact]
    public void Who_says_nothing_fails_though_a_docstring_alone_is_a_function() =>
        Assert.Equal(new Marks(0, 0, 0), Examination.Hold(_ => new Reply("\n", Ended: true)));

    [Theory]
    [InlineData("5 + 3 = 8.", "= 8", true)]
    [InlineData("5 + 3 = 80", "= 8", false)]
    [InlineData("Use --model PATH.", "--model", true)]
    [InlineData("Understory's DEMO", "demo", true)]
    [InlineData("democracy", "demo", false)]
    [InlineData("Goodbye!", "goodbye/bye", true)]
    [InlineData("at http://127.0.0.1:8080.", "http://127.0.0.1:8080", true)]
    [InlineData("at http://127.0.0.1", "http://127.0.0.1:8080", false)]
    public void A_word_must_be_there_as_a_whole(string answer, string must, bool has) =>
        Assert.Equal(has, Examination.HasWords(answer, [must]));

    [Theory]
    [InlineData("a\na\na", true)]
    [InlineData("a\na\nb\na", false)]
    [InlineData("a\n\n\n\nb", false)]
    public void A_line_three_times_running_is_seen(string text, bool repeats) => Assert.Equal(repeats, Examination.Repeats(text));

    [Theory]
    [InlineData("def f(x):\n    return x\n", true)]
    [InlineData("def f(x):\n    \"\"\"A (bracket.\"\"\"\n    return [\n        x,\n    ]\n", true)]
    [InlineData("def f(x):\n    # a comment: with (brackets\n    return {'a': 1}\n", true)]
    [InlineData("def f(x):\n    if x:\n        return 1\n    else:\n        return 2\n", true)]
    [InlineData("def f(x):\n    return (x\n", false)]
    [InlineData("def f(x):\n    return x)\n", false)]
    [InlineData("def f(x):\nreturn x\n", false)]
    [InlineData("def f(x):\n    if x:\n", false)]
    [InlineData("def f(x):\n    if x\n        return x\n", false)]
    [InlineData("def f(x):\n    y = 'open\n    return y\n", false)]
    [InlineData("def f(x):\n    y = x +\n    return y\n", false)]
    [InlineData("def f(x):\n    return x\n   y = 1\n", false)]
    public void The_own_check_of_Python_sees_what_is_cut_off(string text, bool isPython)
    {
        Assert.Equal(isPython, PythonReader.Fault(text) is null);
        if (PythonCheck.IsThere)
        {
            Assert.Equal(isPython, PythonCheck.Faults([text])[0] is null);
        }
    }
}
