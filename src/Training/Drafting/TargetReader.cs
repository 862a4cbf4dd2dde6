using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Training.Drafting;

/// <summary>
/// The target's opinion of texts: of those that are given, by prefill, and of those that it writes itself, many at a time. A sample depends
/// on its number and nothing else, since a row's logits do not depend on the rows beside it.
/// </summary>
internal sealed class TargetReader(LanguageModel target, int length, int kept)
{
    /// <summary>Texts that are written side by side: their rows share a pass, which costs little more than one of a single row.</summary>
    public const int SideBySide = 16;

    private static readonly float[] _temperatures = [0.7f, 0.85f, 1f];

    /// <summary>Told how much of a group is written.</summary>
    public Action<double>? Progress { get; init; }

    private readonly Transformer _model = target.Transformer;
    private readonly DecisionBatch _opinion = new(Math.Max(SideBySide, target.Transformer.MaxRows), kept, 1) { Best = kept };
    private readonly DecisionBatch _choice = new(SideBySide, 1, 1);

    /// <summary>What the target thinks of <c>[length + 1]</c> tokens.</summary>
    public Sample Score(int[] tokens)
    {
        using KvCache cache = _model.CreateCache(length);
        var sample = new Sample(tokens, new int[length * kept], new Half[length * kept]);
        int rows = Math.Min(length, _model.MaxRows);
        var batch = new ForwardBatch(rows, 1);
        for (int from = 0; from < length; from += rows)
        {
            batch.Clear();
            for (int at = from; at < Math.Min(length, from + rows); at++)
            {
                batch.Add(tokens[at], at);
            }

            Ask(_model.Forward(batch, cache), batch.Count);
            for (int row = 0; row < batch.Count; row++)
            {
                Keep(row, sample, from + row);
            }
        }

        return sample;
    }

    /// <summary>Samples <c>SideBySide * group</c> and those behind it.</summary>
    /// <param name="script">What each begins with.</param>
    public Sample[] Write(int group, ulong seed, Func<int, TextScript> script, CancellationToken cancel)
    {
        // Layers that keep a state have one for each sequence: theirs are written one after the other.
        int side = target.Config.IsHybrid ? 1 : SideBySide;
        return [.. Enumerable.Range(0, SideBySide / side).SelectMany(part =>
            Write((group * SideBySide) + (part * side), side, _temperatures[group % _temperatures.Length], seed, script, cancel))];
    }

    private Sample[] Write(int first, int count, float temperature, ulong seed, Func<int, TextScript> script, CancellationToken cancel)
    {
        Writer[] writers = [.. Enumerable.Range(first, count).Select(number => new Writer(script(number), target.Config.EosTokenIds))];
        Sample[] samples = [.. writers.Select(_ => new Sample(new int[length + 1], new int[length * kept], new Half[length * kept]))];
        int[][] slots = [.. writers.Select((_, side) => Enumerable.Range(side * length, length).ToArray())];
        using KvCache cache = _model.CreateCache(count * length);
        var batch = new ForwardBatch(count, length);
        _choice.Params = DecisionParams.Greedy with { Temperature = temperature, Seed = seed };
        _choice.Rows = count;
        for (int side = 0; side < count; side++)
        {
            samples[side].Tokens[0] = writers[side].Next(-1);
        }

        for (int at = 0; at < length; at++)
        {
            cancel.ThrowIfCancellationRequested();
            Progress?.Invoke(((first % SideBySide) + ((double)count * at / length)) / SideBySide);
            batch.Clear();
            for (int side = 0; side < count; side++)
            {
                int token = samples[side].Tokens[at];
                if (count == 1)
                {
                    batch.Add(token, at);
                }
                else
                {
                    // Each text is a branch of its own below nothing.
                    batch.Add(token, slots[side][at], prefix: 0, slots[side].AsSpan(0, at));
                }
            }

            Tensor logits = _model.Forward(batch, cache);
            for (int side = 0; side < count; side++)
            {
                // The noise is a function of position and token: every text has positions of its own.
                _choice.Positions[side] = (int)((((long)(first + side) * (length + 1)) + at + 1) & int.MaxValue);
                _choice.Given[side] = -1;
            }

            _model.Kernels.Decide(logits, _choice);
            Ask(logits, count);
            for (int side = 0; side < count; side++)
            {
                Keep(side, samples[side], at);
                samples[side].Tokens[at + 1] = writers[side].Next(_choice.Tokens[side]);
            }
        }

        return samples;
    }

    private void Ask(Tensor logits, int rows)
    {
        _opinion.Rows = rows;
        _opinion.Given.AsSpan(0, rows).Fill(-1);
        _model.Kernels.Decide(logits, _opinion);
    }

    private void Keep(int row, Sample sample, int place)
    {
        _opinion.Tokens.AsSpan(row * kept, kept).CopyTo(sample.Kept.AsSpan(place * kept));
        for (int i = 0; i < kept; i++)
        {
            // What has no place in F16 has no weight either.
            float value = Math.Max(_opinion.LogProbs[(row * kept) + i], -1000);
            sample.LogProbs[(place * kept) + i] = (Half)value;
        }
    }

    /// <summary>A text's next token: what the model chose, or what its script says.</summary>
    private sealed class Writer(TextScript script, IReadOnlyList<int> ends)
    {
        private int[] _forced = script.Openings[0];
        private int _place;
        private int _opening;

        public int Next(int chosen)
        {
            if (_place == _forced.Length && ends.Contains(chosen))
            {
                _opening = (_opening + 1) % script.Openings.Count;
                int[] opening = script.Openings[_opening];
                // An opening may begin with that very end.
                (_forced, _place) = ([chosen, .. opening.AsSpan(opening is [int begin, ..] && begin == chosen ? 1 : 0)], 0);
            }

            return _place < _forced.Length ? _forced[_place++] : chosen;
        }
    }
}
