using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using LLama.Exceptions;
using LLama.Native;

namespace Understory.Peer;

/// <summary>A file loaded by llama.cpp, on the processor alone, with keys and values in F16.</summary>
internal sealed class LlamaCppEngine : IEngine
{
    private static readonly List<string> _messages = [];

    private readonly SafeLlamaModelHandle _model;
    private readonly SafeLLamaContextHandle _context;
    private readonly LLamaBatch _batch = new();
    private int _rows;

    private LlamaCppEngine(string path, int context, LLamaLoadMode mode)
    {
        LLamaModelParams parameters = LLamaModelParams.Default();
        parameters.n_gpu_layers = 0;
        parameters.load_mode = mode;
        _model = SafeLlamaModelHandle.LoadFromFile(path, parameters);
        LLamaContextParams shape = LLamaContextParams.Default();
        shape.n_ctx = (uint)context;
        shape.n_batch = shape.n_ubatch = (uint)Math.Min(context, 512);
        shape.n_outputs_max = shape.n_batch;
        shape.n_seq_max = 1;
        shape.n_threads = shape.n_threads_batch = Environment.ProcessorCount;
        (shape.type_k, shape.type_v) = (GGMLType.GGML_TYPE_F16, GGMLType.GGML_TYPE_F16);
        shape.no_perf = true;
        _context = SafeLLamaContextHandle.Create(_model, shape);
    }

    public string Name => "llama.cpp";

    public int Vocabulary => _model.Vocab.Count;

    public long WeightBytes => (long)_model.SizeInBytes;

    /// <summary>What the library says of the instructions that it was built for.</summary>
    public static string SystemInfo => Marshal.PtrToStringUTF8(NativeApi.llama_print_system_info()) ?? "";

    /// <summary>Chooses the build for this processor; to be called first.</summary>
    /// <exception cref="DllNotFoundException">The library, or one that it needs, is missing.</exception>
    public static void Initialize()
    {
        AvxLevel level = Avx512F.IsSupported ? AvxLevel.Avx512
            : Avx2.IsSupported ? AvxLevel.Avx2
            : Avx.IsSupported ? AvxLevel.Avx : AvxLevel.None;
        NativeLibraryConfig.LLama.WithAvx(level).WithCuda(false).WithVulkan(false).WithAutoFallback(false).WithLogCallback(Log);
        try
        {
            NativeApi.llama_empty_call();
            NativeLogConfig.llama_log_set(Log);
        }
        catch (Exception error) when (error is TypeInitializationException or RuntimeError or DllNotFoundException)
        {
            throw new DllNotFoundException($"llama.cpp cannot be loaded: {LastErrors()} {(error.InnerException ?? error).Message}", error);
        }
    }

    /// <summary>What the library last complained of.</summary>
    public static string LastErrors()
    {
        lock (_messages)
        {
            return string.Join(" ", _messages.TakeLast(4)).ReplaceLineEndings(" ");
        }
    }

    public static LlamaCppEngine Load(string path, int context, LLamaLoadMode mode = LLamaLoadMode.None) => new(path, context, mode);

    public int[] Tokenize(string text) =>
        [.. _model.Tokenize(text, addBos: false, special: false, System.Text.Encoding.UTF8).Select(token => (int)token)];

    public void Forward(ReadOnlySpan<int> tokens, int start, bool allLogits)
    {
        _context.MemorySequenceRemove(LLamaSeqId.Zero, start, -1);
        _batch.Clear();
        for (int row = 0; row < tokens.Length; row++)
        {
            _batch.Add(tokens[row], start + row, LLamaSeqId.Zero, allLogits || row == tokens.Length - 1);
        }

        _rows = allLogits ? tokens.Length : 1;
        DecodeResult result = _context.Decode(_batch);
        if (result != DecodeResult.Ok)
        {
            throw new InvalidOperationException($"llama.cpp could not decode {tokens.Length} rows: {result}. {LastErrors()}");
        }

        _context.Synchronize();
    }

    public void ReadLogits(int row, Span<float> logits)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(row, _rows);
        _context.GetLogitsIth(row)[..logits.Length].CopyTo(logits);
    }

    public void Dispose()
    {
        _context.Dispose();
        _model.Dispose();
    }

    private static void Log(LLamaLogLevel level, string message)
    {
        if (level is LLamaLogLevel.Warning or LLamaLogLevel.Error)
        {
            lock (_messages)
            {
                _messages.Add(message.Trim());
            }
        }
    }
}
