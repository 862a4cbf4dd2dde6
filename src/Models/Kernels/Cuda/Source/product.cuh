// What the matrix products share: their arguments, the multiplication of a tile, and what happens to a sum.
#pragma once
#include "device.cuh"

constexpr int Segments = 8, TileBytes = 1024;

struct ProductArgs
{
    const u8 *weights, *up; // up: the gated pair's second matrix, else 0
    const u16 *x;           // of the weights' type, [rows, 32 pairs], 16-byte aligned rows
    void *y;
    const float *bias;      // 0 for none
    int outputs, pairs, weightStride, xStride, yStride, rows, activation, yType, add;

    // Where norm.x is not 0, x is the norm of its (at most eight) rows, which every block makes for itself.
    NormParameters norm;

    // Where pass is not 0, y are queries, keys and values, and keys and values also go to the cache as they are, rounded.
    const Pass *pass;
    Layer keys, values;
    int firstKey, cacheType;
};

template <typename T> DEVICE void multiply(float *c, Pair a0, Pair a1, u32 b0, u32 b1);

template <> SPECIAL void multiply<bfloat16>(float *c, Pair a0, Pair a1, u32 b0, u32 b1)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a0.x), "r"(a0.y), "r"(a1.x), "r"(a1.y), "r"(b0), "r"(b1));
}

template <> SPECIAL void multiply<float16>(float *c, Pair a0, Pair a1, u32 b0, u32 b1)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a0.x), "r"(a0.y), "r"(a1.x), "r"(a1.y), "r"(b0), "r"(b1));
}

DEVICE void finish(const ProductArgs &a, float sum, float second, int output, int row)
{
    i64 at = (i64)row * a.yStride + output;
    if (a.bias)
        sum = sum + a.bias[output];
    float y = activate(a.activation, sum);
    if (a.up)
        y = y * second;
    if (a.add)
        y = ((float *)a.y)[at] + y;
    put(a.yType, a.y, at, y);
    if (a.pass && output >= a.firstKey && a.pass->row[row].slot >= 0)
    {
        int within = output - a.firstKey;
        int size = a.keys.heads * a.keys.dims;
        const Layer &layer = within < size ? a.keys : a.values;
        within = within < size ? within : within - size;
        int slot = a.pass->row[row].slot;
        int head = within / a.keys.dims;
        put(a.cacheType, a.pass->cache + layer.offset + (i64)(slot >> 4) * layer.block, slot_element(layer, head, slot) + within - head * a.keys.dims, y);
    }
}
