using Understory.Training.Corpus;
using Understory.Training.Texts;

namespace Understory.Training.Tests.Corpus;

public class FunctionExtractorTests
{
    private const string Source = """"
        import os

        @decorated(by="something")
        def first(a, b=(1, 2)):
            """Add what is in the brackets ( to a.

            Over more than one line.
            """
            total = a

            for x in b:
                total += x  # not the end
            return total


        def undocumented(x):
            return x + 1, "this one has no docstring and is left out of the texts"


        class Thing(object):
            """A thing."""

            def method(self, name):
                '''Say the name of the thing, and do so once more.'''
                return {
          "name": name,
                }

            def other(self):
                """Say something else that is long enough to be taken as an example."""
                if self:
                    return "else"
                return None

            def __init__(self):
                """Makes a thing; methods of this kind are everywhere and teach little."""
                self.name = "thing of a name"

        def only_documented(x):
            """There is nothing behind the docstring of this function, so it teaches nothing."""


        def last(x):
            """The last one ends with the file, and its end has no line break at all."""
            return x
        """";

    [Fact]
    public void Documented_functions_and_methods_are_taken_whole_and_moved_to_the_margin()
    {
        string[] found = [.. FunctionExtractor.Functions(Source)];
        Assert.Equal(["first", "other", "last"], found.Select(text => text[4..text.IndexOf('(')]));
        Assert.StartsWith("def first(a, b=(1, 2)):\n    \"\"\"Add what", found[0]);
        Assert.EndsWith("        total += x  # not the end\n    return total\n", found[0]);
        Assert.EndsWith("        return \"else\"\n    return None\n", found[1]);
        Assert.All(found, text => Assert.Null(PythonReader.Fault(text)));
    }

    [Fact]
    public void Line_breaks_of_Windows_change_nothing() =>
        Assert.Equal(FunctionExtractor.Functions(Source), FunctionExtractor.Functions(Source.ReplaceLineEndings("\r\n")));

    [Fact]
    public void A_file_that_cannot_be_read_gives_nothing() =>
        Assert.Empty(FunctionExtractor.Functions(Source + "\nbroken = (1, 2\n"));

    [Fact]
    public void Functions_that_are_too_long_are_left_out()
    {
        string body = string.Concat(Enumerable.Range(0, 200).Select(i => $"    x{i} = {i}\n"));
        Assert.Empty(FunctionExtractor.Functions($"def f(x):\n    \"\"\"Do much.\"\"\"\n{body}"));
    }
}
