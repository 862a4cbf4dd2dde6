namespace Understory.PtxEmulator;

/// <summary>
/// <c>mma.m16n8k16</c>: D = A B + C, with the operands spread over the lanes as the PTX manual says. Each sum of sixteen products and C is
/// taken in double precision and rounded once; a device rounds differently, but also always in the same way.
/// </summary>
internal static unsafe class MatrixProduct
{
    public static void Run(ulong* registers, Instruction instruction)
    {
        bool brain = instruction.Opcode.Contains("bf16", StringComparison.Ordinal);
        float* a = stackalloc float[16 * 16];
        float* b = stackalloc float[16 * 8];
        float* sums = stackalloc float[16 * 8];
        for (int lane = 0; lane < 32; lane++)
        {
            int group = lane >> 2;
            int within = (lane & 3) * 2;
            for (int word = 0; word < 4; word++)
            {
                uint bits = (uint)registers[(instruction.Vectors[1][word] * 32) + lane];
                int row = group + (8 * (word & 1));
                int column = within + (8 * (word >> 1));
                a[(row * 16) + column] = Value(brain, bits & 0xFFFF);
                a[(row * 16) + column + 1] = Value(brain, bits >> 16);
            }

            for (int word = 0; word < 2; word++)
            {
                uint bits = (uint)registers[(instruction.Vectors[2][word] * 32) + lane];
                int row = within + (8 * word);
                b[(row * 8) + group] = Value(brain, bits & 0xFFFF);
                b[((row + 1) * 8) + group] = Value(brain, bits >> 16);
            }

            for (int word = 0; word < 4; word++)
            {
                sums[((group + (8 * (word >> 1))) * 8) + within + (word & 1)] =
                    Operations.Float(registers[(instruction.Vectors[3][word] * 32) + lane]);
            }
        }

        for (int row = 0; row < 16; row++)
        {
            for (int column = 0; column < 8; column++)
            {
                double sum = sums[(row * 8) + column];
                for (int k = 0; k < 16; k++)
                {
                    sum += (double)a[(row * 16) + k] * b[(k * 8) + column];
                }

                sums[(row * 8) + column] = (float)sum;
            }
        }

        for (int lane = 0; lane < 32; lane++)
        {
            int group = lane >> 2;
            int within = (lane & 3) * 2;
            for (int word = 0; word < 4; word++)
            {
                registers[(instruction.Vectors[0][word] * 32) + lane] =
                    Operations.Bits(sums[((group + (8 * (word >> 1))) * 8) + within + (word & 1)]);
            }
        }
    }

    private static float Value(bool brain, uint bits) =>
        brain ? BitConverter.UInt32BitsToSingle(bits << 16) : (float)BitConverter.UInt16BitsToHalf((ushort)bits);
}
