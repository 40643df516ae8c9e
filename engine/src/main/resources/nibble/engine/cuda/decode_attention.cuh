// Attention of one token over the cache: rotates its query and key, appends its key and value, and attends to all keys up to
// and including its own.
//
//   out[head, :] = softmax over keys of (scale * q[head] . K[key, head / G]) V[key, head / G], G = query heads a kv head
//
// Flash-decoding: the keys of a kv head are shared out over `splits` items (fewer where there are few keys), an item is the
// work of one block; 8, 4 or 2 of its warps share its keys in turns of 16. A warp computes S = Q K^T and O += P V with
// mma.m16n8k16, the (at most 16) query heads of the kv head being the 16 rows. K and V need no shared memory: each lane loads
// 16 bytes that are its operand, because columns may be permuted:
//   lane 4 r + t: of K, keys r and r + 8, elements 32 i + 8 t .. + 7; of V, keys 2t, 2t + 1, 2t + 8, 2t + 9, elements
//   64 i + 8 r .. + 7, so that column r of tile j of O is element 64 i + 8 r + j
// The sums of warps, then of items (by the block that comes last), are added in a fixed order.
//
// -DHEAD_DIM (a multiple of 8 up to 256), -DQUERIES_PER_KV=G. Whoever includes this defines THREADS: the threads of the block that take
// part, its first ones; or ONLY_ATTENTION, where a block has no others.

#pragma once
#include "common.cuh"

#ifndef SPLIT_KEYS
#define SPLIT_KEYS 256  // fewer keys than this are not worth another block
#endif
#ifndef MOST_ATTENTION_WARPS
#define MOST_ATTENTION_WARPS 8
#endif

constexpr int HEADS = QUERIES_PER_KV < 16 ? QUERIES_PER_KV : 16;
constexpr int HEAD_BLOCKS = (QUERIES_PER_KV + 15) / 16;
constexpr int FITTING_WARPS = HEADS * HEAD_DIM <= 1024 ? 8 : HEADS * HEAD_DIM <= 2048 ? 4 : 2;
constexpr int ATTENTION_WARPS = FITTING_WARPS < MOST_ATTENTION_WARPS ? FITTING_WARPS : MOST_ATTENTION_WARPS;
#ifdef ONLY_ATTENTION
constexpr int THREADS = 32 * ATTENTION_WARPS;
#endif
constexpr int HALF = HEAD_DIM / 2;
constexpr int K_PIECES = (HEAD_DIM + 31) / 32;
constexpr int V_PIECES = (HEAD_DIM + 63) / 64;
constexpr int Q_STRIDE = K_PIECES * 32 + (K_PIECES % 2 == 0 ? 32 : 0);  // 64 bytes beyond a multiple of 128: rows on other banks
constexpr float NEVER = -1e30f;
// Shared memory of a block, at most 49 KB.
constexpr int ATTENTION_QUERY_BYTES = 16 * Q_STRIDE * 2;
constexpr int ATTENTION_SUM_BYTES = ATTENTION_WARPS * HEADS * HEAD_DIM * 4;
constexpr int ATTENTION_BYTES = ATTENTION_QUERY_BYTES + ATTENTION_SUM_BYTES + ATTENTION_WARPS * 16 * 8;

#ifdef HEAD_EXTRAS
// What comes between q, k, v and rope.
struct HeadExtras {
    const float* biases;  // [(heads + 2 kv_heads) d]; null where there are none
    const float* gains;   // of queries, then of keys: [2, d], or with -DHEAD_EXTRAS=2 [(heads + kv_heads) d] of a norm over all heads
};
#endif

struct Attention {
    half_t* out;          // [heads * d]
    half_t* k_cache;      // [capacity, kv_heads * d]; rows below `position` are read, row `position` is written
    half_t* v_cache;
    const half_t* qkv;    // [(heads + 2 kv_heads) * d], not yet rotated
    const float* cos;     // [d / 2] of the position; element i of a head turns with element i + d / 2
    const float* sin;
    float* partials;      // [heads, splits, d + 2]
    u32* tickets;         // [kv_heads * ceil(G / 16)], zero at first, left at zero
    int position;
    int kv_heads;
    int splits;
    float scale;          // 1 / sqrt(d) * log2(e), since softmax is taken in powers of two
#ifdef HEAD_EXTRAS
    HeadExtras extras;
    float epsilon;
#endif
};

DEVICE uint4 load_cached(const half_t* from, bool valid) {  // past the L1: keys are read once, and the newest was just written
    uint4 v = make_uint4(0, 0, 0, 0);
    if (valid) asm volatile("ld.global.cg.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(from) : "memory");
    return v;
}

DEVICE float load_fresh(const half_t* from) {
    half_t v;
    asm volatile("ld.global.cg.u16 %0, [%1];" : "=h"(v) : "l"(from) : "memory");
    return to_float(v);
}

DEVICE float load_partial(const float* from) {
    float v;
    asm volatile("ld.global.cg.f32 %0, [%1];" : "=f"(v) : "l"(from) : "memory");
    return v;
}

DEVICE float power_of_two(float x) {
    float y;
    asm("ex2.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

DEVICE float max_of_quad(float v) {
    v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, 1));
    return fmaxf(v, __shfl_xor_sync(0xffffffffu, v, 2));
}

DEVICE float sum_of_quad(float v) {
    v += __shfl_xor_sync(0xffffffffu, v, 1);
    return v + __shfl_xor_sync(0xffffffffu, v, 2);
}

// What a warp has of softmax(S) V: lane 4 r + t has heads r and r + 8.
struct Sums {
    float o[V_PIECES * 8][4];
    float max[2];
    float total[2];
};

#include "decode_heads.cuh"

// Scores of 16 keys, s[n][i] that of key 8 n + 2t + i % 2, to their powers of two below the largest score so far. The factor by which
// the sums of earlier keys shrink comes back; a power counts UNIT in the total.
template <int UNIT = 1>
DEVICE void soften(Sums& sums, float (&s)[2][4], float (&factor)[2]) {
#pragma unroll
    for (int half = 0; half < 2; half++) {  // head r, head r + 8
        float& a = s[0][2 * half];
        float& b = s[0][2 * half + 1];
        float& c = s[1][2 * half];
        float& d = s[1][2 * half + 1];
        float max = fmaxf(sums.max[half], max_of_quad(fmaxf(fmaxf(a, b), fmaxf(c, d))));
        factor[half] = power_of_two(sums.max[half] - max);
        sums.max[half] = max;
        a = power_of_two(a - max), b = power_of_two(b - max), c = power_of_two(c - max), d = power_of_two(d - max);
        sums.total[half] = sums.total[half] * factor[half] + UNIT * (a + b + (c + d));
    }
}

// A score in base-2 units, capped where SCORE_CAP_BITS says the bits of a cap.
DEVICE float scaled(float product, float scale) {
#ifdef SCORE_CAP_BITS
    float most = 1.4426950408889634f * __int_as_float(SCORE_CAP_BITS);
    return most * tanhf(product * (scale / most));
#else
    return product * scale;
#endif
}

// 16 keys from `base`; those from `end` on count nothing, nor with a window those before `first`. q: the lane's rows of the
// queries, at element 8 t.
template <bool WINDOW = false>
DEVICE void attend(Sums& sums, const half_t* q, const half_t* k, const half_t* v, int base, int end, int stride, float scale,
                   int first = 0) {
    int lane = threadIdx.x % 32, r = lane / 4, t = lane % 4;
    uint4 keys[2][K_PIECES], values[4];
#pragma unroll
    for (int n = 0; n < 2; n++) {
        const half_t* from = k + (long long)min(base + n * 8 + r, end - 1) * stride + t * 8;
#pragma unroll
        for (int i = 0; i < K_PIECES; i++) keys[n][i] = load_cached(from + i * 32, i * 32 + t * 8 < HEAD_DIM);
    }
    const half_t* value_rows[4];
#pragma unroll
    for (int i = 0; i < 4; i++) value_rows[i] = v + (long long)min(base + 2 * t + (i & 1) + (i >> 1) * 8, end - 1) * stride + r * 8;
#pragma unroll
    for (int i = 0; i < 4; i++) values[i] = load_cached(value_rows[i], r * 8 < HEAD_DIM);

    float s[2][4] = {};
#pragma unroll
    for (int i = 0; i < K_PIECES; i++) {
        uint4 low = *(const uint4*)(q + i * 32);
        uint4 high = HEADS > 8 ? *(const uint4*)(q + 8 * Q_STRIDE + i * 32) : make_uint4(0, 0, 0, 0);
        u32 first[4] = {low.x, high.x, low.y, high.y}, second[4] = {low.z, high.z, low.w, high.w};
#pragma unroll
        for (int n = 0; n < 2; n++) {
            mma_16x8x16(s[n], first, keys[n][i].x, keys[n][i].y);
            mma_16x8x16(s[n], second, keys[n][i].z, keys[n][i].w);
        }
    }
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int key = base + n * 8 + 2 * t + (i & 1);
            s[n][i] = key < end && (!WINDOW || key >= first) ? scaled(s[n][i], scale) : NEVER;
        }

    float factor[2];
    soften(sums, s, factor);
    u32 p[4] = {pack_half2(s[0][0], s[0][1]), pack_half2(s[0][2], s[0][3]), pack_half2(s[1][0], s[1][1]), pack_half2(s[1][2], s[1][3])};

#pragma unroll
    for (int piece = 0; piece < V_PIECES; piece++) {
        u32 words[4][4];
#pragma unroll
        for (int i = 0; i < 4; i++) words[i][0] = values[i].x, words[i][1] = values[i].y, words[i][2] = values[i].z, words[i][3] = values[i].w;
        if (piece + 1 < V_PIECES) {
#pragma unroll
            for (int i = 0; i < 4; i++) values[i] = load_cached(value_rows[i] + (piece + 1) * 64, (piece + 1) * 64 + r * 8 < HEAD_DIM);
        }
#pragma unroll
        for (int j = 0; j < 8; j++) {
            u32 pair = j % 2 ? 0x7632 : 0x5410;
            float(&o)[4] = sums.o[piece * 8 + j];
            o[0] *= factor[0], o[1] *= factor[0], o[2] *= factor[1], o[3] *= factor[1];
            mma_16x8x16(o, p, __byte_perm(words[0][j / 2], words[1][j / 2], pair), __byte_perm(words[2][j / 2], words[3][j / 2], pair));
        }
    }
}

// A warp's sums to shared memory: o [head, d], then per head its maximum and total.
DEVICE void publish(const Sums& sums, float* o, float* max, float* total) {
    int lane = threadIdx.x % 32, r = lane / 4, t = lane % 4;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float whole = sum_of_quad(sums.total[half]);
        int head = r + 8 * half;
        if (head >= HEADS) continue;
        if (t == 0) max[head] = sums.max[half], total[head] = whole;
#pragma unroll
        for (int piece = 0; piece < V_PIECES; piece++) {
#pragma unroll
            for (int c = 0; c < 2; c++) {  // columns 2t and 2t + 1: 8 elements of each
                int element = piece * 64 + (2 * t + c) * 8;
                if (element >= HEAD_DIM) continue;
                float* to = o + head * HEAD_DIM + element;
                int i = 2 * half + c, j = piece * 8;
                *(float4*)to = make_float4(sums.o[j][i], sums.o[j + 1][i], sums.o[j + 2][i], sums.o[j + 3][i]);
                *(float4*)(to + 4) = make_float4(sums.o[j + 4][i], sums.o[j + 5][i], sums.o[j + 6][i], sums.o[j + 7][i]);
            }
        }
    }
}

// The warps' parts of an element of a head added up, with their largest score and the sum of weights below it.
DEVICE float merged(const float* o, const float* maxima, const float* totals, int head, int element, float& highest, float& weight) {
    highest = NEVER, weight = 0;
    float value = 0;
#pragma unroll
    for (int w = 0; w < ATTENTION_WARPS; w++) highest = fmaxf(highest, maxima[w * 16 + head]);
#pragma unroll
    for (int w = 0; w < ATTENTION_WARPS; w++) {
        float factor = power_of_two(maxima[w * 16 + head] - highest);
        weight += totals[w * 16 + head] * factor;
        value += o[(w * HEADS + head) * HEAD_DIM + element] * factor;
    }
    return value;
}

// Whether a block has anything to do for an item = split * kv_heads * HEAD_BLOCKS + kv head * HEAD_BLOCKS + block of 16 heads, and
// how the keys are split.
struct Share {
    int split, active, begin, end;
};

DEVICE Share share_of(const Attention& a, int item) {
    int keys = a.position + 1, share = (keys + a.splits - 1) / a.splits;
    share = (share + 16 * ATTENTION_WARPS - 1) / (16 * ATTENTION_WARPS) * (16 * ATTENTION_WARPS);
    if (share < SPLIT_KEYS) share = SPLIT_KEYS;
    int split = item / (a.kv_heads * HEAD_BLOCKS);
    return {split, (keys + share - 1) / share, split * share, min((split + 1) * share, keys)};
}

// Brings an item's older keys and values to the L2, as far as that is worth while, without waiting for them or for the token's own.
DEVICE void prefetch_keys(const Attention& a, int item) {
    constexpr int LINES = (HEAD_DIM + 63) / 64;
    Share share = share_of(a, item);
    int stride = a.kv_heads * HEAD_DIM, keys = min(share.end - share.begin, 512);
    long long from = (long long)share.begin * stride + item % (a.kv_heads * HEAD_BLOCKS) / HEAD_BLOCKS * HEAD_DIM;
    for (int i = threadIdx.x; i < keys * LINES; i += THREADS) {
        long long at = from + (long long)(i / LINES) * stride + i % LINES * 64;
        asm volatile("prefetch.global.L2 [%0];" ::"l"(a.k_cache + at));
        asm volatile("prefetch.global.L2 [%0];" ::"l"(a.v_cache + at));
    }
}

// The items' results, by the block that came last.
DEVICE void combine(const Attention& a, int first_head, int heads, int active) {
    for (int i = threadIdx.x; i < heads * HEAD_DIM; i += THREADS) {
        int head = first_head + i / HEAD_DIM, element = i % HEAD_DIM;
        const float* from = a.partials + (long long)head * a.splits * (HEAD_DIM + 2);
        float highest = NEVER, weight = 0, value = 0;
        for (int s = 0; s < active; s++) highest = fmaxf(highest, load_partial(from + s * (HEAD_DIM + 2) + HEAD_DIM));
        for (int s = 0; s < active; s++) {
            const float* part = from + s * (HEAD_DIM + 2);
            float factor = power_of_two(load_partial(part + HEAD_DIM) - highest);
            weight += load_partial(part + HEAD_DIM + 1) * factor;
            value += load_partial(part + element) * factor;
        }
        a.out[head * HEAD_DIM + element] = to_half(value / weight);
    }
}

// Before items, with a barrier of the block between: rows and columns of q that no item has count nothing.
DEVICE void clear_queries(unsigned char* shared) {
    for (int i = threadIdx.x; i < ATTENTION_QUERY_BYTES / 4; i += THREADS) ((u32*)shared)[i] = 0;
}

// One item by a whole block. shared: ATTENTION_BYTES, aligned to 16, free but for q at entry and again after the block's next barrier.
DEVICE void attend_item(const Attention& a, int item, unsigned char* shared) {
    __shared__ u32 ticket;
    half_t* q = (half_t*)shared;
    float* o = (float*)(shared + ATTENTION_QUERY_BYTES);
    float* maxima = (float*)(shared + ATTENTION_QUERY_BYTES + ATTENTION_SUM_BYTES);
    float* totals = maxima + ATTENTION_WARPS * 16;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int group = item % (a.kv_heads * HEAD_BLOCKS), kv = group / HEAD_BLOCKS, first = group % HEAD_BLOCKS * 16;
    int heads = min(16, QUERIES_PER_KV - first), first_head = kv * QUERIES_PER_KV + first, stride = a.kv_heads * HEAD_DIM;
    Share share = share_of(a, item);
    if (share.split >= share.active) return;

    half_t* k = a.k_cache + kv * HEAD_DIM;
    half_t* v = a.v_cache + kv * HEAD_DIM;
#ifdef HEAD_EXTRAS
    bool last = share.split == share.active - 1;
    turn_heads(a, q, maxima, last ? k + (long long)a.position * stride : nullptr, v + (long long)a.position * stride, first_head, heads, kv);
#else
    rotate_queries(q, a.qkv + first_head * HEAD_DIM, heads, a.cos, a.sin);
    if (share.split == share.active - 1) {
        const half_t* new_k = a.qkv + (a.kv_heads * QUERIES_PER_KV + kv) * HEAD_DIM;
        append(k + (long long)a.position * stride, v + (long long)a.position * stride, new_k, new_k + stride, a.cos, a.sin);
    }
#endif
    sync_threads<THREADS>();

    if (warp < ATTENTION_WARPS) {
        Sums sums = {};
        sums.max[0] = sums.max[1] = NEVER;
        for (int base = share.begin + warp * 16; base < share.end; base += 16 * ATTENTION_WARPS) {
            attend(sums, q + lane / 4 * Q_STRIDE + lane % 4 * 8, k, v, base, share.end, stride, a.scale);
        }
        publish(sums, o + warp * HEADS * HEAD_DIM, maxima + warp * 16, totals + warp * 16);
    }
    sync_threads<THREADS>();

    for (int i = threadIdx.x; i < heads * HEAD_DIM; i += THREADS) {
        int head = i / HEAD_DIM, element = i % HEAD_DIM;
        float highest, weight;
        float value = merged(o, maxima, totals, head, element, highest, weight);
        if (share.active == 1) {
            a.out[(first_head + head) * HEAD_DIM + element] = to_half(value / weight);
        } else {
            float* to = a.partials + ((long long)(first_head + head) * a.splits + share.split) * (HEAD_DIM + 2);
            to[element] = value;
            if (element == 0) to[HEAD_DIM] = highest, to[HEAD_DIM + 1] = weight;
        }
    }
    if (share.active == 1) return;

    __threadfence();
    sync_threads<THREADS>();
    if (threadIdx.x == 0) ticket = atomicAdd(a.tickets + group, 1u);
    sync_threads<THREADS>();
    if (ticket != (u32)share.active - 1) return;
    if (threadIdx.x == 0) a.tickets[group] = 0;
    __threadfence();
    combine(a, first_head, heads, share.active);
}
