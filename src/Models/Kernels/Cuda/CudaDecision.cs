using Understory.Models.Kernels.Cuda.Driver;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cuda;

/// <summary>
/// The decision rule on the device (Source/decide.cu): a small upload, two to four kernels, and a few numbers per row that come back.
/// </summary>
internal sealed unsafe class CudaDecision(CudaDriver driver, KernelModules modules) : IDisposable
{
    /// <summary>Tokens that one block of <c>parts</c> looks at.</summary>
    private const int PartTokens = 1024;

    private const int Alignment = 16;

    /// <summary>The two sides of the upload, and of what comes back.</summary>
    private DeviceMemory? _device;
    private nint _host;
    private long _hostBytes;
    private DeviceMemory? _changed;

    /// <summary>Takes offsets in one block of memory.</summary>
    private struct Layout
    {
        public long Bytes;

        public long Take(long bytes)
        {
            long at = Bytes;
            Bytes += (bytes + Alignment - 1) / Alignment * Alignment;
            return at;
        }
    }

    public void Decide(Tensor logits, DecisionBatch decision)
    {
        int rows = decision.Rows;
        if (rows == 0)
        {
            return;
        }

        DecisionParams rule = decision.Params;
        bool penalised = rule.HasPenalties && decision.Counts is not null;
        bool changes = penalised || decision.BiasTokens.Length > 0 || decision.Mask is not null;
        int best = decision.Best;
        int parts = (logits.Columns + PartTokens - 1) / PartTokens;
        int seen = penalised ? decision.Counts!.Distinct.Length : 0;
        // A path has its own tokens, and pushes as many out of the window.
        int mostPaths = penalised ? rows * decision.MaxDepth * (rule.RepetitionWindow > 0 ? 2 : 1) : 0;

        Layout layout = default;
        long rowData = layout.Take(rows * 4L * sizeof(int));
        long tokens = layout.Take((seen + mostPaths + decision.BiasTokens.Length) * 2L * sizeof(int));
        long mask = layout.Take(decision.Mask is null ? 0 : (long)rows * decision.MaskWords * sizeof(ulong));
        long uploaded = layout.Bytes;
        long candidates = (long)rows * best * sizeof(int);
        long downloaded = (3 * candidates) + ((long)rows * sizeof(float));
        long outTokens = layout.Take(downloaded);
        long outScores = outTokens + candidates;
        long outLogProbs = outScores + candidates;
        long outGiven = outLogProbs + candidates;
        long threshold = layout.Take((long)rows * sizeof(ulong));
        long partMax = layout.Take((long)rows * parts * sizeof(float));
        long partSum = layout.Take((long)rows * parts * sizeof(float));
        long partBest = layout.Take((long)rows * parts * best * sizeof(ulong));
        Reserve(layout.Bytes, changes ? (long)rows * logits.Columns * sizeof(float) : 0);

        int paths = Fill(decision, penalised, (int*)(_host + (nint)rowData), (int*)(_host + (nint)tokens));
        decision.Mask?.AsSpan(0, rows * decision.MaskWords).CopyTo(new Span<ulong>((void*)(_host + (nint)mask), rows * decision.MaskWords));
        nint device = _device!.Address;
        driver.Upload(_host, device, uploaded);
        bool filtered = rule.Temperature > 0 && (rule.TopK > 0 || rule.TopP < 1 || rule.MinP > 0);
        DecideArguments arguments = new()
        {
            Logits = logits.Data,
            Changed = changes ? _changed!.Address : 0,
            RowData = device + (nint)rowData,
            Tokens = device + (nint)tokens,
            Mask = decision.Mask is null ? 0 : device + (nint)mask,
            Threshold = device + (nint)threshold,
            PartMax = device + (nint)partMax,
            PartSum = device + (nint)partSum,
            PartBest = device + (nint)partBest,
            OutTokens = device + (nint)outTokens,
            OutScores = device + (nint)outScores,
            OutLogProbs = device + (nint)outLogProbs,
            OutGiven = device + (nint)outGiven,
            Stride = logits.Stride,
            Vocabulary = logits.Columns,
            Rows = rows,
            Parts = parts,
            Best = best,
            Seen = seen,
            Paths = paths,
            Biased = decision.BiasTokens.Length,
            MaskWords = decision.MaskWords,
            Filtered = filtered ? 1 : 0,
            TopK = rule.TopK,
            SeedLow = (uint)rule.Seed,
            SeedHigh = (uint)(rule.Seed >> 32),
            Choice = rule.Choice,
            Temperature = Math.Max(0, rule.Temperature),
            TopP = rule.TopP,
            MinP = rule.MinP,
            LogMinP = rule.MinP > 0 ? (float)Math.Log(rule.MinP) : 0,
            Repetition = rule.RepetitionPenalty,
            Presence = rule.PresencePenalty,
            Frequency = rule.FrequencyPenalty,
        };
        if (changes)
        {
            driver.Launch(modules.Change, rows, 1, 1024, 0, (nint)(&arguments), overlap: false);
        }

        if (filtered)
        {
            driver.Launch(modules.Filter, rows, 1, 1024, 0, (nint)(&arguments), overlap: false);
        }

        driver.Launch(modules.Parts, parts, rows, 256, 0, (nint)(&arguments), overlap: false);
        driver.Launch(modules.Merge, rows, 1, 256, 0, (nint)(&arguments), overlap: false);
        nint results = _host + (nint)outTokens;
        driver.Download(device + (nint)outTokens, results, downloaded);
        driver.Synchronize();
        for (int row = 0; row < rows; row++)
        {
            int at = row * best;
            int to = row * decision.MaxBest;
            new ReadOnlySpan<int>((int*)(_host + (nint)outTokens) + at, best).CopyTo(decision.Tokens.AsSpan(to));
            new ReadOnlySpan<float>((float*)(_host + (nint)outScores) + at, best).CopyTo(decision.Scores.AsSpan(to));
            new ReadOnlySpan<float>((float*)(_host + (nint)outLogProbs) + at, best).CopyTo(decision.LogProbs.AsSpan(to));
            decision.GivenLogProbs[row] = ((float*)(_host + (nint)outGiven))[row];
        }
    }

    public void Dispose()
    {
        _device?.Dispose();
        _changed?.Dispose();
        if (_host != 0)
        {
            driver.FreeHost(_host);
            _host = 0;
        }
    }

    /// <summary>Writes positions and the tokens whose logits change, with what changes them. Returns the number of path tokens.</summary>
    private static int Fill(DecisionBatch decision, bool penalised, int* rowData, int* tokens)
    {
        if (penalised)
        {
            int window = decision.Params.FirstRepeated(decision.Counts!.Total);
            foreach (int token in decision.Counts.Distinct)
            {
                *tokens++ = token;
                *tokens++ = Occurrences(decision.Counts.InOutput(token), decision.Counts.Last(token) >= window);
            }
        }

        int paths = 0;
        for (int row = 0; row < decision.Rows; row++)
        {
            int count = penalised ? FillPath(decision, row, tokens) : 0;
            *rowData++ = decision.Positions[row];
            *rowData++ = decision.Given[row];
            *rowData++ = paths;
            *rowData++ = count;
            paths += count;
            tokens += 2 * count;
        }

        for (int i = 0; i < decision.BiasTokens.Length; i++)
        {
            *tokens++ = decision.BiasTokens[i];
            *tokens++ = BitConverter.SingleToInt32Bits(decision.BiasValues[i]);
        }

        return paths;
    }

    /// <summary>Writes the tokens of which a row's path changes what holds for all rows. Returns how many there are.</summary>
    private static int FillPath(DecisionBatch decision, int row, int* tokens)
    {
        TokenCounts counts = decision.Counts!;
        ReadOnlySpan<int> path = decision.Path.AsSpan(row * decision.MaxDepth, decision.PathCount[row]);
        int written = 0;
        int window = decision.Params.FirstRepeated(counts.Total + path.Length);
        for (int i = 0; i < path.Length; i++)
        {
            // Each token once, with all its occurrences.
            if (!path[..i].Contains(path[i]))
            {
                Write(path[i], counts.InOutput(path[i]) + path.Count(path[i]), counts.Total + path.LastIndexOf(path[i]) >= window, tokens);
            }
        }

        if (decision.Params.RepetitionWindow > 0 && path.Length > 0)
        {
            // What was in the window before the path and is no longer.
            int before = decision.Params.FirstRepeated(counts.Total);
            foreach (int token in counts.Distinct)
            {
                if (counts.Last(token) >= before && counts.Last(token) < window && !path.Contains(token))
                {
                    Write(token, counts.InOutput(token), false, tokens);
                }
            }
        }

        return written;

        void Write(int token, int inOutput, bool repeated, int* at)
        {
            at[2 * written] = token;
            at[(2 * written++) + 1] = Occurrences(inOutput, repeated);
        }
    }

    /// <summary>As the kernel has it: the complement where the token lies before the penalty's window.</summary>
    private static int Occurrences(int inOutput, bool repeated) => repeated ? inOutput : ~inOutput;

    private void Reserve(long bytes, long changed)
    {
        if (bytes > _hostBytes)
        {
            driver.Synchronize();
            _device?.Dispose();
            _device = null;
            if (_host != 0)
            {
                driver.FreeHost(_host);
                _host = 0;
            }

            _hostBytes = 0;
            _device = new DeviceMemory(driver, 2 * bytes, zeroed: false);
            _host = driver.AllocateHost(2 * bytes);
            _hostBytes = 2 * bytes;
        }

        if (changed > (_changed?.Bytes ?? 0))
        {
            driver.Synchronize();
            _changed?.Dispose();
            _changed = null;
            _changed = new DeviceMemory(driver, changed, zeroed: false);
        }
    }
}
