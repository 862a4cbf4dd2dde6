using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using Understory.Training.Files;
using Understory.Training.Network;
using static TorchSharp.torch;

namespace Understory.Training.Optimisation;

/// <summary>How far a run is: what a checkpoint holds beside the weights.</summary>
public sealed record TrainingState
{
    public required TrainingSettings Settings { get; init; }

    /// <summary>Steps done.</summary>
    public long Step { get; init; }

    /// <summary>Spent in all runs so far.</summary>
    public double Seconds { get; init; }

    public IReadOnlyList<LossPoint> Curve { get; init; } = [];

    public IReadOnlyList<HeldOutPoint> HeldOut { get; init; } = [];
}

/// <summary>
/// One file: eight bytes of magic, length and text of the state as JSON, then weights and both of Adam's means, F32. It is replaced in one
/// step, so that a run that is killed goes on from the last one.
/// </summary>
internal static class Checkpoint
{
    private static readonly JsonSerializerOptions Json = new() { NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };

    private static ReadOnlySpan<byte> Magic => "UNTRAIN1"u8;

    public static void Save(string path, TrainingState state, LlamaNetwork network, AdamW optimiser) => AtomicFile.Write(path, stream =>
    {
        using var writer = new BinaryWriter(stream, System.Text.Encoding.UTF8, leaveOpen: true);
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(state, Json);
        writer.Write(Magic);
        writer.Write(json.Length);
        writer.Write(json);
        foreach (Tensor vector in new[] { network.Master, optimiser.First, optimiser.Second })
        {
            writer.Write(MemoryMarshal.AsBytes(LlamaNetwork.Values(vector).AsSpan()));
        }
    });

    /// <summary>Puts weights and means back. Null: there is no checkpoint.</summary>
    /// <exception cref="TrainingException">The file is another run's, or damaged.</exception>
    public static TrainingState? Load(string path, TrainingSettings settings, LlamaNetwork network, AdamW optimiser)
    {
        if (!File.Exists(path))
        {
            return null;
        }

        using FileStream stream = File.OpenRead(path);
        TrainingState state = ReadState(stream, path);
        string kept = JsonSerializer.Serialize(state.Settings, Json);
        string asked = JsonSerializer.Serialize(settings, Json);
        if (kept != asked)
        {
            throw new TrainingException(
                $"{path} is of a run with other settings ({kept}, not {asked}): give the same ones, another --work folder, or delete it.");
        }

        LlamaNetwork.Write(network.Master, ReadValues());
        LlamaNetwork.Write(optimiser.First, ReadValues());
        LlamaNetwork.Write(optimiser.Second, ReadValues());
        return state;

        float[] ReadValues()
        {
            float[] values = new float[network.Master.numel()];
            try
            {
                stream.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan()));
            }
            catch (EndOfStreamException e)
            {
                throw new TrainingException($"{path} is cut short: delete it to begin anew.", e);
            }

            return values;
        }
    }

    /// <summary>How far the run of a checkpoint is; null: there is none.</summary>
    public static TrainingState? Peek(string path)
    {
        if (!File.Exists(path))
        {
            return null;
        }

        using FileStream stream = File.OpenRead(path);
        return ReadState(stream, path);
    }

    /// <summary>The weights alone.</summary>
    public static void LoadWeights(string path, LlamaNetwork network)
    {
        using FileStream stream = File.OpenRead(path);
        _ = ReadState(stream, path);
        float[] values = new float[network.Master.numel()];
        stream.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan()));
        network.WriteMaster(values);
    }

    private static TrainingState ReadState(FileStream stream, string path)
    {
        try
        {
            Span<byte> head = stackalloc byte[12];
            stream.ReadExactly(head);
            int length = BitConverter.ToInt32(head[8..]);
            if (!head[..8].SequenceEqual(Magic) || length < 0 || length > stream.Length - 12)
            {
                throw new TrainingException($"{path} is no checkpoint: delete it to begin anew.");
            }

            byte[] json = new byte[length];
            stream.ReadExactly(json);
            return JsonSerializer.Deserialize<TrainingState>(json, Json)!;
        }
        catch (Exception e) when (e is JsonException or EndOfStreamException)
        {
            throw new TrainingException($"{path} is damaged: delete it to begin anew.", e);
        }
    }
}
