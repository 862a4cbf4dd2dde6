// The decision rule over rows of logits (see DecisionParams): `change` writes l' where penalties, bias or a mask make it differ, `filter`
// finds what top_k, top_p and min_p keep, `parts` looks at a thousand tokens each, `merge` takes the best of them.
//
// Tokens are compared by one 64-bit number: the logit or score in the order of the floats above, the complement of the id below, so the
// lowest id wins a tie and no two are equal. Probability mass is added in whole numbers of 2^-40, so that it does not depend on an order.
#include "device.cuh"

enum { PartTokens = 1024, FilterThreads = 1024 };

struct DecideArgs
{
    const float *logits;   // l' if `changed`, which then is it
    float *changed;        // [rows, vocabulary] or 0
    const int *rowData;    // [rows, 4]: position, given, first of the row's path tokens, their number
    const int *tokens;     // seen tokens and their occurrences in the output, then path tokens with theirs, then biased tokens with biases
    const u64 *mask;       // [rows, maskWords] or 0
    u64 *threshold;        // [rows]: the least key that is kept
    float *partMax, *partSum; // [rows, parts]
    u64 *partBest;         // [rows, parts, best]
    int *outTokens;        // [rows, best]
    float *outScores, *outLogProbs, *outGiven; // [rows, best], [rows, best], [rows]
    i64 stride;
    int vocabulary, rows, parts, best, seen, paths, biased, maskWords, filtered, topK;
    u32 seedLow, seedHigh, choice;
    float temperature, topP, minP, logMinP, repetition, presence, frequency;
};

// NaN counts as -infinity, +infinity as the largest number.
DEVICE float clean(float logit) { return logit != logit ? -infinity() : smaller(logit, 3.402823466e38f); }

// Integers in the order of the floats; adding 0 makes the two zeros equal.
DEVICE u32 ordered(float x)
{
    u32 b = bits(x + 0.0f);
    return b & 0x80000000u ? ~b : b | 0x80000000u;
}

DEVICE float unordered(u32 x) { return real(x & 0x80000000u ? x ^ 0x80000000u : ~x); }

DEVICE u64 key_of(float x, int token) { return ((u64)ordered(x) << 32) | (u32)~token; }

DEVICE int token_of(u64 key) { return (int)~(u32)key; }

// Of a token before the penalty's window the number of occurrences comes as its complement.
DEVICE float penalised(const DecideArgs &a, float logit, int occurrences)
{
    bool repeated = occurrences >= 0;
    int count = repeated ? occurrences : ~occurrences;
    if (repeated)
        logit = logit > 0 ? logit / a.repetition : logit * a.repetition;
    return count > 0 ? logit - a.presence - a.frequency * (float)count : logit;
}

GLOBAL BOUNDS(1024) void change(DecideArgs a)
{
    wait_for_previous();
    int row = block_x();
    const float *logits = a.logits + row * a.stride;
    float *changed = a.changed + (i64)row * a.vocabulary;
    for (int v = thread(); v < a.vocabulary; v += threads())
        changed[v] = logits[v];
    barrier();
    for (int i = thread(); i < a.seen; i += threads())
        changed[a.tokens[2 * i]] = penalised(a, logits[a.tokens[2 * i]], a.tokens[2 * i + 1]);
    barrier();
    const int *path = a.tokens + 2 * (a.seen + a.rowData[4 * row + 2]);
    for (int i = thread(); i < a.rowData[4 * row + 3]; i += threads())
        changed[path[2 * i]] = penalised(a, logits[path[2 * i]], path[2 * i + 1]);
    barrier();
    const int *bias = a.tokens + 2 * (a.seen + a.paths);
    for (int i = thread(); i < a.biased; i += threads())
        changed[bias[2 * i]] = changed[bias[2 * i]] + real(bias[2 * i + 1]);
    if (a.mask)
    {
        barrier();
        const u64 *mask = a.mask + (i64)row * a.maskWords;
        for (int v = thread(); v < a.vocabulary; v += threads())
            if ((v >> 6) >= a.maskWords || !((mask[v >> 6] >> (v & 63)) & 1))
                changed[v] = -infinity();
    }
}

DEVICE const float *row_of(const DecideArgs &a, int row)
{
    return a.changed ? a.changed + (i64)row * a.vocabulary : a.logits + row * a.stride;
}

// ---- filters ----

DEVICE void add_shared(u64 *at, u64 x)
{
    asm volatile("red.shared.add.u64 [%0], %1;" ::"r"(shared_address(at)), "l"(x) : "memory");
}

// e^((l - max) / T) in units of 2^-40.
DEVICE u64 mass(float logit, float max, float inverse)
{
    float x = (logit - max) * inverse;
    return x < -28.0f ? 0 : (u64)(exponential(x) * 1099511627776.0f);
}

// The greatest key such that the tokens from it upwards weigh at least `wanted`: one byte of the key after the other, from the top. A token
// weighs 1, or its mass. The sums of all bytes' bins are in shared memory; thread 0 goes through them.
DEVICE u64 descend(const DecideArgs &a, const float *logits, u64 least, u64 wanted, bool masses, float max, float inverse,
                   u64 *bins, u64 *found)
{
    u64 prefix = 0;
    for (int shift = 56; shift >= 0; shift -= 8)
    {
        for (int i = thread(); i < 256; i += threads())
            bins[i] = 0;
        barrier();
        for (int v = thread(); v < a.vocabulary; v += threads())
        {
            float logit = clean(logits[v]);
            u64 key = key_of(logit, v);
            if (logit == -infinity() || key < least || (shift < 56 && (key >> (shift + 8)) != prefix))
                continue;
            add_shared(&bins[(key >> shift) & 255], masses ? mass(logit, max, inverse) : 1);
        }
        barrier();
        if (thread() == 0)
        {
            u64 left = wanted;
            int bin = 255;
            while (bin > 0 && bins[bin] < left)
                left -= bins[bin--];
            found[0] = (prefix << 8) | (u64)bin;
            found[1] = left;
        }
        barrier();
        prefix = found[0];
        wanted = found[1];
        barrier();
    }
    return prefix;
}

GLOBAL BOUNDS(1024) void filter(DecideArgs a)
{
    SHARED static u64 bins[256];
    SHARED static u64 found[2];
    SHARED static u64 total[2];
    SHARED static float maxima[32];
    wait_for_previous();
    int row = block_x();
    const float *logits = row_of(a, row);
    if (thread() < 2)
        total[thread()] = 0;
    float max = -infinity();
    u64 valid = 0;
    for (int v = thread(); v < a.vocabulary; v += threads())
    {
        float logit = clean(logits[v]);
        max = larger(max, logit);
        valid += logit != -infinity();
    }
    for (u32 lanes = 16; lanes > 0; lanes >>= 1)
        max = larger(max, shuffle_xor(max, lanes));
    if ((thread() & 31) == 0)
        maxima[thread() >> 5] = max;
    barrier();
    add_shared(&total[0], valid);
    for (int w = 0; w < (int)(threads() >> 5); w++)
        max = larger(max, maxima[w]);
    barrier();
    valid = total[0];
    u64 least = 0;
    if (valid > 0)
    {
        float inverse = 1.0f / a.temperature;
        if (a.topK > 0 && (u64)a.topK < valid)
            least = descend(a, logits, 0, a.topK, false, max, inverse, bins, found);
        if (a.topP < 1)
        {
            u64 sum = 0;
            for (int v = thread(); v < a.vocabulary; v += threads())
            {
                float logit = clean(logits[v]);
                if (logit != -infinity() && key_of(logit, v) >= least)
                    sum += mass(logit, max, inverse);
            }
            add_shared(&total[1], sum);
            barrier();
            sum = total[1];
            u64 wanted = (u64)((double)a.topP * (double)sum);
            wanted = wanted < 1 ? 1 : wanted > sum ? sum : wanted;
            least = descend(a, logits, least, wanted, true, max, inverse, bins, found);
        }
        if (a.minP > 0)
        {
            float bound = a.minP >= 1 ? max : fma(a.logMinP, a.temperature, max);
            u64 key = (u64)ordered(bound) << 32;
            least = key > least ? key : least;
        }
    }
    if (thread() == 0)
        a.threshold[row] = least;
}

// ---- noise ----

DEVICE float to_unit(u32 x)
{
    float high = (float)(x >> 16) * 1.52587890625e-5f;
    float low = ((float)(x & 0xFFFFu) + 0.5f) * 2.3283064365386963e-10f;
    return high + low;
}

// -log(-log1p(-u)), u = (x + 1/2) 2^-32.
DEVICE float gumbel(u32 x)
{
    float u = to_unit(x);
    float rest = to_unit(~x);
    float mantissa, exponent;
    split(rest, &mantissa, &exponent);
    float argument = rest >= real(0x3F3504F3u) ? 0.0f - u : mantissa - 1.0f;
    float inner = 0.0f - logarithm(argument, exponent);
    return 0.0f - logarithm(inner);
}

// Philox4x32-10 with counter (position, block, choice, 0).
DEVICE void philox(u32 k0, u32 k1, u32 c0, u32 c1, u32 c2, u32 *out)
{
    u32 c3 = 0;
#pragma unroll
    for (int round = 0; round < 10; round++)
    {
        u64 p0 = (u64)0xD2511F53u * c0;
        u64 p1 = (u64)0xCD9E8D57u * c2;
        c0 = (u32)(p1 >> 32) ^ c1 ^ k0;
        c2 = (u32)(p0 >> 32) ^ c3 ^ k1;
        c1 = (u32)p1;
        c3 = (u32)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

// ---- the best ----

// The greatest of the block's keys, for every thread. `scratch` holds a key per warp.
DEVICE u64 block_max(u64 key, u64 *scratch)
{
    for (u32 lanes = 16; lanes > 0; lanes >>= 1)
    {
        u64 other = shuffle_xor(key, lanes);
        key = other > key ? other : key;
    }
    barrier();
    if ((thread() & 31) == 0)
        scratch[thread() >> 5] = key;
    barrier();
    for (int w = 0; w < (int)(threads() >> 5); w++)
        key = scratch[w] > key ? scratch[w] : key;
    return key;
}

// Four tokens a thread, those of one block of noise.
GLOBAL BOUNDS(256) void parts(DecideArgs a)
{
    SHARED static u64 scratch[8];
    SHARED static float maxima[8];
    SHARED static float sums[8];
    wait_for_previous();
    int part = block_x();
    int row = block_y();
    const float *logits = row_of(a, row);
    int first = part * PartTokens + thread() * 4;
    u64 least = a.filtered ? a.threshold[row] : 0;
    float logit[4];
    u64 key[4];
    float max = -infinity();
#pragma unroll
    for (int i = 0; i < 4; i++)
    {
        logit[i] = first + i < a.vocabulary ? clean(logits[first + i]) : -infinity();
        max = larger(max, logit[i]);
    }
    for (u32 lanes = 16; lanes > 0; lanes >>= 1)
        max = larger(max, shuffle_xor(max, lanes));
    if ((thread() & 31) == 0)
        maxima[thread() >> 5] = max;
    barrier();
    for (int w = 0; w < 8; w++)
        max = larger(max, maxima[w]);
    float sum = 0;
#pragma unroll
    for (int i = 0; i < 4; i++)
        sum = sum + (logit[i] == -infinity() ? 0.0f : exponential(logit[i] - max));
    sum = warp_sum(sum);
    if ((thread() & 31) == 0)
        sums[thread() >> 5] = sum;
    barrier();
    i64 at = (i64)row * a.parts + part;
    if (thread() == 0)
    {
        for (int w = 1; w < 8; w++)
            sum = sum + sums[w];
        a.partMax[at] = max;
        a.partSum[at] = sum;
    }

    u32 noise[4] = {0, 0, 0, 0};
    if (a.temperature > 0)
        philox(a.seedLow, a.seedHigh, (u32)a.rowData[4 * row], (u32)first >> 2, a.choice, noise);
#pragma unroll
    for (int i = 0; i < 4; i++)
    {
        bool kept = logit[i] != -infinity() && key_of(logit[i], first + i) >= least;
        float score = a.temperature > 0 ? logit[i] / a.temperature + gumbel(noise[i]) : logit[i];
        key[i] = kept ? key_of(score, first + i) : 0;
    }

    u64 below = ~0ull;
    for (int rank = 0; rank < a.best; rank++)
    {
        u64 most = 0;
#pragma unroll
        for (int i = 0; i < 4; i++)
            most = key[i] < below && key[i] > most ? key[i] : most;
        below = block_max(most, scratch);
        if (thread() == 0)
            a.partBest[at * a.best + rank] = below;
    }
}

// The row's best among those of its parts, and the log-probabilities: the parts' sums are folded by lane, then by a fixed tree.
GLOBAL BOUNDS(256) void merge(DecideArgs a)
{
    SHARED static u64 scratch[8];
    SHARED static float normaliser[2];
    wait_for_previous();
    int row = block_x();
    const float *logits = row_of(a, row);
    if (thread() < 32)
    {
        float max = -infinity();
        for (int part = thread(); part < a.parts; part += 32)
            max = larger(max, a.partMax[(i64)row * a.parts + part]);
        for (u32 lanes = 16; lanes > 0; lanes >>= 1)
            max = larger(max, shuffle_xor(max, lanes));
        float sum = 0;
        for (int part = thread(); part < a.parts; part += 32)
        {
            float m = a.partMax[(i64)row * a.parts + part];
            sum = sum + (m == -infinity() ? 0.0f : a.partSum[(i64)row * a.parts + part] * exponential(m - max));
        }
        sum = warp_sum(sum);
        if (thread() == 0)
        {
            normaliser[0] = max;
            normaliser[1] = sum > 0 ? logarithm(sum) : 0.0f;
        }
    }
    barrier();
    float max = normaliser[0];
    float log = normaliser[1];
    int candidates = a.parts * a.best;
    u64 below = ~0ull;
    for (int rank = 0; rank < a.best; rank++)
    {
        u64 most = 0;
        for (int i = thread(); i < candidates; i += threads())
        {
            u64 key = a.partBest[(i64)row * candidates + i];
            most = key < below && key > most ? key : most;
        }
        below = block_max(most, scratch);
        if (thread() == 0)
        {
            int token = below ? token_of(below) : -1;
            i64 at = (i64)row * a.best + rank;
            a.outTokens[at] = token;
            a.outScores[at] = below ? unordered((u32)(below >> 32)) : -infinity();
            a.outLogProbs[at] = below ? clean(logits[token]) - max - log : -infinity();
        }
    }
    if (thread() == 0)
    {
        int given = a.rowData[4 * row + 1];
        a.outGiven[row] = given < 0 ? 0.0f : clean(logits[given]) - max - log;
    }
}
