using System.Buffers.Binary;
using System.Text.Json;
using Understory.Training.Network;

namespace Understory.Training.Files;

/// <summary>Writes a network in the safetensors format, BF16: 8 bytes of header length, a JSON header, the data.</summary>
internal static class SafetensorsFile
{
    public static void Write(string path, IEnumerable<NetworkTensor> tensors) => AtomicFile.Write(path, stream =>
    {
        NetworkTensor[] all = [.. tensors];
        var header = new Dictionary<string, object> { ["__metadata__"] = new Dictionary<string, string> { ["format"] = "pt" } };
        long at = 0;
        foreach (NetworkTensor tensor in all)
        {
            long end = at + (2L * tensor.Values.Length);
            header[tensor.Name] = new { dtype = "BF16", shape = tensor.Shape, data_offsets = (long[])[at, end] };
            at = end;
        }

        byte[] json = JsonSerializer.SerializeToUtf8Bytes(header);
        int padding = (8 - (json.Length % 8)) % 8;
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, json.Length + padding);
        stream.Write(length);
        stream.Write(json);
        stream.Write("       "u8[..padding]);
        foreach (NetworkTensor tensor in all)
        {
            byte[] data = new byte[2 * tensor.Values.Length];
            ReadOnlySpan<float> values = tensor.Values.Span;
            for (int i = 0; i < values.Length; i++)
            {
                BinaryPrimitives.WriteUInt16LittleEndian(data.AsSpan(2 * i), Rounded(values[i]));
            }

            stream.Write(data);
        }
    });

    /// <summary>To the nearest BF16, ties to even.</summary>
    internal static ushort Rounded(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value) ? (ushort)0x7FC0 : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }
}
