using System.Text;
using Understory.Training.Corpus;

namespace Understory.Training.Tests.Corpus;

public class CopyrightTests
{
    private const string Format = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: x\n\n";

    [Theory]
    [InlineData("Files: *\nCopyright: x\nLicense: MIT\n", null)]
    [InlineData("Files: *\nLicense: BSD-3-clause\n\nFiles: debian/*\nLicense: GPL-2+\n", null)]
    [InlineData("Files: *\nLicense: Expat\n Permission is hereby granted\n\nLicense: GPL-2\n text\n", null)]
    [InlineData("Files: *\nLicense: GPL-2 or Apache-2.0\n", null)]
    [InlineData("Files: *\nLicense: Apache-2.0 and PSF-2\n", null)]
    [InlineData("Files: *\nLicense: Apache-2.0 and GPL-2\n", "Apache-2.0 and GPL-2")]
    [InlineData("Files: *\nLicense: LGPL-2.1+\n", "LGPL-2.1+")]
    [InlineData("Files: *\nLicense: BSD-3-clause\n\nFiles: a/b.py\n c/d.py\nLicense: GPL-3+\n", "GPL-3+")]
    [InlineData("Files: *\nLicense: MIT\n\nFiles: docs/*\n x/tests/data/a.html\n *.js\nLicense: CC-BY-SA-3.0\n", null)]
    [InlineData("Files: *\nLicense: MIT\n\nFiles: x/*\nLicense: CC-BY-SA-3.0\n", "CC-BY-SA-3.0")]
    [InlineData("Files: *\nCopyright: x\n", "no licence is named")]
    public void Only_permissive_licences_are_taken(string paragraphs, string? objection) =>
        Assert.Equal(objection, Copyright.Parse(Format + paragraphs)!.Objection);

    [Fact]
    public void A_copyright_file_in_prose_is_not_guessed_at() => Assert.Null(Copyright.Parse("This package is under the MIT licence.\n"));

    [Theory]
    [InlineData("def find_it(a):\n    return a\n", true)]
    [InlineData("def other(a):\n    return a\n", false)]
    [InlineData("def other(a):\n    # one two three four five six seven eight\n    return a\n", true)]
    [InlineData("def other(a):\n    # one two three four five six seven\n    return a\n", false)]
    [InlineData("def single(a):\n    return a\n", false)]
    public void What_shares_a_name_or_eight_words_overlaps(string text, bool overlaps)
    {
        var overlap = new Overlap(["def find_it(numbers):\n", "def single(x):\n  'One, two: three four (five) six seven eight'\n"]);
        Assert.Equal(overlaps, overlap.With(text));
    }

    [Fact]
    public void Prompts_and_solutions_of_a_task_file_are_read()
    {
        using var stream = new MemoryStream(Encoding.UTF8.GetBytes(
            "{\"task_id\": \"a\", \"prompt\": \"p\", \"canonical_solution\": \"s\"}\n{\"prompt\": \"q\"}\n"));
        Assert.Equal([("p", "s"), ("q", null)], Overlap.ReadTasks(stream, "tasks"));
    }
}
