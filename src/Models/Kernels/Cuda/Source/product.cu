// y = activation(x w^T + bias) [+ y], and the gated pair activation(x gate^T) * (x up^T).
//
// Weights are the M of mma.m16n8k16, tokens its N. A packed matrix is tiles of 16 outputs by 32 inputs, 1024 bytes each, in the order in
// which the lanes of a warp hold them: a warp takes a tile by one 16-byte access per lane and multiplication step, without ldmatrix. The
// order of the inputs inside a tile is chosen so that lane t of a row also finds its eight inputs of x side by side: 8t .. 8t + 7.
//
// A block is MT tiles of outputs and NT tiles of eight tokens. Its eight warps are eight fixed segments of the inputs, each summed from
// zero in ascending order, then folded in ascending order: the sum of an output is the same whatever the number of tokens, MT or NT.
// tiles.cu has the same sums for wide passes.
#include "product.cuh"

constexpr int RingBytes = 8192;

// Bytes from one normalised row in shared memory to the next: an odd number of 64-byte steps, so that two rows' parts lie in different
// banks.
DEVICE int normed_stride(int pairs) { return (pairs | 1) * 64; }

template <typename T, int MT, int NT, bool normed> DEVICE void product(const ProductArgs &a)
{
    constexpr int Stages = RingBytes / TileBytes / MT;
    extern SHARED __attribute__((aligned(128))) u8 memory[];
    int warp = thread() >> 5;
    int lane = thread() & 31;
    int firstToken = block_x() * (NT * 8);
    int tiles = (a.outputs + 15) >> 4;
    int begin = (int)((i64)a.pairs * warp / Segments);
    int end = (int)((i64)a.pairs * (warp + 1) / Segments);
    u8 *ring = memory + warp * RingBytes;

    // Where this lane's part of each of the MT tiles begins. Behind the last tile stands the last one again; its sums are dropped.
    const u8 *source[MT];
    for (int m = 0; m < MT; m++)
    {
        int tile = a.up ? (int)block_y() : min_of((int)block_y() * MT + m, tiles - 1);
        source[m] = (a.up && m == 1 ? a.up : a.weights) + ((i64)tile * a.pairs + begin) * TileBytes + lane * 16;
    }

    // Weights are under way before the wait: they depend on nothing.
#pragma unroll
    for (int stage = 0; stage < Stages; stage++)
    {
        if (begin + stage < end)
            for (int m = 0; m < MT; m++)
            {
                u8 *to = ring + (stage * MT + m) * TileBytes + lane * 16;
                copy_async(to, source[m] + stage * TileBytes);
                copy_async(to + 512, source[m] + stage * TileBytes + 512);
            }
        commit_copies();
    }

    wait_for_previous();
    int group = lane >> 2;
    const u16 *x;
    i64 xStride;
    if (normed)
    {
        u8 *rows = memory + Segments * RingBytes;
        int stride = normed_stride(a.pairs);
        if (warp < a.rows)
            normalise(a.norm, warp, [&](int i, float y) {
                put<T>((u16 *)(rows + warp * stride), i, y);
                if (block_y() == 0) // For who reads it behind the pass.
                    put<T>((u16 *)a.x + (i64)warp * a.xStride, i, y);
            });
        barrier();
        xStride = stride / 2;
        x = (const u16 *)(rows + group * stride) + begin * 32 + (lane & 3) * 8;
    }
    else
    {
        xStride = a.xStride;
        x = a.x + (i64)(firstToken + group) * xStride + (i64)begin * 32 + (lane & 3) * 8;
    }
    float c[MT][NT][4];
    Words b[NT];
#pragma unroll
    for (int n = 0; n < NT; n++)
    {
        b[n] = Words{0, 0, 0, 0};
        if (begin < end && firstToken + n * 8 + group < a.rows)
            b[n] = *(const Words *)(x + n * 8 * xStride);
#pragma unroll
        for (int m = 0; m < MT; m++)
            c[m][n][0] = c[m][n][1] = c[m][n][2] = c[m][n][3] = 0;
    }

    int slot = 0;
    for (int pair = begin; pair < end; pair++)
    {
        wait_copies<Stages - 1>();
        warp_barrier();
        Words weights[MT][2];
#pragma unroll
        for (int m = 0; m < MT; m++)
        {
            const u8 *from = ring + (slot * MT + m) * TileBytes + lane * 16;
            weights[m][0] = *(const Words *)from;
            weights[m][1] = *(const Words *)(from + 512);
        }

        // The next step's tokens come while this one's are multiplied.
        Words next[NT];
#pragma unroll
        for (int n = 0; n < NT; n++)
        {
            next[n] = Words{0, 0, 0, 0};
            if (pair + 1 < end && firstToken + n * 8 + group < a.rows)
                next[n] = *(const Words *)(x + n * 8 * xStride + 32);
        }

        x += 32;
        warp_barrier(); // Every lane has read the slot that is filled again now.
        if (pair + Stages < end)
#pragma unroll
            for (int m = 0; m < MT; m++)
            {
                u8 *to = ring + (slot * MT + m) * TileBytes + lane * 16;
                const u8 *from = source[m] + (i64)(pair - begin + Stages) * TileBytes;
                copy_async(to, from);
                copy_async(to + 512, from + 512);
            }

        commit_copies();
        slot = slot + 1 == Stages ? 0 : slot + 1;
#pragma unroll
        for (int n = 0; n < NT; n++)
            if (firstToken + n * 8 < a.rows)
#pragma unroll
                for (int m = 0; m < MT; m++)
                {
                    Words w = weights[m][0];
                    multiply<T>(c[m][n], Pair{w.x, w.y}, Pair{w.z, w.w}, b[n].x, b[n].y);
                    w = weights[m][1];
                    multiply<T>(c[m][n], Pair{w.x, w.y}, Pair{w.z, w.w}, b[n].z, b[n].w);
                }
#pragma unroll
        for (int n = 0; n < NT; n++)
            b[n] = next[n];
    }

    // The segments' sums meet in shared memory, where the ring was.
    wait_copies<0>();
    barrier();
    float *sums = (float *)memory;
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < NT; n++)
        {
            float *to = sums + (((warp * MT + m) * NT + n) * 32 + lane) * 4;
            *(Words *)to = Words{bits(c[m][n][0]), bits(c[m][n][1]), bits(c[m][n][2]), bits(c[m][n][3])};
        }
    barrier();
    let_next_start();

    // Sixteen neighbouring threads take sixteen outputs of a token.
    int single = a.up ? 1 : MT;
    for (int item = thread(); item < single * NT * 128; item += Segments * 32)
    {
        int within = item & 15;
        int token = (item >> 4) % (NT * 8);
        int m = (item >> 4) / (NT * 8);
        int output = ((int)block_y() * single + m) * 16 + within;
        int row = firstToken + token;
        if (output >= a.outputs || row >= a.rows)
            continue;
        int at = ((m * NT + (token >> 3)) * 32 + (within & 7) * 4 + ((token & 7) >> 1)) * 4 + (within >> 3) * 2 + (token & 1);
        float sum = sums[at];
        float second = 0;
#pragma unroll
        for (int segment = 1; segment < Segments; segment++)
            sum = sum + sums[at + segment * MT * NT * 128];
        if (a.up)
        {
            at += NT * 128;
            second = sums[at];
#pragma unroll
            for (int segment = 1; segment < Segments; segment++)
                second = second + sums[at + segment * MT * NT * 128];
        }
        finish(a, sum, second, output, row);
    }
}

#define PRODUCT(name, type, mt, nt) \
    GLOBAL BOUNDS(256) void name##_##mt##x##nt(ProductArgs a) { product<type, mt, nt, false>(a); }

#define NORMED(name, type, mt) \
    GLOBAL BOUNDS(256) void name##_normed_##mt(ProductArgs a) { product<type, mt, 1, true>(a); }

#define PRODUCTS(name, type) \
    PRODUCT(name, type, 1, 1) PRODUCT(name, type, 1, 2) PRODUCT(name, type, 1, 4) PRODUCT(name, type, 1, 8) \
    PRODUCT(name, type, 2, 1) PRODUCT(name, type, 2, 2) PRODUCT(name, type, 2, 4) PRODUCT(name, type, 2, 8) \
    NORMED(name, type, 1) NORMED(name, type, 2)

PRODUCTS(product_bf16, bfloat16)
PRODUCTS(product_f16, float16)

// F32 weights [outputs, weightStride], `pairs` being the inputs here: a warp an output, eight tokens at a time; lane l adds inputs l, l +
// 32, ...
GLOBAL BOUNDS(256) void product_f32(ProductArgs a)
{
    wait_for_previous();
    int output = block_y() * 8 + (thread() >> 5);
    int lane = thread() & 31;
    int firstToken = block_x() * 8;
    if (output < a.outputs)
    {
        const float *weights = (const float *)a.weights + (i64)output * a.weightStride;
        const float *up = a.up ? (const float *)a.up + (i64)output * a.weightStride : weights;
        const float *x = (const float *)a.x;
        for (int token = firstToken; token < min_of(firstToken + 8, a.rows); token++)
        {
            float sum = 0, second = 0;
            for (int i = lane; i < a.pairs; i += 32)
            {
                float value = x[(i64)token * a.xStride + i];
                sum = fma(weights[i], value, sum);
                if (a.up)
                    second = fma(up[i], value, second);
            }
            sum = warp_sum(sum);
            if (a.up)
                second = warp_sum(second);
            if (lane == 0)
                finish(a, sum, second, output, token);
        }
    }
    let_next_start();
}
