using System.Text.Json;
using System.Text.RegularExpressions;
using Understory.Models.Tokenizers;
using Understory.Training.Curriculum;
using Understory.Training.Texts;

namespace Understory.Training.Tests.Curriculum;

public partial class CurriculumTests
{
    private static readonly CurriculumSource _source = new();

    [Fact]
    public void The_same_seed_gives_the_same_texts_and_another_seed_others()
    {
        Assert.Equal(_source.Texts(1).Take(500), _source.Texts(1).Take(500));
        Assert.NotEqual(_source.Texts(1).Take(500), _source.Texts(2).Take(500));
    }

    [Fact]
    public void Texts_hardly_repeat()
    {
        string[] texts = [.. _source.Texts(5).Take(10_000)];
        Assert.True(texts.Distinct().Count() > 8_500, $"{texts.Distinct().Count()} of 10,000 are distinct");
    }

    [Fact]
    public void Functions_and_conversations_are_about_half_each()
    {
        int conversations = _source.Texts(7).Take(4000).Count(text => text.StartsWith("<|", StringComparison.Ordinal));
        Assert.InRange(conversations, 1800, 2200);
    }

    [Fact]
    public void All_functions_and_all_topics_come_up()
    {
        string all = string.Concat(_source.Texts(8).Take(20_000));
        Assert.All(FunctionTemplate.All, template =>
            Assert.Contains(template.Names, name => all.Contains($"def {name}(", StringComparison.Ordinal)));
        Assert.All(Topic.All, topic =>
            Assert.Contains(topic.Answers, answer => all.Contains(answer.Split('{', '`')[0], StringComparison.Ordinal)));
    }

    [Fact]
    public void Conversations_have_two_to_six_messages_that_take_turns()
    {
        var counts = new HashSet<int>();
        foreach (string text in _source.Texts(9).Where(text => text.StartsWith("<|", StringComparison.Ordinal)).Take(2000))
        {
            string[] roles = [.. Roles().Matches(text).Select(match => match.Groups[1].Value).SkipWhile(role => role == "system")];
            Assert.Equal(Enumerable.Range(0, roles.Length).Select(i => i % 2 == 0 ? "user" : "assistant"), roles);
            Assert.EndsWith(ChatMarks.End, text);
            counts.Add(roles.Length);
        }

        Assert.Equal([2, 4, 6], counts.Order());
    }

    [Fact]
    public void Held_out_prompts_never_occur_in_a_training_text()
    {
        string[] prompts =
        [
            .. CurriculumSource.HeldOutFunctions().Select(function => function.Prompt),
            .. CurriculumSource.HeldOutQuestions().Select(question => question.Prompt),
        ];
        Assert.Equal(2 * CurriculumSource.HeldOutPrompts, prompts.Distinct().Count());
        foreach (string text in _source.Texts(10).Take(20_000))
        {
            Assert.DoesNotContain(prompts, prompt => text.Contains(prompt, StringComparison.Ordinal));
        }
    }

    /// <summary>By combination only: a prompt that held something never seen would be a trick question.</summary>
    [Fact]
    public void What_held_out_functions_are_made_of_occurs_in_training_texts()
    {
        string all = string.Concat(_source.Texts(11).Take(20_000));
        Assert.All(CurriculumSource.HeldOutFunctions(), function =>
            Assert.Contains($"def {function.Name}(", all, StringComparison.Ordinal));
    }

    [Fact]
    public void Held_out_questions_are_of_many_kinds()
    {
        string[] kinds = [.. CurriculumSource.HeldOutQuestions().Select(question => question.Kind).Distinct()];
        Assert.True(kinds.Length >= 10, string.Join(", ", kinds));
        Assert.Contains("sum", kinds);
        Assert.Contains("function", kinds);
        Assert.Contains("anything else", kinds);
    }

    [Fact]
    public void Every_answer_of_a_topic_has_the_words_that_it_must()
    {
        var random = new SeededRandom(12);
        foreach (Topic topic in Topic.All)
        {
            Assert.NotEmpty(topic.Musts);
            for (int i = 0; i < 50; i++)
            {
                string answer = topic.Answer(random);
                Assert.True(Examination.HasWords(answer, topic.Musts), $"{topic.Name}: {answer}");
            }
        }
    }

    [Fact]
    public void Sums_are_right()
    {
        var random = new SeededRandom(13);
        for (int i = 0; i < 2000; i++)
        {
            Exchange sum = Sums.Draw(random);
            Match parts = Sum().Match(sum.Answer);
            int a = int.Parse(parts.Groups[1].Value);
            int b = int.Parse(parts.Groups[3].Value);
            int right = parts.Groups[2].Value switch { "+" => a + b, "-" => a - b, _ => a * b };
            Assert.Equal(right, int.Parse(parts.Groups[4].Value));
            Assert.Contains(a.ToString(), sum.Question);
            Assert.Contains(b.ToString(), sum.Question);
            Assert.True(Examination.HasWords(sum.Answer, sum.Musts));
        }
    }

    [Fact]
    public void The_chat_template_writes_what_the_curriculum_writes()
    {
        Message[] messages = [new("system", "Be brief."), new("user", "Hi"), new("assistant", "Hello!"), new("user", "  2 + 2\n")];
        var template = ChatTemplate.Parse(ChatMarks.Template);
        Assert.Equal(ChatMarks.Prompt(messages), Render(generate: true));
        Assert.Equal(ChatMarks.Write(messages), Render(generate: false));

        string Render(bool generate) => template.Render(new Dictionary<string, object?>
        {
            ["messages"] = ChatTemplate.FromJson(JsonSerializer.SerializeToElement(
                messages.Select(message => new { role = message.Role, content = message.Content }))),
            ["add_generation_prompt"] = generate,
        });
    }

    [GeneratedRegex(@"<\|(system|user|assistant)\|>")]
    private static partial Regex Roles();

    [GeneratedRegex(@"^(\d+) ([-+*]) (\d+) = (\d+)")]
    private static partial Regex Sum();
}
