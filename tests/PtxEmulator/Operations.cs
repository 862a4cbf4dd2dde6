using System.Runtime.CompilerServices;

namespace Understory.PtxEmulator;

/// <summary>What each opcode does. A register is 32 lanes of 64 bits; narrower values are held zero-extended.</summary>
internal static unsafe class Operations
{
    private static readonly Dictionary<string, nint> _alu = [];

    private interface ILane
    {
        static abstract ulong Apply(ulong a, ulong b, ulong c);
    }

    static Operations()
    {
        Add<Copy>("mov.u16", "mov.b16", "mov.u32", "mov.s32", "mov.b32", "mov.f32", "mov.u64", "mov.s64", "mov.b64", "mov.f64", "mov.pred",
            "cvta.global.u64", "cvta.to.global.u64", "cvt.u64.u32", "cvt.u32.u16", "cvt.u64.u16");
        Add<Add32>("add.s32", "add.u32");
        Add<Add64>("add.s64", "add.u64");
        Add<Sub32>("sub.s32", "sub.u32");
        Add<Sub64>("sub.s64", "sub.u64");
        Add<Mul32>("mul.lo.s32", "mul.lo.u32");
        Add<Mul64>("mul.lo.s64", "mul.lo.u64");
        Add<MulWideS32>("mul.wide.s32");
        Add<MulWideU32>("mul.wide.u32");
        Add<Mul32>("mul.wide.u16");
        Add<MulHighU32>("mul.hi.u32");
        Add<Mad32>("mad.lo.s32", "mad.lo.u32");
        Add<Mad64>("mad.lo.s64", "mad.lo.u64");
        Add<MadWideS32>("mad.wide.s32");
        Add<MadWideU32>("mad.wide.u32");
        Add<DivS32>("div.s32");
        Add<DivU32>("div.u32");
        Add<DivS64>("div.s64");
        Add<DivU64>("div.u64");
        Add<RemS32>("rem.s32");
        Add<RemU32>("rem.u32");
        Add<And>("and.b16", "and.b32", "and.b64", "and.pred");
        Add<Or>("or.b16", "or.b32", "or.b64", "or.pred");
        Add<Xor>("xor.b16", "xor.b32", "xor.b64", "xor.pred");
        Add<Not32>("not.b32");
        Add<Not64>("not.b64");
        Add<NotPredicate>("not.pred");
        Add<Shl32>("shl.b32");
        Add<Shl64>("shl.b64");
        Add<ShrU16>("shr.u16");
        Add<ShrU32>("shr.u32", "shr.b32");
        Add<ShrS32>("shr.s32");
        Add<ShrU64>("shr.u64", "shr.b64");
        Add<ShrS64>("shr.s64");
        Add<Bfe32>("bfe.u32");
        Add<MinS32>("min.s32");
        Add<MaxS32>("max.s32");
        Add<MinU32>("min.u32");
        Add<MaxU32>("max.u32");
        Add<MinU64>("min.u64");
        Add<MaxU64>("max.u64");
        Add<Select>("selp.b16", "selp.b32", "selp.u32", "selp.s32", "selp.f32", "selp.b64", "selp.u64", "selp.s64");
        Add<SignExtend32>("cvt.s64.s32");
        Add<Low32>("cvt.u32.u64", "cvt.s32.s64");
        Add<Low16>("cvt.u16.u32", "cvt.u16.u64");
        Add<EqB>("setp.eq.s32", "setp.eq.u32", "setp.eq.b32", "setp.eq.s64", "setp.eq.u64", "setp.eq.b64", "setp.eq.s16", "setp.eq.u16",
            "setp.eq.b16");
        Add<NeB>("setp.ne.s32", "setp.ne.u32", "setp.ne.b32", "setp.ne.s64", "setp.ne.u64", "setp.ne.b64", "setp.ne.s16", "setp.ne.u16",
            "setp.ne.b16");
        Add<LtS32>("setp.lt.s32");
        Add<LeS32>("setp.le.s32");
        Add<GtS32>("setp.gt.s32");
        Add<GeS32>("setp.ge.s32");
        Add<LtU>("setp.lt.u32", "setp.lt.u64");
        Add<LeU>("setp.le.u32", "setp.le.u64");
        Add<GtU>("setp.gt.u32", "setp.gt.u64");
        Add<GeU>("setp.ge.u32", "setp.ge.u64");
        Add<LtS64>("setp.lt.s64");
        Add<LeS64>("setp.le.s64");
        Add<GtS64>("setp.gt.s64");
        Add<GeS64>("setp.ge.s64");
        Add<EqF>("setp.eq.f32");
        Add<NeuF>("setp.neu.f32");
        Add<LtF>("setp.lt.f32");
        Add<LeF>("setp.le.f32");
        Add<GtF>("setp.gt.f32");
        Add<GeF>("setp.ge.f32");
        Add<LtuF>("setp.ltu.f32");
        Add<LeuF>("setp.leu.f32");
        Add<GtuF>("setp.gtu.f32");
        Add<GeuF>("setp.geu.f32");
        Add<NanF>("setp.nan.f32");
        Add<NumF>("setp.num.f32");
        Add<AddF>("add.rn.f32");
        Add<SubF>("sub.rn.f32");
        Add<MulF>("mul.rn.f32");
        Add<FmaF>("fma.rn.f32");
        Add<DivF>("div.rn.f32");
        Add<RcpF>("rcp.rn.f32");
        Add<SqrtF>("sqrt.rn.f32");
        Add<NegF>("neg.f32");
        Add<AbsF>("abs.f32");
        Add<MinF>("min.f32");
        Add<MaxF>("max.f32");
        Add<FloatFromU32>("cvt.rn.f32.u32");
        Add<FloatFromS32>("cvt.rn.f32.s32");
        Add<FloatFromHalf>("cvt.f32.f16");
        Add<PackHalves>("cvt.rn.f16x2.f32");
        Add<PackBrains>("cvt.rn.bf16x2.f32");
        Add<U64FromFloat>("cvt.rzi.u64.f32");
        Add<U64FromDouble>("cvt.rzi.u64.f64");
        Add<DoubleFromU64>("cvt.rn.f64.u64");
        Add<DoubleFromFloat>("cvt.f64.f32");
        Add<MulD>("mul.rn.f64");
        Add<Neg32>("neg.s32");
        Add<Neg64>("neg.s64");
    }

    /// <summary>Finds out what an instruction is; refuses what is not known.</summary>
    public static void Bind(Instruction instruction, string type)
    {
        string opcode = instruction.Opcode;
        string[] parts = opcode.Split('.');
        if (parts[0] == "mov" && instruction.Vectors.Length == 1)
        {
            instruction.Kind = InstructionKind.Alu;
            // {low, high} from a word, or a word from {low, high}.
            instruction.Alu = instruction.Operands.Length == 0 ? throw Unknown(instruction)
                : instruction.Text.IndexOf('{', StringComparison.Ordinal) < instruction.Text.IndexOf(',', StringComparison.Ordinal)
                ? &Unpack : &Pack;
            instruction.Size = type == "b64" ? 32 : 16;
            return;
        }

        if (_alu.TryGetValue(opcode, out nint alu) && instruction.Vectors.Length == 0)
        {
            instruction.Kind = InstructionKind.Alu;
            instruction.Alu = (delegate*<ulong*, Instruction, uint, void>)alu;
            return;
        }

        instruction.Kind = opcode switch
        {
            "ret" or "exit" => InstructionKind.Exit,
            "bar.sync" => InstructionKind.Barrier,
            "bar.warp.sync" => InstructionKind.WarpBarrier,
            "shfl.sync.bfly.b32" => InstructionKind.Shuffle,
            "cp.async.cg.shared.global" => InstructionKind.CopyAsync,
            "cp.async.commit_group" => InstructionKind.CommitCopies,
            "cp.async.wait_group" => InstructionKind.WaitCopies,
            "red.shared.add.u64" => InstructionKind.ReduceShared,
            "griddepcontrol.wait" => InstructionKind.WaitForPrevious,
            "griddepcontrol.launch_dependents" => InstructionKind.Nothing,
            "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32" or "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32" =>
                InstructionKind.Matrix,
            _ when parts[0] == "ld" && parts[1] == "param" => InstructionKind.LoadParameter,
            _ when parts[0] == "ld" && parts[1] == "shared" => InstructionKind.LoadShared,
            _ when parts[0] == "ld" && parts[1] is "global" or "u8" or "u16" or "u32" or "s32" or "f32" or "u64" or "v2" or "v4" =>
                InstructionKind.LoadGlobal,
            _ when parts[0] == "st" && parts[1] == "shared" => InstructionKind.StoreShared,
            _ when parts[0] == "st" && parts[1] is "global" or "u8" or "u16" or "u32" or "f32" or "u64" or "v2" or "v4" =>
                InstructionKind.StoreGlobal,
            _ => throw Unknown(instruction),
        };
        instruction.Size = type switch
        {
            "u8" or "b8" => 1,
            "u16" or "b16" or "s16" => 2,
            "u32" or "b32" or "s32" or "f32" => 4,
            "u64" or "b64" or "s64" or "f64" => 8,
            _ => 0,
        };
        instruction.Signed = type.StartsWith('s');
        if (instruction.Kind is InstructionKind.LoadGlobal or InstructionKind.StoreGlobal or InstructionKind.LoadShared
                or InstructionKind.StoreShared or InstructionKind.LoadParameter
            && (instruction.Size == 0 || instruction.Vectors.Length > 1))
        {
            throw Unknown(instruction);
        }
    }

    public static float Float(ulong x) => BitConverter.UInt32BitsToSingle((uint)x);

    public static ulong Bits(float x) => BitConverter.SingleToUInt32Bits(x);

    private static EmulationException Unknown(Instruction instruction) => new($"Unknown instruction: {instruction.Text}");

    private static void Add<T>(params ReadOnlySpan<string> opcodes)
        where T : ILane
    {
        foreach (string opcode in opcodes)
        {
            delegate*<ulong*, Instruction, uint, void> run = &Run<T>;
            _alu.Add(opcode, (nint)run);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Run<T>(ulong* registers, Instruction instruction, uint lanes)
        where T : ILane
    {
        int[] operands = instruction.Operands;
        ulong* d = registers + (operands[0] * 32);
        ulong* a = registers + (operands[1] * 32);
        ulong* b = operands.Length > 2 ? registers + (operands[2] * 32) : a;
        ulong* c = operands.Length > 3 ? registers + (operands[3] * 32) : a;
        ulong mask = instruction.Mask;
        if (lanes == uint.MaxValue)
        {
            for (int lane = 0; lane < 32; lane++)
            {
                d[lane] = T.Apply(a[lane], b[lane], c[lane]) & mask;
            }

            return;
        }

        for (; lanes != 0; lanes &= lanes - 1)
        {
            int lane = System.Numerics.BitOperations.TrailingZeroCount(lanes);
            d[lane] = T.Apply(a[lane], b[lane], c[lane]) & mask;
        }
    }

    private static void Unpack(ulong* registers, Instruction instruction, uint lanes)
    {
        for (int lane = 0; lane < 32; lane++)
        {
            if ((lanes >> lane & 1) != 0)
            {
                ulong word = registers[(instruction.Operands[0] * 32) + lane];
                ulong mask = (1UL << instruction.Size) - 1;
                registers[(instruction.Vectors[0][0] * 32) + lane] = word & mask;
                registers[(instruction.Vectors[0][1] * 32) + lane] = (word >> instruction.Size) & mask;
            }
        }
    }

    private static void Pack(ulong* registers, Instruction instruction, uint lanes)
    {
        for (int lane = 0; lane < 32; lane++)
        {
            if ((lanes >> lane & 1) != 0)
            {
                registers[(instruction.Operands[0] * 32) + lane] =
                    registers[(instruction.Vectors[0][0] * 32) + lane]
                        | (registers[(instruction.Vectors[0][1] * 32) + lane] << instruction.Size);
            }
        }
    }

    private static uint Half(float x) => BitConverter.HalfToUInt16Bits((Half)x);

    /// <summary>To nearest, ties to even.</summary>
    private static uint Brain(float x)
    {
        uint bits = BitConverter.SingleToUInt32Bits(x);
        return float.IsNaN(x) ? 0x7FFF : (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
    }

    private static ulong Truth(bool x) => x ? 1UL : 0;

    private static float Smaller(float a, float b) => float.IsNaN(a) ? b : float.IsNaN(b) ? a : MathF.Min(a, b);

    private static float Larger(float a, float b) => float.IsNaN(a) ? b : float.IsNaN(b) ? a : MathF.Max(a, b);

    private static ulong Whole(double x) => double.IsNaN(x) || x <= 0 ? 0 : x >= 18446744073709551615.0 ? ulong.MaxValue : (ulong)x;

    // One line an operation: a, b and c are the operands behind the destination.
    private struct Copy : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => a; }

    private struct Add32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => (uint)a + (uint)b; }

    private struct Add64 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => a + b; }

    private struct Sub32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => (uint)a - (uint)b; }

    private struct Sub64 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => a - b; }

    private struct Mul32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => (uint)a * (uint)b; }

    private struct Mul64 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => a * b; }

    private struct MulWideS32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => (ulong)((long)(int)a * (int)b); }

    private struct MulWideU32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => (ulong)(uint)a * (uint)b; }

    private struct MulHighU32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => ((ulong)(uint)a * (uint)b) >> 32; }

    private struct Mad32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => ((uint)a * (uint)b) + (uint)c; }

    private struct Mad64 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => (a * b) + c; }

    private struct MadWideS32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => (ulong)((long)(int)a * (int)b) + c; }

    private struct MadWideU32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => ((ulong)(uint)a * (uint)b) + c; }

    private struct DivS32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => (uint)((int)a / (int)b); }

    private struct DivU32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => (uint)a / (uint)b; }

    private struct DivS64 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => (ulong)((long)a / (long)b); }

    private struct DivU64 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => a / b; }

    private struct RemS32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => (uint)((int)a % (int)b); }

    private struct RemU32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => (uint)a % (uint)b; }

    private struct And : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => a & b; }

    private struct Or : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => a | b; }

    private struct Xor : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => a ^ b; }

    private struct Neg32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => 0u - (uint)a; }

    private struct Neg64 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => 0UL - a; }

    private struct Not32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => ~(uint)a; }

    private struct Not64 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => ~a; }

    private struct NotPredicate : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => a ^ 1; }

    private struct Shl32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => (uint)b > 31 ? 0 : (uint)a << (int)b; }

    private struct Shl64 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => (uint)b > 63 ? 0 : a << (int)b; }

    private struct ShrU16
        : ILane
    { public static ulong Apply(ulong a, ulong b, ulong c) => (uint)b > 15 ? 0 : (ulong)((ushort)a >> (int)b); }

    private struct ShrU32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => (uint)b > 31 ? 0 : (uint)a >> (int)b; }

    private struct ShrS32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => (uint)((int)a >> (int)Math.Min((uint)b, 31)); }

    private struct ShrU64 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => (uint)b > 63 ? 0 : a >> (int)b; }

    private struct ShrS64
        : ILane
    { public static ulong Apply(ulong a, ulong b, ulong c) => (ulong)((long)a >> (int)Math.Min((uint)b, 63)); }

    private struct Bfe32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => ((uint)a >> (int)b) & ((1UL << (int)c) - 1); }

    private struct MinS32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => (uint)Math.Min((int)a, (int)b); }

    private struct MaxS32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => (uint)Math.Max((int)a, (int)b); }

    private struct MinU32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Math.Min((uint)a, (uint)b); }

    private struct MaxU32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Math.Max((uint)a, (uint)b); }

    private struct MinU64 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Math.Min(a, b); }

    private struct MaxU64 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Math.Max(a, b); }

    private struct Select : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => c != 0 ? a : b; }

    private struct SignExtend32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => (ulong)(int)a; }

    private struct Low32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => (uint)a; }

    private struct Low16 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => (ushort)a; }

    private struct EqB : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Truth(a == b); }

    private struct NeB : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Truth(a != b); }

    private struct LtS32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Truth((int)a < (int)b); }

    private struct LeS32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Truth((int)a <= (int)b); }

    private struct GtS32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Truth((int)a > (int)b); }

    private struct GeS32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Truth((int)a >= (int)b); }

    private struct LtU : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Truth(a < b); }

    private struct LeU : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Truth(a <= b); }

    private struct GtU : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Truth(a > b); }

    private struct GeU : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Truth(a >= b); }

    private struct LtS64 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Truth((long)a < (long)b); }

    private struct LeS64 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Truth((long)a <= (long)b); }

    private struct GtS64 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Truth((long)a > (long)b); }

    private struct GeS64 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Truth((long)a >= (long)b); }

    private struct EqF : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Truth(Float(a) == Float(b)); }

    private struct NeuF : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Truth(Float(a) != Float(b)); }

    private struct LtF : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Truth(Float(a) < Float(b)); }

    private struct LeF : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Truth(Float(a) <= Float(b)); }

    private struct GtF : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Truth(Float(a) > Float(b)); }

    private struct GeF : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Truth(Float(a) >= Float(b)); }

    private struct LtuF : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Truth(!(Float(a) >= Float(b))); }

    private struct LeuF : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Truth(!(Float(a) > Float(b))); }

    private struct GtuF : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Truth(!(Float(a) <= Float(b))); }

    private struct GeuF : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Truth(!(Float(a) < Float(b))); }

    private struct NanF
        : ILane
    { public static ulong Apply(ulong a, ulong b, ulong c) => Truth(float.IsNaN(Float(a)) || float.IsNaN(Float(b))); }

    private struct NumF
        : ILane
    { public static ulong Apply(ulong a, ulong b, ulong c) => Truth(!float.IsNaN(Float(a)) && !float.IsNaN(Float(b))); }

    private struct AddF : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Bits(Float(a) + Float(b)); }

    private struct SubF : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Bits(Float(a) - Float(b)); }

    private struct MulF : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Bits(Float(a) * Float(b)); }

    private struct FmaF
        : ILane
    { public static ulong Apply(ulong a, ulong b, ulong c) => Bits(MathF.FusedMultiplyAdd(Float(a), Float(b), Float(c))); }

    private struct DivF : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Bits(Float(a) / Float(b)); }

    private struct RcpF : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Bits(1 / Float(a)); }

    private struct SqrtF : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Bits(MathF.Sqrt(Float(a))); }

    private struct NegF : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => a ^ 0x80000000; }

    private struct AbsF : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => a & 0x7FFFFFFF; }

    private struct MinF : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Bits(Smaller(Float(a), Float(b))); }

    private struct MaxF : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Bits(Larger(Float(a), Float(b))); }

    private struct FloatFromU32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Bits((uint)a); }

    private struct FloatFromS32 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Bits((int)a); }

    private struct FloatFromHalf
        : ILane
    { public static ulong Apply(ulong a, ulong b, ulong c) => Bits((float)BitConverter.UInt16BitsToHalf((ushort)a)); }

    private struct PackHalves : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => (Half(Float(a)) << 16) | Half(Float(b)); }

    private struct PackBrains : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => (Brain(Float(a)) << 16) | Brain(Float(b)); }

    private struct U64FromFloat : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => Whole(Float(a)); }

    private struct U64FromDouble
        : ILane
    { public static ulong Apply(ulong a, ulong b, ulong c) => Whole(BitConverter.UInt64BitsToDouble(a)); }

    private struct DoubleFromU64 : ILane { public static ulong Apply(ulong a, ulong b, ulong c) => BitConverter.DoubleToUInt64Bits(a); }

    private struct DoubleFromFloat
        : ILane
    { public static ulong Apply(ulong a, ulong b, ulong c) => BitConverter.DoubleToUInt64Bits(Float(a)); }

    private struct MulD : ILane
    {
        public static ulong Apply(ulong a, ulong b, ulong c) =>
        BitConverter.DoubleToUInt64Bits(BitConverter.UInt64BitsToDouble(a) * BitConverter.UInt64BitsToDouble(b));
    }
}
