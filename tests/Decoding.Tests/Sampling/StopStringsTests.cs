using FsCheck;
using FsCheck.Fluent;
using Understory.Decoding.Sampling;

namespace Understory.Decoding.Tests.Sampling;

public class StopStringsTests
{
    [Fact]
    public void However_a_text_is_cut_into_pieces_it_ends_before_the_stop_string_that_is_complete_first()
    {
        // A small alphabet, so that stops and their beginnings are frequent and overlap.
        Gen<string> text = Gen.Choose('a', 'c').ArrayOf(24).Select(chars => string.Concat(chars.Select(c => (char)c)));
        Gen<string> stop = Gen.Choose(1, 4).SelectMany(n => Gen.Choose('a', 'c').ArrayOf(n))
            .Select(chars => string.Concat(chars.Select(c => (char)c)));
        var cases = text.SelectMany(t =>
            stop.ArrayOf(2).SelectMany(s => Gen.Choose(1, 5).ArrayOf(24).Select(cuts => (Text: t, Stops: s, Cuts: cuts)))).ToArbitrary();
        Prop.ForAll(cases, c =>
        {
            (int end, string? by) = c.Stops
                .Select(s => (Start: c.Text.IndexOf(s, StringComparison.Ordinal), Stop: s))
                .Where(found => found.Start >= 0)
                .OrderBy(found => found.Start + found.Stop.Length)
                .ThenBy(found => found.Start)
                .Select(found => (found.Start, (string?)found.Stop))
                .FirstOrDefault((c.Text.Length, null));
            var stops = new StopStrings(c.Stops);
            string released = "";
            int at = 0;
            foreach (int cut in c.Cuts)
            {
                int length = Math.Min(cut, c.Text.Length - at);
                released += stops.Push(c.Text.Substring(at, length));
                at += length;
                if (!c.Text.StartsWith(released, StringComparison.Ordinal) || released.Length > end)
                {
                    return false;
                }
            }

            released += stops.Push(c.Text[at..]);
            released += stops.Flush();
            return released == c.Text[..end] && stops.Found == by && stops.Stopped == by is not null;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Text_that_cannot_begin_a_stop_string_is_released_at_once()
    {
        var stops = new StopStrings(["\n\n"]);
        Assert.Equal("return x", stops.Push("return x"));
        Assert.Equal("", stops.Push("\n"));
        Assert.Equal("\ny", stops.Push("y"));
        Assert.False(stops.Stopped);
    }

    [Fact]
    public void An_empty_stop_string_is_refused() =>
        Assert.Contains("empty", Assert.Throws<InvalidRequestException>(() => new StopStrings([""])).Message, StringComparison.Ordinal);
}
