// Rounds rows of weights to GGUF's blocks, to the bit as nibble.convert.blocks does on the host, whose Javadoc says what is searched.
// -DBLOCK_TYPE: 2 Q4_0, 3 Q4_1, 6 Q5_0, 7 Q5_1, 8 Q8_0, 10 Q2_K, 11 Q3_K, 12 Q4_K, 13 Q5_K, 14 Q6_K.
//
//   block_encode(u8* out, f32* rows, f32* importance, int columns, i64 groups)
//
// A thread has a group: 32 elements, or 16 of Q2_K, Q3_K and Q6_K; `groups` of them lie one after another, in whole blocks. importance:
// a number for each of `columns` columns, for the K types alone; may be null. Grid ceil(groups / 128), block 128.
//
// Every operation is rounded once, as Java rounds it: R keeps the compiler from contracting products and sums.

#include "common.cuh"
#include "blocks.cuh"

typedef unsigned char u8;

struct R {
    float v;
};
DEVICE R operator+(R a, R b) { return {__fadd_rn(a.v, b.v)}; }
DEVICE R operator-(R a, R b) { return {__fsub_rn(a.v, b.v)}; }
DEVICE R operator*(R a, R b) { return {__fmul_rn(a.v, b.v)}; }
DEVICE R operator/(R a, R b) { return {__fdiv_rn(a.v, b.v)}; }
DEVICE R operator-(R a) { return {-a.v}; }
DEVICE bool operator<(R a, R b) { return a.v < b.v; }
DEVICE bool operator>(R a, R b) { return a.v > b.v; }
DEVICE R fused(R a, R b, R c) { return {__fmaf_rn(a.v, b.v, c.v)}; }
DEVICE R least_of(R a, R b) { return {fminf(a.v, b.v)}; }
DEVICE R most_of(R a, R b) { return {fmaxf(a.v, b.v)}; }
DEVICE R magnitude(R a) { return {fabsf(a.v)}; }
DEVICE R root(R a) { return {__fsqrt_rn(a.v)}; }
DEVICE R number(float v) { return {v}; }

// To the nearest integer, halves to the even one.
DEVICE R whole(R x) { return x + number(12582912.0f) - number(12582912.0f); }
DEVICE R inverse_of(R x) { return x.v == 0 ? number(0) : number(1) / x; }

constexpr bool MINIMUM_K = BLOCK_TYPE == Q2_K || BLOCK_TYPE == Q4_K || BLOCK_TYPE == Q5_K;
constexpr bool SYMMETRIC_K = BLOCK_TYPE == Q3_K || BLOCK_TYPE == Q6_K;
typedef BlockType<BLOCK_TYPE> T;
constexpr int N = T::GROUP;                                        // elements of a group
constexpr int GROUPS = MINIMUM_K || SYMMETRIC_K ? T::GROUPS : 1;   // of a block
constexpr int CODES = BLOCK_TYPE == Q2_K ? 3 : BLOCK_TYPE == Q4_K || BLOCK_TYPE == Q4_1 ? 15 : 31;  // the largest code
constexpr int MOST_SCALE = BLOCK_TYPE == Q2_K ? 15 : 63;
constexpr int HALF = BLOCK_TYPE == Q3_K ? 4 : BLOCK_TYPE == Q6_K ? 32 : BLOCK_TYPE == Q4_0 ? 8 : 16;  // of signed codes
constexpr int HALF_SCALE = BLOCK_TYPE == Q3_K ? 32 : 128;
constexpr int THREADS = 128;

struct Group {
    R x[N], w[N];
};

// --- search of a group (GroupSearch) --------------------------------------------------------------------------------------

struct ScaleAndOffset {
    R scale, offset;
};

// x = scale q + offset, q from 0 to CODES, no offset above 0.
DEVICE ScaleAndOffset search_offset(const Group& group, R first, int count) {
    R low = number(0), high = number(-INFINITY), w = number(0), wy = number(0), wyy = number(0);
#pragma unroll
    for (int i = 0; i < N; i++) low = least_of(low, group.x[i]), high = most_of(high, group.x[i]);
    R range = high - low, most = number(CODES);
#pragma unroll
    for (int i = 0; i < N; i++) {
        R y = group.x[i] - low;
        w = w + group.w[i], wy = fused(group.w[i], y, wy), wyy = fused(group.w[i] * y, y, wyy);
    }
    bool flat = !(range > number(0));
    ScaleAndOffset best = {flat ? number(0) : range / most, low};
    R least = number(INFINITY);
    for (int step = 0; step < count; step++) {
        R codes = most + first + number(step) * number(0.1f), inverse = flat ? number(0) : codes / range;
        R wq = number(0), wqq = number(0), wqy = number(0);
#pragma unroll
        for (int i = 0; i < N; i++) {
            R y = group.x[i] - low, q = whole(least_of(y * inverse, most)), weighted = group.w[i] * q;
            wq = wq + weighted, wqq = fused(weighted, q, wqq), wqy = fused(weighted, y, wqy);
        }
        R determinant = w * wqq - wq * wq;
        R s = (w * wqy - wy * wq) / determinant, o = (wqq * wy - wq * wqy) / determinant;
        if (o + low > number(0)) o = -low, s = fused(low, wq, wqy) / wqq;
        R two = number(2), error = (s * wqq + (o * wq - wqy) * two) * s + (o * w - wy * two) * o + wyy;
        if (error < least && s > number(0) && !flat) least = error, best = {s, o + low};
    }
    return best;
}

// x = scale q, q from -HALF to HALF - 1.
DEVICE R search_symmetric(const Group& group) {
    R low = number(0), high = number(0);
#pragma unroll
    for (int i = 0; i < N; i++) low = least_of(low, group.x[i]), high = most_of(high, group.x[i]);
    R largest = -low.v >= high.v ? low : high;
    bool none = largest.v == 0;
    R best = largest / number(-HALF), most = number(-1);
    for (int step = 0; step < 19; step++) {
        R codes = number(HALF) + number(-0.9f) + number(step) * number(0.1f);
        R inverse = none ? number(0) : -codes / largest, wqx = number(0), wqq = number(0);
#pragma unroll
        for (int i = 0; i < N; i++) {
            R q = whole(least_of(most_of(group.x[i] * inverse, number(-HALF)), number(HALF - 1))), weighted = group.w[i] * q;
            wqx = fused(weighted, group.x[i], wqx), wqq = fused(weighted, q, wqq);
        }
        R s = wqx / wqq, taken = wqx * s;
        if (taken > most && wqq > number(0)) most = taken, best = s;
    }
    return none ? number(0) : best;
}

// --- scales of a block (BlockScales) --------------------------------------------------------------------------------------

// The step between scales of a block's groups, which lie one after another.
DEVICE R block_step(const R* exact, const R* weight, int least, int most) {
    R largest = number(0);
    for (int g = 0; g < GROUPS; g++) largest = magnitude(exact[g]) > magnitude(largest) ? exact[g] : largest;
    if (largest.v == 0) return number(0);
    R parts = number(least < 0 ? least : most), best = largest / parts, taken = number(-1);
    for (int tenths = -9; tenths <= 9; tenths++) {
        R inverse = (parts + number(0.1f) * number(tenths)) / largest, wne = number(0), wnn = number(0);
        for (int g = 0; g < GROUPS; g++) {
            R n = least_of(most_of(whole(exact[g] * inverse), number(least)), number(most));
            wne = wne + weight[g] * n * exact[g], wnn = wnn + weight[g] * n * n;
        }
        if (wnn > number(0) && wne * (wne / wnn) > taken) taken = wne * (wne / wnn), best = wne / wnn;
    }
    return {to_float(to_half(best.v))};
}

DEVICE R code_of(R x, R inverse, int least, int most) {
    return whole(least_of(most_of(x * inverse, number(least)), number(most)));
}

DEVICE R error_of(const Group& group, R scale, R minimum, int least, int most) {
    R inverse = inverse_of(scale), error = number(0);
#pragma unroll
    for (int i = 0; i < N; i++) {
        R x = group.x[i] + minimum, off = x - code_of(x, inverse, least, most) * scale;
        error = fused(group.w[i] * off, off, error);
    }
    return error;
}

DEVICE R clamped(R x, int least, int most) { return least_of(most_of(x, number(least)), number(most)); }

// --- bytes of a block -----------------------------------------------------------------------------------------------------

DEVICE void put_half(u8* to, float value) {
    half_t bits = to_half(value);
    to[0] = (u8)bits, to[1] = (u8)(bits >> 8);
}

// codes[group][element], from 0.
DEVICE void put_block(u8* b, const u8 (*codes)[N], const int* scales, const int* minima, float d, float least) {
    if constexpr (BLOCK_TYPE == Q4_K || BLOCK_TYPE == Q5_K) {
        put_half(b, d), put_half(b + 2, least);
        for (int j = 0; j < 4; j++) {
            b[4 + j] = (u8)(scales[j] | scales[j + 4] >> 4 << 6);
            b[8 + j] = (u8)(minima[j] | minima[j + 4] >> 4 << 6);
            b[12 + j] = (u8)((scales[j + 4] & 15) | (minima[j + 4] & 15) << 4);
        }
        u8* nibbles = b + 16;
        if constexpr (BLOCK_TYPE == Q5_K) {
            for (int l = 0; l < 32; l++) {
                int high = 0;
                for (int g = 0; g < 8; g++) high |= codes[g][l] >> 4 << g;
                b[16 + l] = (u8)high;
            }
            nibbles += 32;
        }
        for (int i = 0; i < 128; i++) nibbles[i] = (u8)((codes[i / 32 * 2][i % 32] & 15) | (codes[i / 32 * 2 + 1][i % 32] & 15) << 4);
    }
    if constexpr (BLOCK_TYPE == Q2_K || BLOCK_TYPE == Q3_K) {
        u8* pairs = b + (BLOCK_TYPE == Q2_K ? 16 : 32);
        for (int i = 0; i < 64; i++) {
            int packed = 0;
            for (int quarter = 0; quarter < 4; quarter++) {
                packed |= (codes[8 * (i / 32) + 2 * quarter + i % 32 / 16][i % 16] & 3) << 2 * quarter;
            }
            pairs[i] = (u8)packed;
        }
    }
    if constexpr (BLOCK_TYPE == Q2_K) {
        for (int g = 0; g < 16; g++) b[g] = (u8)(scales[g] | minima[g] << 4);
        put_half(b + 80, d), put_half(b + 82, least);
    }
    if constexpr (BLOCK_TYPE == Q3_K) {
        for (int l = 0; l < 32; l++) {
            int mask = 0;
            for (int eighth = 0; eighth < 8; eighth++) mask |= codes[2 * eighth + l / 16][l % 16] >> 2 << eighth;
            b[l] = (u8)mask;
        }
        for (int i = 0; i < 8; i++) b[96 + i] = (u8)(((scales[i] + 32) & 15) | ((scales[i + 8] + 32) & 15) << 4);
        for (int i = 0; i < 4; i++) {
            int high = 0;
            for (int j = 0; j < 4; j++) high |= (scales[i + 4 * j] + 32) >> 4 << 2 * j;
            b[104 + i] = (u8)high;
        }
        put_half(b + 108, d);
    }
    if constexpr (BLOCK_TYPE == Q6_K) {
        for (int i = 0; i < 64; i++) {
            int part = i / 32, l = i % 32, g = 8 * part + l / 16, e = l % 16;
            int q0 = codes[g][e], q1 = codes[g + 2][e], q2 = codes[g + 4][e], q3 = codes[g + 6][e];
            b[64 * part + l] = (u8)((q0 & 15) | (q2 & 15) << 4), b[64 * part + 32 + l] = (u8)((q1 & 15) | (q3 & 15) << 4);
            b[128 + i] = (u8)(q0 >> 4 | q1 >> 4 << 2 | q2 >> 4 << 4 | q3 >> 4 << 6);
        }
        for (int g = 0; g < 16; g++) b[192 + g] = (u8)scales[g];
        put_half(b + 208, d);
    }
}

// --- types of 32 elements, by a formula -----------------------------------------------------------------------------------

DEVICE void put_formula(u8* b, const Group& group) {
    if constexpr (BLOCK_TYPE == Q8_0) {
        R largest = number(0);
#pragma unroll
        for (int i = 0; i < N; i++) largest = most_of(largest, magnitude(group.x[i]));
        R d = largest / number(127), inverse = inverse_of(d);
        put_half(b, d.v);
#pragma unroll
        for (int i = 0; i < N; i++) {
            R x = group.x[i] * inverse;
            int code = (int)floor((double)fabsf(x.v) + 0.5);  // halves away from zero
            b[2 + i] = (u8)(signed char)(x.v < 0 ? -code : code);
        }
        return;
    }
    constexpr bool SIGNED = BLOCK_TYPE == Q4_0 || BLOCK_TYPE == Q5_0, FIFTH = BLOCK_TYPE == Q5_0 || BLOCK_TYPE == Q5_1;
    R low = number(INFINITY), high = number(-INFINITY), largest = number(0);
#pragma unroll
    for (int i = 0; i < N; i++) {
        low = least_of(low, group.x[i]), high = most_of(high, group.x[i]);
        if (magnitude(group.x[i]) > magnitude(largest)) largest = group.x[i];
    }
    R d = SIGNED ? largest / number(-HALF) : (high - low) / number(CODES), inverse = inverse_of(d);
    put_half(b, d.v);
    if (!SIGNED) put_half(b + 2, low.v);
    u8* nibbles = b + (SIGNED ? 2 : 4) + (FIFTH ? 4 : 0);
    u32 fifth = 0, four[4] = {0, 0, 0, 0};
#pragma unroll
    for (int i = 0; i < N; i++) {
        R shifted = SIGNED ? group.x[i] * inverse + number(HALF + 0.5f) : (group.x[i] - low) * inverse + number(0.5f);
        int code = min(SIGNED ? 2 * HALF - 1 : CODES, (int)shifted.v);
        fifth |= (u32)code >> 4 << i;
        four[i % 16 / 4] |= (u32)(code & 15) << (i % 4 * 8 + i / 16 * 4);
    }
#pragma unroll
    for (int i = 0; i < 16; i++) nibbles[i] = (u8)(four[i / 4] >> 8 * (i % 4));
    for (int i = 0; FIFTH && i < 4; i++) nibbles[i - 4] = (u8)(fifth >> 8 * i);
}

extern "C" __global__ void __launch_bounds__(THREADS)
block_encode(u8* out, const float* rows, const float* importance, int columns, long long groups) {
    __shared__ u8 codes[THREADS][N];
    __shared__ R exact[THREADS], lowest[THREADS], weight[THREADS];
    __shared__ int scales[THREADS], minima[THREADS];
    long long g = (long long)blockIdx.x * THREADS + threadIdx.x;
    int t = threadIdx.x, first = t / GROUPS * GROUPS;
    bool valid = g < groups;
    Group group;
#pragma unroll
    for (int i = 0; i < N; i++) group.x[i] = number(valid ? rows[g * N + i] : 0), group.w[i] = number(0);
    u8* b = out + g / GROUPS * T::BLOCK_BYTES;
    if constexpr (!MINIMUM_K && !SYMMETRIC_K) {
        if (valid) put_formula(b, group);
    } else {
        if (importance && valid) {
            long long start = g / GROUPS * 256;
            R squares = number(0);
            for (int i = 0; i < 256; i++) squares = squares + number(rows[start + i]) * number(rows[start + i]);
            R twice = number(2) * squares / number(256);
            const float* mine = importance + g * N % columns;
#pragma unroll
            for (int i = 0; i < N; i++) group.w[i] = number(mine[i]) * root(twice + group.x[i] * group.x[i]);
        } else {
            R squares = number(0);
#pragma unroll
            for (int i = 0; i < N; i++) squares = squares + group.x[i] * group.x[i];
            R mean = root(squares / number(N));
#pragma unroll
            for (int i = 0; i < N; i++) {
                R size = magnitude(group.x[i]);
                group.w[i] = SYMMETRIC_K ? size * size : mean + size;
            }
        }
        R all = number(0);
#pragma unroll
        for (int i = 0; i < N; i++) all = all + group.w[i];
        weight[t] = all;
        R scale, minimum = number(0);
        if constexpr (MINIMUM_K) {
            ScaleAndOffset found = search_offset(group, number(importance ? -1.2f : -1.0f), importance ? 25 : 21);
            scale = found.scale, minimum = number(0) - found.offset;
        } else {
            scale = search_symmetric(group);
        }
        exact[t] = scale, lowest[t] = minimum;
        __syncthreads();
        R d = block_step(exact + first, weight + first, MINIMUM_K ? 0 : -HALF_SCALE, MINIMUM_K ? MOST_SCALE : HALF_SCALE - 1);
        R dmin = MINIMUM_K ? block_step(lowest + first, weight + first, 0, MOST_SCALE) : number(0);
        constexpr int LEAST = MINIMUM_K ? 0 : -HALF_SCALE, MOST = MINIMUM_K ? MOST_SCALE : HALF_SCALE - 1;
        constexpr int LEAST_CODE = MINIMUM_K ? 0 : -HALF, MOST_CODE = MINIMUM_K ? CODES : HALF - 1;
        R s0 = code_of(scale, inverse_of(d), LEAST, MOST), m0 = code_of(minimum, inverse_of(dmin), 0, MOST_SCALE);
        R best_scale = s0, best_minimum = m0, least = number(INFINITY);
        for (int ds = 0; ds < 3; ds++) {
            R s = clamped(s0 + number(ds == 2 ? 1 : -ds), LEAST, MOST);
            for (int dm = 0; dm < (MINIMUM_K ? 3 : 1); dm++) {
                R m = MINIMUM_K ? clamped(m0 + number(dm == 2 ? 1 : -dm), 0, MOST_SCALE) : number(0);
                R error = error_of(group, d * s, MINIMUM_K ? dmin * m : number(0), LEAST_CODE, MOST_CODE);
                if (error < least) least = error, best_scale = s, best_minimum = m;
            }
        }
        R step = d * best_scale, inverse = inverse_of(step), under = MINIMUM_K ? dmin * best_minimum : number(0);
#pragma unroll
        for (int i = 0; i < N; i++) codes[t][i] = (u8)((int)code_of(group.x[i] + under, inverse, LEAST_CODE, MOST_CODE).v - LEAST_CODE);
        scales[t] = (int)best_scale.v, minima[t] = (int)best_minimum.v;
        __syncthreads();
        if (valid && t == first) put_block(b, codes + first, scales + first, minima + first, d.v, dmin.v);
    }
}
