// Softmax attention of a row over its logical positions: the committed prefix, then its ancestors, wherever their slots are.
//
// A block is one row and one query head. Eight lanes (or as many as a head has eights of dimensions, rounded up to a power of two) hold a
// position's key, so a warp looks at several positions at once and four such groups in a row; warp w takes the chunks w, w + 8, ... of the
// positions with a running maximum, and the warps' sums are folded in ascending order. Which lane adds what depends on the logical
// position alone. What is not seen counts as zero and is not read.
#include "device.cuh"

enum { Warps = 8, Together = 4, MaxDims = 256 };

struct AttendArgs
{
    const Pass *pass;
    const float *queries;
    void *output;
    Layer keys, values;
    int heads, queryStride, outputStride, outputType, lanes, window; // lanes: per position, a power of two
    float scale;
};

// Eight elements; those beyond `count` are zero.
template <typename T, bool whole> DEVICE void eight(const typename T::Store *p, int count, float *x);

template <bool whole, float (*convert)(u16)> DEVICE void eight16(const u16 *p, int count, float *x)
{
    if (whole)
    {
        Words w = count > 0 ? *(const Words *)p : Words{0, 0, 0, 0};
        x[0] = convert((u16)w.x); x[1] = convert((u16)(w.x >> 16));
        x[2] = convert((u16)w.y); x[3] = convert((u16)(w.y >> 16));
        x[4] = convert((u16)w.z); x[5] = convert((u16)(w.z >> 16));
        x[6] = convert((u16)w.w); x[7] = convert((u16)(w.w >> 16));
    }
    else
#pragma unroll
        for (int i = 0; i < 8; i++)
            x[i] = i < count ? convert(p[i]) : 0.0f;
}

template <> SPECIAL void eight<bfloat16, true>(const u16 *p, int count, float *x) { eight16<true, from_bf16>(p, count, x); }
template <> SPECIAL void eight<bfloat16, false>(const u16 *p, int count, float *x) { eight16<false, from_bf16>(p, count, x); }
template <> SPECIAL void eight<float16, true>(const u16 *p, int count, float *x) { eight16<true, from_f16>(p, count, x); }
template <> SPECIAL void eight<float16, false>(const u16 *p, int count, float *x) { eight16<false, from_f16>(p, count, x); }
template <> SPECIAL void eight<float32, false>(const float *p, int count, float *x)
{
#pragma unroll
    for (int i = 0; i < 8; i++)
        x[i] = i < count ? p[i] : 0.0f;
}

// The warps' sums of dimension d of a row.
DEVICE void fold(const AttendArgs &a, const float *warpMax, const float *warpSum, const float *warpOutput, int d, int row,
                 int head, int length)
{
    float high = warpMax[0];
#pragma unroll
    for (int w = 1; w < Warps; w++)
        high = larger(high, warpMax[w]);
    float total = 0;
    float mean = 0;
#pragma unroll
    for (int w = 0; w < Warps; w++)
    {
        float weight = warpMax[w] == -infinity() ? 0.0f : exponential(warpMax[w] - high);
        total = fma(weight, warpSum[w], total);
        mean = fma(weight, warpOutput[w * MaxDims + d], mean);
    }
    put(a.outputType, a.output, (i64)row * a.outputStride + head * a.keys.dims + d, length > 0 ? mean / total : 0.0f);
}

// whole: dimensions are a multiple of eight.
template <typename T, bool whole> DEVICE void attend(const AttendArgs &a)
{
    SHARED static float warpMax[Warps];
    SHARED static float warpSum[Warps];
    SHARED static float warpOutput[Warps * MaxDims];
    wait_for_previous();
    int row = block_x();
    int head = block_y();
    int warp = thread() >> 5;
    int lane = thread() & 31;
    int dims = a.keys.dims;
    int kvHead = head / (a.heads / a.keys.heads);
    int prefix = a.pass->row[row].prefix;
    int length = prefix + a.pass->row[row].ancestors;
    int first = a.window > 0 ? max_of(0, length - a.window) : 0;
    const int *ancestors = ancestors_of(a.pass, row);
    int groups = 32 / a.lanes;
    int group = lane / a.lanes;
    int dim = (lane & (a.lanes - 1)) * 8;
    int count = max_of(0, min_of(8, dims - dim));

    float q[8];
    eight<float32, false>(a.queries + (i64)row * a.queryStride + head * dims + dim, count, q);
    float o[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    float sum = 0;
    float most = -infinity();
    int chunk = groups * Together;
    for (int begin = first / chunk / Warps * Warps * chunk + warp * chunk; begin < length; begin += Warps * chunk)
    {
        if (begin + chunk <= first)
            continue;
        float k[Together][8], v[Together][8], score[Together];
        bool seen[Together];
#pragma unroll
        for (int i = 0; i < Together; i++)
        {
            int position = begin + i * groups + group;
            seen[i] = position >= first && position < length;
            int slot = !seen[i] ? 0 : position < prefix ? position : ancestors[position - prefix];
            eight<T, whole>(slot_data<T>(a.pass->cache, a.keys, kvHead, slot) + dim, seen[i] ? count : 0, k[i]);
            eight<T, whole>(slot_data<T>(a.pass->cache, a.values, kvHead, slot) + dim, seen[i] ? count : 0, v[i]);
        }

        float high = most;
#pragma unroll
        for (int i = 0; i < Together; i++)
        {
            float dot = 0;
#pragma unroll
            for (int d = 0; d < 8; d++)
                dot = fma(q[d], k[i][d], dot);
            for (u32 lanes = a.lanes >> 1; lanes > 0; lanes >>= 1)
                dot = dot + shuffle_xor(dot, lanes);
            score[i] = seen[i] ? dot * a.scale : -infinity();
            high = larger(high, score[i]);
        }
        for (u32 lanes = a.lanes; lanes < 32; lanes <<= 1)
            high = larger(high, shuffle_xor(high, lanes));

        // A chunk has a position that is seen, so the maximum is a number.
        float shrink = most == -infinity() ? 0.0f : exponential(most - high);
        most = high;
        sum = sum * shrink;
#pragma unroll
        for (int d = 0; d < 8; d++)
            o[d] = o[d] * shrink;
#pragma unroll
        for (int i = 0; i < Together; i++)
        {
            float p = seen[i] ? exponential(score[i] - high) : 0.0f;
            sum = sum + p;
#pragma unroll
            for (int d = 0; d < 8; d++)
                o[d] = fma(p, v[i][d], o[d]);
        }
    }

    // The groups of a warp, a fixed tree; then the warps.
    for (u32 lanes = a.lanes; lanes < 32; lanes <<= 1)
    {
        sum = sum + shuffle_xor(sum, lanes);
#pragma unroll
        for (int d = 0; d < 8; d++)
            o[d] = o[d] + shuffle_xor(o[d], lanes);
    }
    if (lane == 0)
    {
        warpMax[warp] = most;
        warpSum[warp] = sum;
    }
    if (group == 0)
#pragma unroll
        for (int d = 0; d < 8; d++)
            if (d < count)
                warpOutput[warp * MaxDims + dim + d] = o[d];
    barrier();
    let_next_start();

    for (int d = thread(); d < dims; d += Warps * 32)
        fold(a, warpMax, warpSum, warpOutput, d, row, head, length);
}

// The rows of a wide pass of plain sequences: four rows and one query head a block, so that keys and values are read once for four rows.
// Every row's sum is that of attend, step by step; a chunk that a row does not see is none of its steps.
enum { Rows = 4 };

template <typename T, bool whole> DEVICE void attend_rows(const AttendArgs &a)
{
    SHARED static float warpMax[Rows][Warps];
    SHARED static float warpSum[Rows][Warps];
    SHARED static float warpOutput[Rows][Warps * MaxDims];
    wait_for_previous();
    int firstRow = block_x() * Rows;
    int head = block_y();
    int warp = thread() >> 5;
    int lane = thread() & 31;
    int dims = a.keys.dims;
    int kvHead = head / (a.heads / a.keys.heads);
    int groups = 32 / a.lanes;
    int group = lane / a.lanes;
    int dim = (lane & (a.lanes - 1)) * 8;
    int count = max_of(0, min_of(8, dims - dim));

    float q[Rows][8], o[Rows][8], sum[Rows], most[Rows];
    int length[Rows], first[Rows];
    int longest = 0;
    int earliest = 0x7FFFFFFF;
#pragma unroll
    for (int r = 0; r < Rows; r++)
    {
        bool row = firstRow + r < a.pass->rows;
        length[r] = row ? a.pass->row[firstRow + r].prefix : 0;
        first[r] = a.window > 0 ? max_of(0, length[r] - a.window) : 0;
        longest = max_of(longest, length[r]);
        earliest = row ? min_of(earliest, first[r]) : earliest;
        eight<float32, false>(a.queries + (i64)(firstRow + r) * a.queryStride + head * dims + dim, row ? count : 0, q[r]);
#pragma unroll
        for (int d = 0; d < 8; d++)
            o[r][d] = 0;
        sum[r] = 0;
        most[r] = -infinity();
    }

    int chunk = groups * Together;
    for (int begin = earliest / chunk / Warps * Warps * chunk + warp * chunk; begin < longest; begin += Warps * chunk)
    {
        if (begin + chunk <= earliest)
            continue;
        float k[Together][8], v[Together][8];
#pragma unroll
        for (int i = 0; i < Together; i++)
        {
            int position = begin + i * groups + group;
            bool any = position >= earliest && position < longest;
            int slot = any ? position : 0;
            eight<T, whole>(slot_data<T>(a.pass->cache, a.keys, kvHead, slot) + dim, any ? count : 0, k[i]);
            eight<T, whole>(slot_data<T>(a.pass->cache, a.values, kvHead, slot) + dim, any ? count : 0, v[i]);
        }

#pragma unroll
        for (int r = 0; r < Rows; r++)
        {
            if (begin >= length[r] || begin + chunk <= first[r])
                continue;
            float score[Together];
            float high = most[r];
#pragma unroll
            for (int i = 0; i < Together; i++)
            {
                int position = begin + i * groups + group;
                float dot = 0;
#pragma unroll
                for (int d = 0; d < 8; d++)
                    dot = fma(q[r][d], k[i][d], dot);
                for (u32 lanes = a.lanes >> 1; lanes > 0; lanes >>= 1)
                    dot = dot + shuffle_xor(dot, lanes);
                score[i] = position >= first[r] && position < length[r] ? dot * a.scale : -infinity();
                high = larger(high, score[i]);
            }
            for (u32 lanes = a.lanes; lanes < 32; lanes <<= 1)
                high = larger(high, shuffle_xor(high, lanes));
            float shrink = most[r] == -infinity() ? 0.0f : exponential(most[r] - high);
            most[r] = high;
            sum[r] = sum[r] * shrink;
#pragma unroll
            for (int d = 0; d < 8; d++)
                o[r][d] = o[r][d] * shrink;
#pragma unroll
            for (int i = 0; i < Together; i++)
            {
                int position = begin + i * groups + group;
                bool seen = position >= first[r] && position < length[r];
                float p = seen ? exponential(score[i] - high) : 0.0f;
                sum[r] = sum[r] + p;
#pragma unroll
                for (int d = 0; d < 8; d++)
                    o[r][d] = fma(p, seen ? v[i][d] : 0.0f, o[r][d]);
            }
        }
    }

#pragma unroll
    for (int r = 0; r < Rows; r++)
    {
        for (u32 lanes = a.lanes; lanes < 32; lanes <<= 1)
        {
            sum[r] = sum[r] + shuffle_xor(sum[r], lanes);
#pragma unroll
            for (int d = 0; d < 8; d++)
                o[r][d] = o[r][d] + shuffle_xor(o[r][d], lanes);
        }
        if (lane == 0)
        {
            warpMax[r][warp] = most[r];
            warpSum[r][warp] = sum[r];
        }
        if (group == 0)
#pragma unroll
            for (int d = 0; d < 8; d++)
                if (d < count)
                    warpOutput[r][warp * MaxDims + dim + d] = o[r][d];
    }
    barrier();
    let_next_start();
    for (int item = thread(); item < Rows * dims; item += Warps * 32)
    {
        int r = item / dims;
        if (firstRow + r < a.pass->rows)
            fold(a, warpMax[r], warpSum[r], warpOutput[r], item - r * dims, firstRow + r, head, a.pass->row[firstRow + r].prefix);
    }
}

#define ATTEND(name, type, whole) GLOBAL BOUNDS(256) void name(AttendArgs a) { attend<type, whole>(a); }

#define ATTEND_ROWS(name, type) GLOBAL BOUNDS(256) void name(AttendArgs a) { attend_rows<type, true>(a); }

ATTEND(attend_bf16, bfloat16, true)
ATTEND(attend_f16, float16, true)
ATTEND(attend_bf16_any, bfloat16, false)
ATTEND(attend_f16_any, float16, false)
ATTEND(attend_f32_any, float32, false)
ATTEND_ROWS(attend_bf16_rows, bfloat16)
ATTEND_ROWS(attend_f16_rows, float16)
