using System.Text.Json;
using Understory.Training.Curriculum;
using Understory.Training.Texts;

namespace Understory.Training.Tests.Curriculum;

public class FunctionTests
{
    private const string RunAll = """
        import json, sys
        faults = []
        for name, text, checks in json.load(sys.stdin):
            space = {}
            try:
                exec(text, space)
                for arguments, value in checks:
                    found = eval(f"{name}({arguments})", space)
                    if found != eval(value):
                        faults.append(f"{name}({arguments}) is {found}, not {value}:\n{text}")
            except Exception as error:
                faults.append(f"{error!r}:\n{text}")
        json.dump(faults, sys.stdout)
        """;

    [PythonFact]
    public void Every_function_of_the_curriculum_runs_and_is_right_in_each_of_its_bodies()
    {
        var random = new SeededRandom(1);
        var calls = new List<object[]>();
        foreach (FunctionTemplate template in FunctionTemplate.All)
        {
            foreach (string body in template.Bodies)
            {
                // Each body in several dresses, since names may clash.
                FunctionTemplate one = template with { Bodies = [body] };
                for (int i = 0; i < 6; i++)
                {
                    WrittenFunction written = FunctionWriter.Write(one, random);
                    calls.Add([written.Name, written.Text, template.Examples.Select(check => new[] { check.Arguments, check.Value })]);
                }
            }
        }

        string? faults = PythonCheck.Run(RunAll, JsonSerializer.Serialize(calls));
        Assert.NotNull(faults);
        Assert.Empty(JsonSerializer.Deserialize<string[]>(faults)!);
    }

    [PythonFact]
    public void The_own_reader_agrees_with_Python_on_the_curriculum_and_on_what_is_cut_off()
    {
        var random = new SeededRandom(2);
        List<string> texts = [];
        for (int i = 0; i < 400; i++)
        {
            texts.Add(FunctionWriter.Write(random.Of(FunctionTemplate.All), random).Text);
        }

        Assert.All(PythonCheck.Faults(texts), Assert.Null);
        Assert.All(texts.Select(PythonReader.Fault), Assert.Null);
    }

    [Fact]
    public void There_are_150_functions_and_none_is_there_twice()
    {
        Assert.True(FunctionTemplate.All.Count >= 150);
        string[] names = [.. FunctionTemplate.All.SelectMany(template => template.Names)];
        Assert.Empty(names.GroupBy(name => name).Where(group => group.Count() > 1).Select(group => group.Key));
    }

    [Fact]
    public void Every_template_has_names_descriptions_examples_and_bodies()
    {
        Assert.All(FunctionTemplate.All, template =>
        {
            Assert.True(template.Names.Count >= 2, template.Name);
            Assert.True(template.Bodies.Count >= 2, template.Name);
            Assert.True(template.Examples.Count >= 2, template.Name);
            Assert.Contains(template.Descriptions, description => !description.Contains('$'));
        });
    }

    /// <summary>So that "Return" fits before it, or it is an order by itself.</summary>
    [Fact]
    public void Every_description_is_a_noun_a_question_or_an_order()
    {
        string[] nouns = ["the", "a", "all", "how", "every", "only", "those", "whether", "at", "1", "Fibonacci", "key", "each"];
        Assert.All(FunctionTemplate.All.SelectMany(template => template.Descriptions), description => Assert.True(
            description.StartsWith('$') || nouns.Contains(description.Split(' ')[0]) || Phrase.IsOrder(description), description));
    }

    [Fact]
    public void Functions_are_varied()
    {
        var random = new SeededRandom(3);
        List<string> texts = [];
        for (int i = 0; i < 5000; i++)
        {
            texts.Add(FunctionWriter.Write(random.Of(FunctionTemplate.All), random).Text);
        }

        Assert.True(texts.Distinct().Count() > 4800, $"{texts.Distinct().Count()} of 5,000 are distinct");
    }

    [Fact]
    public void No_two_things_in_a_function_have_the_same_name()
    {
        FunctionTemplate template = FunctionTemplate.Parse(
            "f\na:int=x,y b:int=x,y -> int\n- the sum\n~ 1, 2 => 3\n|\n$x = $a\nreturn $x + $b");
        var random = new SeededRandom(4);
        for (int i = 0; i < 200; i++)
        {
            string text = FunctionWriter.Write(template, random).Text;
            string[] names = text[(text.IndexOf('(') + 1)..text.IndexOf(')')].Split(", ");
            Assert.NotEqual(names[0].Split(':')[0], names[1].Split(':')[0]);
        }
    }

    [Theory]
    [InlineData("f\nno signature")]
    [InlineData("f\na:int -> int\nneither")]
    public void A_broken_template_is_refused_by_name(string text) =>
        Assert.StartsWith("f: ", Assert.Throws<InvalidDataException>(() => FunctionTemplate.Parse(text)).Message);
}
