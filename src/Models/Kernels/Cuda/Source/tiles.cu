// The products of wide passes, for which product.cu would read its inputs too often. The same sums, bit for bit: the eight fixed segments
// of the inputs, each summed from zero in ascending order by the same instruction, folded in ascending order; here one warp runs through
// all of them.
//
// A block is 2 MT tiles of 16 outputs and 128 tokens (of a gated pair, MT tiles of either matrix). Its eight warps, two by four, take MT
// tiles by 32 tokens each, and share weights and inputs in a ring of shared memory: a step of 32 inputs is copied once and read by four
// and by two warps. Both lie as the lanes read them, 16 bytes a lane and 512 side by side, so no two lanes meet in a bank.
#include "product.cuh"

constexpr int Tokens = 128, WarpTokenTiles = 4, InputBytes = Tokens * 64, Stages = 4;

template <typename T, int MT> DEVICE void tiles(const ProductArgs &a)
{
    constexpr int Tiles = 2 * MT;
    constexpr int NT = WarpTokenTiles;
    constexpr int StageBytes = Tiles * TileBytes + InputBytes;
    constexpr int WeightCopies = Tiles * TileBytes / 16 / 256;
    extern SHARED __attribute__((aligned(128))) u8 memory[];
    int lane = thread() & 31;
    int warpTile = (thread() >> 7) * MT;
    int warpToken = ((thread() >> 5) & 3) * NT;
    int firstToken = block_x() * Tokens;
    int single = a.up ? MT : Tiles;
    int firstTile = block_y() * single;
    int last = ((a.outputs + 15) >> 4) - 1;

    // Behind the last tile and the last token stand the last ones again; their sums are dropped.
    const u8 *weights[WeightCopies];
#pragma unroll
    for (int i = 0; i < WeightCopies; i++)
    {
        int at = thread() + i * 256;
        int tile = at >> 6;
        bool second = tile >= single;
        weights[i] = (second ? a.up : a.weights)
                     + (i64)min_of(firstTile + (second ? tile - single : tile), last) * a.pairs * TileBytes + (at & 63) * 16;
    }
    const u16 *inputs[2];
#pragma unroll
    for (int i = 0; i < 2; i++)
    {
        int at = thread() + i * 256;
        inputs[i] = a.x + (i64)min_of(firstToken + (at >> 2), a.rows - 1) * a.xStride + (at & 3) * 8;
    }

    auto fetchWeights = [&](int pair, int slot) {
#pragma unroll
        for (int i = 0; i < WeightCopies; i++)
            copy_async(memory + slot * StageBytes + (thread() + i * 256) * 16, weights[i] + (i64)pair * TileBytes);
    };
    auto fetchInputs = [&](int pair, int slot) {
#pragma unroll
        for (int i = 0; i < 2; i++)
            copy_async(memory + slot * StageBytes + Tiles * TileBytes + (thread() + i * 256) * 16, inputs[i] + pair * 32);
    };

    // Weights are under way before the wait: they depend on nothing.
#pragma unroll
    for (int stage = 0; stage < Stages - 1; stage++)
        if (stage < a.pairs)
            fetchWeights(stage, stage);
    wait_for_previous();
#pragma unroll
    for (int stage = 0; stage < Stages - 1; stage++)
    {
        if (stage < a.pairs)
            fetchInputs(stage, stage);
        commit_copies();
    }

    float total[MT][NT][4], c[MT][NT][4];
    int pair = 0;
    int slot = 0;
#pragma unroll 1
    for (int segment = 0; segment < Segments; segment++)
    {
#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
            for (int n = 0; n < NT; n++)
                c[m][n][0] = c[m][n][1] = c[m][n][2] = c[m][n][3] = 0;
        int end = (int)((i64)a.pairs * (segment + 1) / Segments);
#pragma unroll 1
        for (; pair < end; pair++)
        {
            wait_copies<Stages - 2>();
            barrier(); // This step's copies are there for all, and all have read what is filled again now.
            int ahead = pair + Stages - 1;
            int free = slot == 0 ? Stages - 1 : slot - 1;
            if (ahead < a.pairs)
            {
                fetchWeights(ahead, free);
                fetchInputs(ahead, free);
            }
            commit_copies();
            const u8 *stage = memory + slot * StageBytes + lane * 16;
            slot = slot + 1 == Stages ? 0 : slot + 1;
            Words b[NT];
#pragma unroll
            for (int n = 0; n < NT; n++)
                b[n] = *(const Words *)(stage + Tiles * TileBytes + (warpToken + n) * 512);
#pragma unroll
            for (int m = 0; m < MT; m++)
            {
                Words w = *(const Words *)(stage + (warpTile + m) * TileBytes);
#pragma unroll
                for (int n = 0; n < NT; n++)
                    multiply<T>(c[m][n], Pair{w.x, w.y}, Pair{w.z, w.w}, b[n].x, b[n].y);
            }
#pragma unroll
            for (int m = 0; m < MT; m++)
            {
                Words w = *(const Words *)(stage + (warpTile + m) * TileBytes + 512);
#pragma unroll
                for (int n = 0; n < NT; n++)
                    multiply<T>(c[m][n], Pair{w.x, w.y}, Pair{w.z, w.w}, b[n].z, b[n].w);
            }
        }
#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
            for (int n = 0; n < NT; n++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    total[m][n][i] = segment == 0 ? c[m][n][i] : total[m][n][i] + c[m][n][i];
    }

    wait_copies<0>();
    barrier();
    let_next_start();
    float *sums = (float *)memory;
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < NT; n++)
        {
            const float *t = total[m][n];
            *(Words *)(sums + (((warpTile + m) * (Tokens / 8) + warpToken + n) * 32 + lane) * 4) =
                Words{bits(t[0]), bits(t[1]), bits(t[2]), bits(t[3])};
        }
    barrier();

    // Sixteen neighbouring threads take sixteen outputs of a token.
#pragma unroll 1
    for (int item = thread(); item < single * Tokens * 16; item += 256)
    {
        int within = item & 15;
        int token = (item >> 4) & (Tokens - 1);
        int tile = item / (Tokens * 16);
        int output = (firstTile + tile) * 16 + within;
        int row = firstToken + token;
        if (output >= a.outputs || row >= a.rows)
            continue;
        int at = ((tile * (Tokens / 8) + (token >> 3)) * 32 + (within & 7) * 4 + ((token & 7) >> 1)) * 4 + (within >> 3) * 2 + (token & 1);
        finish(a, sums[at], a.up ? sums[at + single * Tokens * 16] : 0.0f, output, row);
    }
}

// The smaller block leaves room for a second one on a multiprocessor.
#define TILES(name, type) \
    GLOBAL BOUNDS(256) void name##_8(ProductArgs a) { tiles<type, 4>(a); } \
    GLOBAL BOUNDS(256, 2) void name##_4(ProductArgs a) { tiles<type, 2>(a); }

TILES(tiles_bf16, bfloat16)
TILES(tiles_f16, float16)
