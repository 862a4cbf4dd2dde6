using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Understory.PtxEmulator;

/// <summary>Something in PTX, or something that a kernel does, that is wrong or not known here.</summary>
public sealed class EmulationException(string message) : Exception(message);

/// <summary>An address: a register or nothing, and an offset.</summary>
internal readonly record struct Address(int Register, long Offset);

/// <summary>One instruction. Operands are numbers of registers; constants are registers too, filled once.</summary>
internal sealed unsafe class Instruction
{
    public required string Opcode { get; init; }

    public required string Text { get; init; }

    public int Predicate { get; init; } = -1;

    public bool Negated { get; init; }

    public InstructionKind Kind { get; set; }

    /// <summary>Lane by lane, for <see cref="InstructionKind.Alu"/>.</summary>
    public delegate*<ulong*, Instruction, uint, void> Alu { get; set; }

    public int[] Operands { get; set; } = [];

    /// <summary>Operands in braces: what a vector access or a matrix product takes.</summary>
    public int[][] Vectors { get; set; } = [];

    public Address Address { get; set; }

    public Address Second { get; set; }

    /// <summary>Bytes of one element of an access, and whether it is sign-extended.</summary>
    public int Size { get; set; }

    public bool Signed { get; set; }

    public int Target { get; set; } = -1;

    /// <summary>Width of what goes into the destination register.</summary>
    public ulong Mask { get; set; } = ulong.MaxValue;

    public int Number { get; set; }
}

internal enum InstructionKind
{
    Alu, Branch, Exit, LoadParameter, LoadGlobal, StoreGlobal, LoadShared, StoreShared, ReduceShared, Barrier, WarpBarrier, Shuffle, Matrix,
    CopyAsync, CommitCopies, WaitCopies, WaitForPrevious, Nothing,
}

/// <summary>A kernel ready to run.</summary>
internal sealed class Kernel
{
    public required string Name { get; init; }

    public required Instruction[] Code { get; init; }

    /// <summary>Values that registers begin with: constants, and 0 for the others.</summary>
    public required ulong[] Registers { get; init; }

    /// <summary>Registers that hold a special value: %tid.x and so on.</summary>
    public required Dictionary<string, int> Special { get; init; }

    public required int ParameterBytes { get; init; }

    /// <summary>Shared memory of its own; dynamic shared memory follows.</summary>
    public required int StaticShared { get; init; }

    public int MaxThreads { get; init; }

    /// <summary>Compiled for programmatic dependent launch.</summary>
    public bool Waits { get; init; }
}

/// <summary>PTX text made into kernels. Knows what the compiler makes of this project's sources and refuses everything else.</summary>
internal sealed partial class PtxModule
{
    private readonly Dictionary<string, (int Align, int Bytes)> _shared = [];

    public Dictionary<string, Kernel> Kernels { get; } = [];

    public static PtxModule Parse(string text)
    {
        var module = new PtxModule();
        text = Pragma().Replace(Comment().Replace(text, ""), "");
        foreach (Match match in SharedVariable().Matches(text))
        {
            string count = match.Groups[5].Success ? match.Groups[5].Value[1..^1] : "1";
            int bytes = Number(match.Groups[3].Value) / 8 * (count.Length == 0 ? 0 : Number(count));
            module._shared[match.Groups[4].Value] = (Number(match.Groups[1].Value), bytes);
        }

        bool waits = text.Contains(".target sm_90", StringComparison.Ordinal);
        foreach (Match match in Entry().Matches(text))
        {
            int open = text.IndexOf('{', match.Index + match.Length);
            string head = text[(match.Index + match.Length)..open];
            int close = Close(text, open);
            string name = match.Groups[1].Value;
            module.Kernels[name] = new KernelParser(module._shared, match.Groups[2].Value)
                .Parse(name, head, text[(open + 1)..close], waits);
        }

        return module;
    }

    private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);

    private static int Close(string text, int open)
    {
        int depth = 0;
        for (int i = open; ; i++)
        {
            depth += text[i] == '{' ? 1 : text[i] == '}' ? -1 : 0;
            if (depth == 0)
            {
                return i;
            }
        }
    }

    [GeneratedRegex(@"\.pragma ""\w+"";")]
    private static partial Regex Pragma();

    [GeneratedRegex(@"//.*?$", RegexOptions.Multiline)]
    private static partial Regex Comment();

    [GeneratedRegex(@"\.shared \.align (\d+) \.(\w)(\d+) ([\w$.]+?)(\[\d*\])?;")]
    private static partial Regex SharedVariable();

    [GeneratedRegex(@"\.visible \.entry (\w+)\(([^)]*)\)")]
    private static partial Regex Entry();

    /// <summary>The body of one kernel.</summary>
    private sealed partial class KernelParser
    {
        private readonly Dictionary<string, (int Align, int Bytes)> _shared;
        private readonly Dictionary<string, int> _offsets = [];
        private readonly Dictionary<string, int> _registers = [];
        private readonly Dictionary<string, int> _special = [];
        private readonly Dictionary<ulong, int> _constants = [];
        private readonly List<ulong> _values = [];
        private readonly List<ulong> _masks = [];
        private readonly string _parameter;
        private readonly int _parameterBytes;
        private int _sharedBytes;

        public KernelParser(Dictionary<string, (int Align, int Bytes)> shared, string parameters)
        {
            _shared = shared;
            Match match = Parameter().Match(parameters);
            if (!match.Success || parameters.Contains(','))
            {
                throw new EmulationException($"Kernels take one struct, not ({parameters.Trim()}).");
            }

            _parameter = match.Groups[1].Value;
            _parameterBytes = Number(match.Groups[2].Value);
        }

        public Kernel Parse(string name, string head, string body, bool waits)
        {
            foreach (Match match in Registers().Matches(body))
            {
                ulong mask = match.Groups[1].Value switch
                {
                    "pred" => 1,
                    "b16" => 0xFFFF,
                    "b32" or "f32" => 0xFFFFFFFF,
                    "b64" or "f64" => ulong.MaxValue,
                    _ => throw new EmulationException($"Registers of type {match.Groups[1].Value}."),
                };
                for (int i = 0; i < Number(match.Groups[3].Value); i++)
                {
                    _registers[$"{match.Groups[2].Value}{i}"] = New(0, mask);
                }
            }

            _registers["tmp"] = New(0, ulong.MaxValue);

            // Variables that this kernel uses, the dynamic one last.
            foreach ((string variable, (int align, int bytes)) in _shared.Where(pair => pair.Value.Bytes > 0))
            {
                if (Regex.IsMatch(body, $@"(?<![\w$]){Regex.Escape(variable)}(?![\w$])"))
                {
                    _sharedBytes = (_sharedBytes + align - 1) / align * align;
                    _offsets[variable] = _sharedBytes;
                    _sharedBytes += bytes;
                }
            }

            _sharedBytes = (_sharedBytes + 15) / 16 * 16;
            foreach ((string variable, (int align, _)) in _shared.Where(pair => pair.Value.Bytes == 0))
            {
                // It is aligned as it says, and no better.
                _offsets[variable] = _sharedBytes + (align < 16 ? align : 0);
            }

            var labels = new Dictionary<string, int>();
            var statements = new List<string>();
            foreach (string statement in Statements(Scoped().Replace(SharedVariable().Replace(Registers().Replace(body, ""), ""), "$1;")))
            {
                if (statement.EndsWith(':'))
                {
                    labels[statement[..^1]] = statements.Count;
                }
                else
                {
                    statements.Add(statement);
                }
            }

            Instruction[] code = [.. statements.Select((statement, i) => Decode(statement, i, labels))];
            Match threads = MaxThreads().Match(head);
            return new Kernel
            {
                Name = name,
                Code = code,
                Registers = [.. _values],
                Special = _special,
                ParameterBytes = _parameterBytes,
                StaticShared = _sharedBytes,
                MaxThreads = threads.Success ? Number(threads.Groups[1].Value) : 1024,
                Waits = waits,
            };
        }

        private static IEnumerable<string> Statements(string body)
        {
            var text = new StringBuilder();
            foreach (char c in body)
            {
                if (c == ';')
                {
                    yield return text.ToString().Trim();
                    text.Clear();
                    continue;
                }

                text.Append(c);
                if (c == ':' && Label().IsMatch(text.ToString()))
                {
                    yield return text.ToString().Trim();
                    text.Clear();
                }
            }

            if (text.ToString().Trim().Length > 0)
            {
                throw new EmulationException($"Not a statement: {text}");
            }
        }

        private int New(ulong value, ulong mask)
        {
            _values.Add(value);
            _masks.Add(mask);
            return _values.Count - 1;
        }

        private int Constant(ulong value)
        {
            if (!_constants.TryGetValue(value, out int register))
            {
                register = New(value, ulong.MaxValue);
                _constants[value] = register;
            }

            return register;
        }

        private Instruction Decode(string statement, int number, Dictionary<string, int> labels)
        {
            Match match = Statement().Match(statement);
            if (!match.Success)
            {
                throw new EmulationException($"Not an instruction: {statement}");
            }

            string opcode = match.Groups[3].Value;
            string[] operands = [.. Split(match.Groups[4].Value)];
            var instruction = new Instruction
            {
                Opcode = opcode,
                Text = statement,
                Number = number,
                Predicate = match.Groups[2].Success ? _registers[match.Groups[2].Value] : -1,
                Negated = match.Groups[1].Value == "!",
            };
            if (opcode is "bra" or "bra.uni")
            {
                instruction.Kind = InstructionKind.Branch;
                instruction.Target = labels[operands[0]];
                return instruction;
            }

            // Addresses and braces apart from plain operands.
            string type = opcode.Split('.')[^1];
            var plain = new List<int>();
            var vectors = new List<int[]>();
            var addresses = new List<Address>();
            foreach (string operand in operands)
            {
                if (operand.StartsWith('{'))
                {
                    vectors.Add([.. Split(operand[1..^1]).Select(part => Operand(part, type))]);
                }
                else if (operand.StartsWith('['))
                {
                    addresses.Add(AddressOf(operand[1..^1]));
                }
                else
                {
                    plain.Add(Operand(operand, type));
                }
            }

            instruction.Operands = [.. plain];
            instruction.Vectors = [.. vectors];
            instruction.Address = addresses.Count > 0 ? addresses[0] : new Address(-1, 0);
            instruction.Second = addresses.Count > 1 ? addresses[1] : new Address(-1, 0);
            if (plain.Count > 0)
            {
                instruction.Mask = _masks[plain[0]];
            }

            Operations.Bind(instruction, type);
            return instruction;
        }

        private Address AddressOf(string text)
        {
            int plus = text.IndexOf('+', StringComparison.Ordinal);
            string first = (plus < 0 ? text : text[..plus]).Trim();
            long offset = plus < 0 ? 0 : long.Parse(text[(plus + 1)..], CultureInfo.InvariantCulture);
            if (first.StartsWith('%'))
            {
                return new Address(_registers[first], offset);
            }

            return first == _parameter ? new Address(-1, offset) : new Address(-1, offset + _offsets[first]);
        }

        private int Operand(string text, string type)
        {
            if (text.StartsWith('%'))
            {
                if (_registers.TryGetValue(text, out int register))
                {
                    return register;
                }

                if (!_special.TryGetValue(text, out register))
                {
                    register = New(0, 0xFFFFFFFF);
                    _special[text] = register;
                }

                return register;
            }

            if (text == "tmp")
            {
                return _registers[text];
            }

            if (text == _parameter)
            {
                return Constant(0);
            }

            if (_offsets.TryGetValue(text, out int offset))
            {
                return Constant((ulong)offset);
            }

            if (text.StartsWith("0f", StringComparison.Ordinal) || text.StartsWith("0d", StringComparison.Ordinal))
            {
                return Constant(ulong.Parse(text.AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture));
            }

            if (text.StartsWith("0x", StringComparison.Ordinal))
            {
                return Constant(ulong.Parse(text.AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture));
            }

            ulong value = text.StartsWith('-')
                ? (ulong)long.Parse(text, CultureInfo.InvariantCulture) : ulong.Parse(text, CultureInfo.InvariantCulture);
            return Constant(type is "s64" or "u64" or "b64" ? value : type is "s16" or "u16" or "b16" ? (ushort)value : (uint)value);
        }

        private static IEnumerable<string> Split(string text)
        {
            int depth = 0;
            int begin = 0;
            for (int i = 0; i < text.Length; i++)
            {
                depth += text[i] is '{' or '[' ? 1 : text[i] is '}' or ']' ? -1 : 0;
                if (text[i] == ',' && depth == 0)
                {
                    yield return text[begin..i].Trim();
                    begin = i + 1;
                }
            }

            if (text[begin..].Trim() is { Length: > 0 } last)
            {
                yield return last;
            }
        }

        [GeneratedRegex(@"(\w+)\[(\d+)\]")]
        private static partial Regex Parameter();

        [GeneratedRegex(@"\.reg \.(\w+)\s+(%\w+?)<(\d+)>;")]
        private static partial Regex Registers();

        /// <summary>The compiler's way to take one half of a word.</summary>
        [GeneratedRegex(@"\{\s*\.reg \.b\d+ tmp;\s*(mov\.b\d+ [^;]*);\s*\}")]
        private static partial Regex Scoped();

        [GeneratedRegex(@"^\s*\$\w+:$")]
        private static partial Regex Label();

        [GeneratedRegex(@"^(?:@(!?)(%\w+)\s+)?([\w.]+)\s*(.*)$", RegexOptions.Singleline)]
        private static partial Regex Statement();

        [GeneratedRegex(@"\.maxntid (\d+)")]
        private static partial Regex MaxThreads();
    }
}
