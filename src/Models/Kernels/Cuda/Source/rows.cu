// Operations on rows: embedding, norms, rotation, storing and moving keys and values, changes of type.
#include "device.cuh"

// Where a weight is in a packed matrix of a 16-bit type: tiles of 16 outputs by 32 inputs in the order in which the lanes of a warp hold
// them (see product.cu); of F32 rows of `padded` inputs.
DEVICE i64 packed_index(int type, int padded, int row, int column)
{
    if (type == F32)
        return (i64)row * padded + column;
    i64 tile = (i64)(row >> 4) * (padded >> 5) + (column >> 5);
    int within = column & 31;
    int lane = (row & 7) * 4 + (within >> 3);
    int j = (within >> 2) & 1;
    int word = ((row >> 3) & 1) + 2 * ((within >> 1) & 1);
    return tile * 512 + j * 256 + lane * 8 + word * 2 + (within & 1);
}

struct EmbedArgs
{
    const Pass *pass;
    const void *table, *positions; // positions: 0 for none
    float *output;
    int type, positionType, padded, positionsPadded, columns, stride;
};

// output[r] = table[token] (+ positions[position]); one block a row.
GLOBAL void embed(EmbedArgs a)
{
    wait_for_previous();
    int row = block_x();
    int token = a.pass->row[row].token;
    int position = a.pass->row[row].position;
    for (int i = thread(); i < a.columns; i += threads())
    {
        float x = get(a.type, a.table, packed_index(a.type, a.padded, token, i));
        if (a.positions)
            x = x + get(a.positionType, a.positions, packed_index(a.positionType, a.positionsPadded, position, i));
        a.output[(i64)row * a.stride + i] = x;
    }
    let_next_start();
}

struct NormArgs
{
    NormParameters norm;
    void *output;
    int rows, outputStride, outputType;
};

// A warp a row.
GLOBAL BOUNDS(128) void norm(NormArgs a)
{
    wait_for_previous();
    int row = block_x() * 4 + (thread() >> 5);
    if (row < a.rows)
        normalise(a.norm, row, [&](int i, float y) { put(a.outputType, a.output, (i64)row * a.outputStride + i, y); });
    let_next_start();
}

struct StoreArgs
{
    const Pass *pass;
    float *qkv;
    const float *cosine, *sine, *queryNorm, *keyNorm; // 0 for none
    Layer keys, values;
    int heads, stride, half, tableStride, type;
    float epsilon;
};

// Norm and rotation of a head's vector by one warp.
DEVICE void turn(float *vector, int dims, int half, const float *cosine, const float *sine, const float *weight, float epsilon)
{
    int lane = thread() & 31;
    float scale = 1.0f;
    if (weight)
    {
        float squares = 0;
        for (int i = lane; i < dims; i += 32)
            squares = fma(vector[i], vector[i], squares);
        scale = 1.0f / root(warp_sum(squares) / (float)dims + epsilon);
    }
    // A lane owns whole pairs (i, i + half), and what is not rotated by its number.
    for (int i = lane; i < half; i += 32)
    {
        float low = vector[i];
        float high = vector[i + half];
        if (weight)
        {
            low = low * scale * weight[i];
            high = high * scale * weight[i + half];
        }
        vector[i] = fma(low, cosine[i], -(high * sine[i]));
        vector[i + half] = fma(high, cosine[i], low * sine[i]);
    }
    if (weight)
        for (int i = 2 * half + lane; i < dims; i += 32)
            vector[i] = vector[i] * scale * weight[i];
}

// Turns queries and keys in place and stores keys and values in the row's slot. A block is a row and up to four heads, a warp each:
// queries, then keys with their values.
GLOBAL BOUNDS(128) void store(StoreArgs a)
{
    wait_for_previous();
    int row = block_x();
    int head = block_y() * 4 + (thread() >> 5);
    int lane = thread() & 31;
    int dims = a.keys.dims;
    int slot = a.pass->row[row].slot;
    if (slot >= 0 && head < a.heads + a.keys.heads)
    {
        bool key = head >= a.heads;
        float *vector = a.qkv + (i64)row * a.stride + head * dims;
        const float *weight = key ? a.keyNorm : a.queryNorm;
        if (weight || a.half > 0)
        {
            i64 at = (i64)a.pass->row[row].position * a.tableStride;
            turn(vector, dims, a.half, a.cosine + at, a.sine + at, weight, a.epsilon);
            warp_barrier();
        }
        if (key)
        {
            int kv = head - a.heads;
            void *keys = a.pass->cache + a.keys.offset + (i64)(slot >> 4) * a.keys.block;
            void *values = a.pass->cache + a.values.offset + (i64)(slot >> 4) * a.values.block;
            for (int i = lane; i < dims; i += 32)
            {
                put(a.type, keys, slot_element(a.keys, kv, slot) + i, vector[i]);
                put(a.type, values, slot_element(a.values, kv, slot) + i, vector[a.keys.heads * dims + i]);
            }
        }
    }
    let_next_start();
}

struct MoveArgs
{
    u8 *cache;
    i64 block;             // bytes from one block of 16 slots to the next
    int parts, dims, size; // (layers x 2 x kvHeads) runs of [16, dims] in a block; bytes of an element
    int count, to;
    int from[64];
};

// Slots from[i] to to + i, in this order; every element of a slot belongs to one thread, so that none is overwritten before it is read.
GLOBAL void move_slots(MoveArgs a)
{
    wait_for_previous();
    i64 element = (i64)block_x() * threads() + thread();
    if (element < (i64)a.parts * a.dims)
    {
        i64 part = element / a.dims;
        i64 at = part * 16 * a.dims + (element - part * a.dims);
        for (int i = 0; i < a.count; i++)
        {
            int source = a.from[i];
            int target = a.to + i;
            if (source == target)
                continue;
            i64 s = at + (i64)(source & 15) * a.dims;
            i64 t = at + (i64)(target & 15) * a.dims;
            u8 *sourceBlock = a.cache + (i64)(source >> 4) * a.block;
            u8 *targetBlock = a.cache + (i64)(target >> 4) * a.block;
            if (a.size == 4)
                ((u32 *)targetBlock)[t] = ((u32 *)sourceBlock)[s];
            else
                ((u16 *)targetBlock)[t] = ((u16 *)sourceBlock)[s];
        }
    }
    let_next_start();
}

struct ConvertArgs
{
    const void *x;
    void *y;
    int columns, padded, stride, type, sourceType;
};

// y[row] = x[row] in another type, [rows, padded], filled up with zeros; one block a row.
GLOBAL void convert(ConvertArgs a)
{
    wait_for_previous();
    i64 row = block_x();
    for (int i = thread(); i < a.padded; i += threads())
        put(a.type, a.y, row * a.padded + i, i < a.columns ? get(a.sourceType, a.x, row * a.stride + i) : 0.0f);
    let_next_start();
}
