// What every kernel here shares. There is no CUDA header and no device library: the compiler's builtins, inline PTX where a builtin is
// missing, and elementary functions written out. build.sh beside this file compiles them; -ffp-contract=off, so a fused multiply-add is where one is written.
#pragma once

#define GLOBAL extern "C" __attribute__((global))
#define DEVICE static inline __attribute__((device, always_inline))
#define SPECIAL inline __attribute__((device, always_inline)) // of a template: it has no storage class of its own
#define SHARED __attribute__((shared))
#define BOUNDS(...) __attribute__((launch_bounds(__VA_ARGS__))) // threads of a block [, blocks of a multiprocessor]

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

// Types of elements, as in DType.
enum { F32 = 0, F16 = 1, BF16 = 2 };

// Tags for templates: how a type is stored.
struct float32 { typedef float Store; };
struct float16 { typedef u16 Store; };
struct bfloat16 { typedef u16 Store; };

struct alignas(16) Words { u32 x, y, z, w; };
struct alignas(8) Pair { u32 x, y; };

DEVICE u32 thread() { return __nvvm_read_ptx_sreg_tid_x(); }
DEVICE u32 threads() { return __nvvm_read_ptx_sreg_ntid_x(); }
DEVICE u32 block_x() { return __nvvm_read_ptx_sreg_ctaid_x(); }
DEVICE u32 block_y() { return __nvvm_read_ptx_sreg_ctaid_y(); }
DEVICE u32 blocks_x() { return __nvvm_read_ptx_sreg_nctaid_x(); }
DEVICE void barrier() { __syncthreads(); }
DEVICE void warp_barrier() { asm volatile("bar.warp.sync 0xffffffff;" ::: "memory"); }

DEVICE u32 bits(float x) { return __builtin_bit_cast(u32, x); }
DEVICE float real(u32 x) { return __builtin_bit_cast(float, x); }
DEVICE float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
DEVICE float larger(float a, float b) { return __builtin_fmaxf(a, b); }
DEVICE float smaller(float a, float b) { return __builtin_fminf(a, b); }
DEVICE int min_of(int a, int b) { return a < b ? a : b; }
DEVICE int max_of(int a, int b) { return a > b ? a : b; }
DEVICE float infinity() { return real(0x7f800000); }

DEVICE float root(float x)
{
    float y;
    asm("sqrt.rn.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

DEVICE u32 shuffle_xor(u32 x, u32 lanes)
{
    u32 y;
    asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 0x1f, 0xffffffff;" : "=r"(y) : "r"(x), "r"(lanes));
    return y;
}

DEVICE float shuffle_xor(float x, u32 lanes) { return real(shuffle_xor(bits(x), lanes)); }

DEVICE u64 shuffle_xor(u64 x, u32 lanes)
{
    u32 low = shuffle_xor((u32)x, lanes);
    u32 high = shuffle_xor((u32)(x >> 32), lanes);
    return ((u64)high << 32) | low;
}

// The sum over a warp, the same in every lane: a fixed tree.
DEVICE float warp_sum(float x)
{
    for (u32 lanes = 16; lanes > 0; lanes >>= 1)
        x = x + shuffle_xor(x, lanes);
    return x;
}

// ---- types ----

DEVICE float from_f16(u16 x)
{
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x));
    return y;
}

DEVICE float from_bf16(u16 x) { return real((u32)x << 16); }

// The two halves of a word: of two floats the first goes to the low half. F16 does not overflow: its largest number is.
DEVICE u32 pack_bf16(float low, float high)
{
    u32 y;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
    return y;
}

DEVICE u32 pack_f16(float low, float high)
{
    u32 y;
    low = smaller(larger(low, -65504.0f), 65504.0f);
    high = smaller(larger(high, -65504.0f), 65504.0f);
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
    return y;
}

template <typename T> SPECIAL float get(const typename T::Store *p, i64 i);
template <> SPECIAL float get<float32>(const float *p, i64 i) { return p[i]; }
template <> SPECIAL float get<float16>(const u16 *p, i64 i) { return from_f16(p[i]); }
template <> SPECIAL float get<bfloat16>(const u16 *p, i64 i) { return from_bf16(p[i]); }

template <typename T> SPECIAL void put(typename T::Store *p, i64 i, float x);
template <> SPECIAL void put<float32>(float *p, i64 i, float x) { p[i] = x; }
template <> SPECIAL void put<float16>(u16 *p, i64 i, float x) { p[i] = (u16)pack_f16(x, 0); }
template <> SPECIAL void put<bfloat16>(u16 *p, i64 i, float x) { p[i] = (u16)pack_bf16(x, 0); }

DEVICE float get(int type, const void *p, i64 i)
{
    return type == F32 ? ((const float *)p)[i] : type == F16 ? from_f16(((const u16 *)p)[i]) : from_bf16(((const u16 *)p)[i]);
}

DEVICE void put(int type, void *p, i64 i, float x)
{
    if (type == F32)
        ((float *)p)[i] = x;
    else if (type == F16)
        put<float16>((u16 *)p, i, x);
    else
        put<bfloat16>((u16 *)p, i, x);
}

// ---- elementary functions, the same as the CPU's (VectorMath), step by step ----

DEVICE float exponential(float x)
{
    x = smaller(larger(x, -104.0f), 89.0f);
    float shifted = fma(x, 1.44269504f, 12582912.0f);
    float n = shifted - 12582912.0f;
    float r = fma(n, -0.693359375f, x);
    r = fma(n, 2.12194440e-4f, r);
    float p = 1.9875691500e-4f;
    p = fma(p, r, 1.3981999507e-3f);
    p = fma(p, r, 8.3334519073e-3f);
    p = fma(p, r, 4.1665795894e-2f);
    p = fma(p, r, 1.6666665459e-1f);
    p = fma(p, r, 5.0000001201e-1f);
    p = fma(p, r * r, r) + 1.0f;
    u32 biased = bits(shifted) - bits(12582912.0f) + 2 * 127;
    u32 first = biased >> 1;
    u32 second = biased - first;
    return p * real(first << 23) * real(second << 23);
}

// x = mantissa 2^exponent with sqrt(1/2) <= mantissa < sqrt(2).
DEVICE void split(float x, float *mantissa, float *exponent)
{
    u32 offset = bits(x) - 0x3F3504F3u;
    *exponent = (float)(int)(((offset + (128u << 23)) >> 23) - 128u);
    *mantissa = real((offset & 0x7FFFFFu) + 0x3F3504F3u);
}

// log((1 + f) 2^exponent)
DEVICE float logarithm(float f, float exponent)
{
    float square = f * f;
    float p = 7.0376836292e-2f;
    p = fma(p, f, -1.1514610310e-1f);
    p = fma(p, f, 1.1676998740e-1f);
    p = fma(p, f, -1.2420140846e-1f);
    p = fma(p, f, 1.4249322787e-1f);
    p = fma(p, f, -1.6668057665e-1f);
    p = fma(p, f, 2.0000714765e-1f);
    p = fma(p, f, -2.4999993993e-1f);
    p = fma(p, f, 3.3333331174e-1f);
    p = p * f * square;
    p = fma(exponent, -2.12194440e-4f, p);
    p = fma(square, -0.5f, p);
    return fma(exponent, 0.693359375f, f + p);
}

DEVICE float logarithm(float x)
{
    float mantissa, exponent;
    split(x, &mantissa, &exponent);
    return logarithm(mantissa - 1.0f, exponent);
}

DEVICE float activate(int activation, float x)
{
    if (activation == 1) // GeluTanh, as x / (1 + e^-2a) with a the argument of tanh.
        return x / (exponential(x * fma(x * x, -2 * 0.7978845608f * 0.044715f, -2 * 0.7978845608f)) + 1.0f);
    if (activation == 2) // Silu
        return x / (exponential(0.0f - x) + 1.0f);
    return x;
}

// ---- asynchronous copies and programmatic dependent launch ----

DEVICE u32 shared_address(const void *p) { return (u32)(u64)(__attribute__((address_space(3))) const char *)p; }

DEVICE void copy_async(void *shared, const void *global)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(shared)), "l"(global) : "memory");
}

DEVICE void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Until at most `left` of the newest groups are still under way.
template <int left> DEVICE void wait_copies() { asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory"); }

// On sm_90 a kernel may start before the one in front of it has ended. It reads what that one wrote only behind this.
DEVICE void wait_for_previous()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

DEVICE void let_next_start()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// ---- the rows of a pass: what the host uploads in one copy before it ----

struct alignas(16) Row { int token, position, slot, prefix, ancestors, unused0, unused1, unused2; };

// Rows beyond those of the batch, up to the width that a graph was made for, have slot -1, prefix 0 and no ancestors.
struct alignas(16) Pass
{
    int rows, stride;   // rows, padding included; ancestors of row i are at (int*)(row + rows) + i * stride
    u8 *cache;          // first byte of the cache
    Row row[1];
};

DEVICE const int *ancestors_of(const Pass *pass, int row) { return (const int *)(pass->row + pass->rows) + (i64)row * pass->stride; }

// The layer's keys or values in a cache: blocks of 16 slots, `block` bytes apart; in one [kvHeads, 16, headDim].
struct Layer { i64 offset, block; int heads, dims; };

DEVICE i64 slot_element(const Layer &layer, int head, int slot) { return ((i64)head * 16 + (slot & 15)) * layer.dims; }

template <typename T> DEVICE typename T::Store *slot_data(u8 *cache, const Layer &layer, int head, int slot)
{
    return (typename T::Store *)(cache + layer.offset + (i64)(slot >> 4) * layer.block) + slot_element(layer, head, slot);
}

// ---- norms ----

struct NormParameters
{
    const float *x, *weight, *bias; // bias: 0 for none
    int columns, stride, centred;
    float epsilon;
};

// LayerNorm (centred) or RMSNorm of one row by one warp, so that a row's sums are the same wherever it is normalised.
template <typename Write> DEVICE void normalise(const NormParameters &a, int row, Write write)
{
    int lane = thread() & 31;
    const float *x = a.x + (i64)row * a.stride;
    float mean = 0;
    if (a.centred)
    {
        float sum = 0;
        for (int i = lane; i < a.columns; i += 32)
            sum = sum + x[i];
        mean = warp_sum(sum) / (float)a.columns;
    }
    float squares = 0;
    for (int i = lane; i < a.columns; i += 32)
    {
        float d = x[i] - mean;
        squares = fma(d, d, squares);
    }
    float scale = 1.0f / root(warp_sum(squares) / (float)a.columns + a.epsilon);
    for (int i = lane; i < a.columns; i += 32)
    {
        float y = (x[i] - mean) * scale;
        write(i, a.bias ? fma(y, a.weight[i], a.bias[i]) : y * a.weight[i]);
    }
}
