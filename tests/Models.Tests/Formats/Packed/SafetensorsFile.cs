using System.Runtime.InteropServices;
using System.Text;

namespace Understory.Models.Tests.Formats.Packed;

/// <summary>Writes a safetensors file tensor by tensor.</summary>
internal sealed class SafetensorsFile
{
    private readonly List<string> _entries = [];
    private readonly List<byte> _data = [];

    public SafetensorsFile Add<T>(string name, string type, int[] shape, T[] values)
        where T : unmanaged
    {
        int start = _data.Count;
        _data.AddRange(MemoryMarshal.AsBytes<T>(values));
        _entries.Add($$"""
            "{{name}}": {"dtype": "{{type}}", "shape": [{{string.Join(", ", shape)}}], "data_offsets": [{{start}}, {{_data.Count}}]}
            """);
        return this;
    }

    public byte[] ToArray()
    {
        byte[] header = Encoding.UTF8.GetBytes($"{{{string.Join(", ", _entries)}}}");
        return [.. BitConverter.GetBytes((ulong)header.Length), .. header, .. _data];
    }
}
