using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;
using Understory.Decoding.Tree;
using Understory.Decoding.Verification;
using Understory.Models.Tokenizers;

namespace Understory.Decoding.Tests.Sequences;

/// <summary>Which token a text's characters belong to; tokens are committed by hand in the first tests.</summary>
[Collection(DemoGroup.Name)]
public sealed class TokenTraceTests(DemoBundle demo)
{
    private const int Eos = 0;

    private static readonly Stage[] _stages = [Stage.Target, Stage.Ngram, Stage.Draft];

    private readonly Tokenizer _tokenizer = demo.Target.Tokenizer;

    [Theory]
    [InlineData("naïve 日本語 ✓ 🙂 ünï", 1)]
    [InlineData("naïve 日本語 ✓ 🙂 ünï", 3)]
    [InlineData("def add(a, b):\n    return a + b\n\nend", 1)]
    [InlineData("def add(a, b):\n    return a + b\n\nend", 5)]
    public void Pieces_are_the_text_as_it_is_taken_and_name_every_token_once(string whole, int every)
    {
        foreach (string[] stop in new string[][] { [], ["語 ✓"], ["\n\n"], ["b):\n    re", "never"], ["ld"], ["\n\nX", "b\n\n  "] })
        {
            int[] tokens = [.. Encode(whole), Eos];
            Sequence sequence = Create(new() { Prompt = [5], Stop = stop, ReportTree = true });
            var told = new List<int>();
            string text = "";
            for (int i = 0; i < tokens.Length && !sequence.Finished; i++)
            {
                sequence.Trace!.Add(tokens[i], _stages[i % 3], -i);
                sequence.Commit(tokens[i], null);
                if (i % every == 0 || sequence.Finished)
                {
                    text += Take(sequence, told);
                }
            }

            int cut =
                whole.IndexOf(stop.FirstOrDefault(s => whole.Contains(s, StringComparison.Ordinal)) ?? "\0", StringComparison.Ordinal);
            Assert.Equal(cut < 0 ? whole : whole[..cut], text);
            Assert.Equal(sequence.GeneratedIds.ToArray(), told);
        }
    }

    [Fact]
    public void A_token_whose_end_is_held_back_is_told_in_two_pieces()
    {
        int[] tokens = [.. Encode("a"), .. Encode("):"), .. Encode("b")];
        Assert.Equal(3, tokens.Length);
        Sequence sequence = Create(new() { Prompt = [5], Stop = [":c"], ReportTree = true }, limit: 3);
        var pieces = new List<TokenPiece>();
        foreach (int token in tokens)
        {
            sequence.Trace!.Add(token, Stage.Draft, -1);
            sequence.Commit(token, null);
            pieces.AddRange(sequence.Trace.Take(sequence.TakeText(), sequence.Finished));
        }

        Assert.Equal([("a", false), (")", false), (":", true), ("b", false)], pieces.Select(piece => (piece.Text, piece.Continued)));
        Assert.Equal([tokens[0], tokens[1], tokens[1], tokens[2]], pieces.Select(piece => piece.Token));
    }

    [Fact]
    public void A_character_that_the_limit_cuts_belongs_to_the_last_token()
    {
        int[] tokens = Encode("a🙂");
        Sequence sequence = Create(new() { Prompt = [5], ReportTree = true }, tokens.Length - 1);
        var told = new List<int>();
        string text = "";
        foreach (int token in tokens[..^1])
        {
            sequence.Trace!.Add(token, Stage.Target, -1);
            sequence.Commit(token, null);
            text += Take(sequence, told);
        }

        Assert.Equal("a\uFFFD", text);
        Assert.Equal(tokens[..^1], told);
    }

    [Theory]
    [InlineData(SpeculationMode.Staged, 0)]
    [InlineData(SpeculationMode.Draft, 1)]
    [InlineData(SpeculationMode.Ngram, 0)]
    [InlineData(SpeculationMode.Off, 1)]
    public void Every_step_tells_the_tree_that_was_verified_and_who_proposed_what_was_kept(SpeculationMode mode, float temperature)
    {
        using DecodingLoop loop = demo.CreateLoop();
        int accepted = 0;
        foreach (int[] prompt in demo.Prompts().Take(4))
        {
            var request = new GenerationRequest
            {
                Prompt = prompt,
                MaxTokens = 80,
                IgnoreEos = true,
                Speculation = mode,
                ReportTree = true,
                Sampling = new SamplingParams { Temperature = temperature, TopK = 20, Seed = 3 },
            };
            Sequence sequence = loop.Begin(request);
            var pieces = new List<TokenPiece>();
            while (!sequence.Finished)
            {
                int before = sequence.GeneratedTokens;
                loop.Step(sequence);
                string text = sequence.TakeText();
                if (loop.LastTree is not { } tree)
                {
                    continue;
                }

                IReadOnlyList<TokenPiece> now = sequence.Trace!.Take(text, sequence.Finished);
                pieces.AddRange(now);
                Assert.Equal(text, string.Concat(now.Select(piece => piece.Text)));
                Assert.Equal(loop.LastStep.Nodes, tree.Nodes.Count);
                int[] kept = sequence.GeneratedIds[before..].ToArray();
                StepTreeNode[] path = Path(tree);
                Assert.Equal(path.Length + 1, loop.LastStep.Committed);
                Assert.Equal(path.Select(node => node.Token).Take(kept.Length), kept.Take(path.Length));
                Assert.Equal(path.Take(kept.Length).Select(node => node.Stage), now.Take(path.Length).Select(piece => piece.Stage));
                Assert.All(now.Skip(path.Length), piece => Assert.Equal(Stage.Target, piece.Stage));
                accepted += path.Length;
            }

            loop.End(sequence);
            Assert.Equal(sequence.GeneratedIds.ToArray(), pieces.Select(piece => piece.Token));
            Assert.All(pieces, piece => Assert.True(piece.LogProb <= 0));
            Assert.Equal(loop.Decode(request with { ReportTree = false, Speculation = SpeculationMode.Off }),
                pieces.Select(piece => piece.Token));
        }

        Assert.Equal(mode != SpeculationMode.Off, accepted > 0);
    }

    /// <summary>The accepted nodes, which must be one path from the root.</summary>
    private static StepTreeNode[] Path(StepTree tree)
    {
        var path = new List<StepTreeNode>();
        int at = -1;
        for (int i = 0; i < tree.Nodes.Count; i++)
        {
            Assert.True(tree.Nodes[i].Parent < i);
            Assert.True(i == 0 || tree.Nodes[i].A <= tree.Nodes[i - 1].A);
            if (tree.Nodes[i].Accepted)
            {
                Assert.Equal(at, tree.Nodes[i].Parent);
                at = i;
                path.Add(tree.Nodes[i]);
            }
        }

        return [.. path];
    }

    private static string Take(Sequence sequence, List<int> told)
    {
        string text = sequence.TakeText();
        IReadOnlyList<TokenPiece> pieces = sequence.Trace!.Take(text, sequence.Finished);
        Assert.Equal(text, string.Concat(pieces.Select(piece => piece.Text)));
        told.AddRange(pieces.Where(piece => !piece.Continued).Select(piece => piece.Token));
        return text;
    }

    private int[] Encode(string text) => _tokenizer.Encode(text, addSpecialTokens: false);

    private Sequence Create(GenerationRequest request, int limit = 100)
    {
        var context = new TokenContext(request.Prompt, request.Sampling, _tokenizer.VocabularySize, request.Prompt.Length + limit);
        return new Sequence(request, context, new CacheEntry { Target = null! }, 0, limit, new StopStrings(request.Stop), _tokenizer,
            [Eos]);
    }
}
