using Understory.Decoding;
using Understory.Decoding.Sequences;
using Understory.Decoding.Verification;
using Understory.Server.Wire;

namespace Understory.Server.OpenAi;

/// <summary><c>speculation</c> of a chunk: the decoding step that the chunk came from.</summary>
/// <param name="Step">Number of the step within its choice, from 1.</param>
/// <param name="Tokens">What the step's text is made of: their texts together are it.</param>
/// <param name="Rows">Rows of the target pass: the nodes and the root.</param>
/// <param name="Committed">Tokens that the pass gave, before any cut by a stop or max_tokens.</param>
/// <param name="Ms">The whole step.</param>
/// <param name="TargetMs">Of it, the target pass with the decision.</param>
/// <param name="DraftMs">Of it, the draft passes.</param>
public sealed record SpeculationBody(
    int Step,
    IReadOnlyList<SpeculationToken> Tokens,
    SpeculationTree Tree,
    int Rows,
    int Committed,
    double Ms,
    double TargetMs,
    double DraftMs,
    int DraftPasses);

/// <param name="Stage">Who proposed it: "ngram", "draft"; "target": nobody, it is what the pass itself decided.</param>
/// <param name="Continued">True: the rest of a token that an earlier chunk began.</param>
public sealed record SpeculationToken(int Id, string Text, string Stage, float Logprob, bool? Continued);

/// <param name="Root">The last token before the step.</param>
/// <param name="Bonus">The token that the target itself decided at the end of the accepted path.</param>
/// <param name="Nodes">By <see cref="SpeculationNode.A"/>, the highest first; parents before their children.</param>
public sealed record SpeculationTree(SpeculationEnd Root, SpeculationEnd Bonus, IReadOnlyList<SpeculationNode> Nodes);

public sealed record SpeculationEnd(int Id, string Text);

/// <param name="Parent">Index of the parent among the nodes; -1: the root.</param>
/// <param name="A">Estimated probability, before the pass, that the target's path goes through the node.</param>
public sealed record SpeculationNode(int Id, string Text, int Parent, string Stage, float A, bool Accepted);

/// <summary>Puts what decoding steps did into the chunks of a stream.</summary>
public sealed class SpeculationEvents(IAnswerWriter wire, TokenTexts texts)
{
    /// <summary>A step's events with what it did in the first of them; a step that gave none gets one without text.</summary>
    public IEnumerable<StreamEvent> Join(int choice, IEnumerable<StreamEvent> events, SpeculationBody speculation)
    {
        bool told = false;
        foreach (StreamEvent item in events)
        {
            yield return told ? item : item with { Body = Attach(item.Body, speculation) };
            told = true;
        }

        if (!told && wire.Blank(choice) is { } blank)
        {
            yield return blank with { Body = Attach(blank.Body, speculation) };
        }
    }

    public SpeculationBody Describe(int step, IReadOnlyList<TokenPiece> pieces, StepTree tree, in StepReport report) => new(
        step,
        [.. pieces.Select(piece => new SpeculationToken(
            piece.Token, piece.Text, piece.Stage.Name, LogProb.Of(piece.LogProb), piece.Continued ? true : null))],
        new(
            new(tree.Root, texts.Text(tree.Root)),
            new(tree.Bonus, texts.Text(tree.Bonus)),
            [.. tree.Nodes.Select(node => new SpeculationNode(
                node.Token, texts.Text(node.Token), node.Parent, node.Stage.Name, MathF.Round(node.A, 4), node.Accepted))]),
        tree.Nodes.Count + 1,
        report.Committed,
        Milliseconds(report.StepSeconds),
        Milliseconds(report.TargetSeconds),
        Milliseconds(report.DraftSeconds),
        report.DraftPasses);

    private static IJsonBody? Attach(IJsonBody? chunk, SpeculationBody speculation) => chunk switch
    {
        CompletionBody completion => completion with { Speculation = speculation },
        ChatChunk chat => chat with { Speculation = speculation },
        _ => chunk,
    };

    private static double Milliseconds(double seconds) => Math.Round(seconds * 1000, 4);
}
