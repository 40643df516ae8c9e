// One token of attention: rotates the token's query and key, appends its key and value to the cache, and attends to all keys
// up to and including its own.
//
//   out[head, :] = softmax over keys of (scale * q[head] . K[key, head / G]) V[key, head / G], G = query heads a kv head
//
//   qkv        f16 [(heads + 2 kv_heads) * d] the token's query, key, value, not yet rotated
//   k_cache,
//   v_cache    f16 [capacity, kv_heads * d]; rows below `position` are read, row `position` is written
//   cos, sin   f32 [positions, d / 2]; element i of a head turns with element i + d / 2
//   step       i32 [2] = {token, position} in device memory, so that one captured graph serves every token
//   partials   f32 [heads, splits, d + 2]; tickets u32 [gridDim.x], zero before the first launch, left at zero
//   out        f16 [heads * d]
//   scale      1 / sqrt(d) * log2(e), since softmax is taken in powers of two
//
// Flash-decoding: gridDim.y blocks share the keys of a kv head (fewer where there are few keys), the 8, 4 or 2 warps of a
// block share its keys in turns of 16. A warp computes S = Q K^T and O += P V with mma.m16n8k16, the (at most 16) query heads
// of the kv head being the 16 rows: for K and V no shared memory, each lane loads 16 bytes that are its operand, because
// columns may be permuted:
//   lane 4 r + t: of K, keys r and r + 8, elements 32 i + 8 t .. + 7; of V, keys 2t, 2t + 1, 2t + 8, 2t + 9, elements
//   64 i + 8 r .. + 7, so that column r of tile j of O is element 64 i + 8 r + j
// The sums of warps, then of blocks (by the block that comes last), are added in a fixed order.
//
//   grid (kv_heads * ceil(G / 16), splits), block 32 * warps, no dynamic shared memory
//   warps = 8 if min(G, 16) * d <= 1024, 4 if <= 2048, else 2
//   splits any number >= 1; max(1, multiprocessors / gridDim.x) fills the device
// -DHEAD_DIM (a multiple of 8 up to 256), -DQUERIES_PER_KV=G.

#include "common.cuh"

#ifndef SPLIT_KEYS
#define SPLIT_KEYS 256  // fewer keys than this are not worth another block
#endif

constexpr int HEADS = QUERIES_PER_KV < 16 ? QUERIES_PER_KV : 16;
constexpr int HEAD_BLOCKS = (QUERIES_PER_KV + 15) / 16;
constexpr int WARPS = HEADS * HEAD_DIM <= 1024 ? 8 : HEADS * HEAD_DIM <= 2048 ? 4 : 2;
constexpr int THREADS = 32 * WARPS;
constexpr int HALF = HEAD_DIM / 2;
constexpr int K_PIECES = (HEAD_DIM + 31) / 32;
constexpr int V_PIECES = (HEAD_DIM + 63) / 64;
constexpr int Q_STRIDE = K_PIECES * 32 + (K_PIECES % 2 == 0 ? 32 : 0);  // 64 bytes beyond a multiple of 128: rows on other banks
constexpr float NEVER = -1e30f;

DEVICE uint4 load_cached(const half_t* from, bool valid) {  // past the L1: keys are read once, and the newest was just written
    uint4 v = make_uint4(0, 0, 0, 0);
    if (valid) asm volatile("ld.global.cg.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(from) : "memory");
    return v;
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

// The token's query heads, rotated, to shared memory; the rest of q stays zero.
DEVICE void rotate_queries(half_t* q, const half_t* heads, int count, const float* cos, const float* sin) {
    for (int i = threadIdx.x; i < count * HALF; i += THREADS) {
        int head = i / HALF, j = i % HALF;
        float a = to_float(heads[head * HEAD_DIM + j]), b = to_float(heads[head * HEAD_DIM + HALF + j]);
        q[head * Q_STRIDE + j] = to_half(a * cos[j] - b * sin[j]);
        q[head * Q_STRIDE + HALF + j] = to_half(b * cos[j] + a * sin[j]);
    }
}

DEVICE void append(half_t* k_row, half_t* v_row, const half_t* k, const half_t* v, const float* cos, const float* sin) {
    for (int j = threadIdx.x; j < HALF; j += THREADS) {
        float a = to_float(k[j]), b = to_float(k[HALF + j]);
        k_row[j] = to_half(a * cos[j] - b * sin[j]);
        k_row[HALF + j] = to_half(b * cos[j] + a * sin[j]);
        v_row[j] = v[j];
        v_row[HALF + j] = v[HALF + j];
    }
}

// 16 keys from `base`; those from `end` on count nothing. q: the lane's rows of the queries, at element 8 t.
DEVICE void attend(Sums& sums, const half_t* q, const half_t* k, const half_t* v, int base, int end, int stride, float scale) {
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
        for (int i = 0; i < 4; i++) s[n][i] = base + n * 8 + 2 * t + (i & 1) < end ? s[n][i] * scale : NEVER;

    float factor[2];
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
        sums.total[half] = sums.total[half] * factor[half] + (a + b + (c + d));
    }
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

extern "C" __global__ void __launch_bounds__(THREADS, HEAD_DIM <= 128 && WARPS == 8 ? 2 : 1)
decode_attention(half_t* out, half_t* k_cache, half_t* v_cache, const half_t* qkv, const float* cos, const float* sin,
                 const int* step, float* partials, u32* tickets, int kv_heads, float scale) {
    __shared__ __align__(16) half_t q[16 * Q_STRIDE];
    __shared__ __align__(16) float o[WARPS * HEADS * HEAD_DIM];
    __shared__ float maxima[WARPS][16], totals[WARPS][16];
    __shared__ u32 ticket;
    let_next_kernel_start();
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int kv = blockIdx.x / HEAD_BLOCKS, first = blockIdx.x % HEAD_BLOCKS * 16, split = blockIdx.y, splits = gridDim.y;
    int heads = min(16, QUERIES_PER_KV - first), stride = kv_heads * HEAD_DIM;
    for (int i = threadIdx.x; i < 16 * Q_STRIDE / 2; i += THREADS) ((u32*)q)[i] = 0;

    int position = step[1], keys = position + 1;
    int share = (keys + splits - 1) / splits;
    share = (share + 16 * WARPS - 1) / (16 * WARPS) * (16 * WARPS);
    if (share < SPLIT_KEYS) share = SPLIT_KEYS;
    int active = (keys + share - 1) / share, begin = split * share, end = min(begin + share, keys);
    if (split >= active) return;
    __syncthreads();
    wait_for_previous_kernel();

    const half_t* queries = qkv + (kv * QUERIES_PER_KV + first) * HEAD_DIM;
    half_t* k = k_cache + kv * HEAD_DIM;
    half_t* v = v_cache + kv * HEAD_DIM;
    cos += (long long)position * HALF, sin += (long long)position * HALF;
    rotate_queries(q, queries, heads, cos, sin);
    if (split == active - 1) {
        const half_t* new_k = qkv + (kv_heads * QUERIES_PER_KV + kv) * HEAD_DIM;
        append(k + (long long)position * stride, v + (long long)position * stride, new_k, new_k + stride, cos, sin);
    }
    __syncthreads();

    Sums sums = {};
    sums.max[0] = sums.max[1] = NEVER;
    for (int base = begin + warp * 16; base < end; base += 16 * WARPS) {
        attend(sums, q + lane / 4 * Q_STRIDE + lane % 4 * 8, k, v, base, end, stride, scale);
    }
    publish(sums, o + warp * HEADS * HEAD_DIM, maxima[warp], totals[warp]);
    __syncthreads();

    int first_head = kv * QUERIES_PER_KV + first;
    for (int i = threadIdx.x; i < heads * HEAD_DIM; i += THREADS) {
        int head = i / HEAD_DIM, element = i % HEAD_DIM;
        float highest = NEVER, weight = 0, value = 0;
#pragma unroll
        for (int w = 0; w < WARPS; w++) highest = fmaxf(highest, maxima[w][head]);
#pragma unroll
        for (int w = 0; w < WARPS; w++) {
            float factor = power_of_two(maxima[w][head] - highest);
            weight += totals[w][head] * factor;
            value += o[(w * HEADS + head) * HEAD_DIM + element] * factor;
        }
        if (active == 1) {
            out[(first_head + head) * HEAD_DIM + element] = to_half(value / weight);
        } else {
            float* to = partials + ((long long)(first_head + head) * splits + split) * (HEAD_DIM + 2);
            to[element] = value;
            if (element == 0) to[HEAD_DIM] = highest, to[HEAD_DIM + 1] = weight;
        }
    }
    if (active == 1) return;

    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) ticket = atomicAdd(tickets + blockIdx.x, 1);
    __syncthreads();
    if (ticket != active - 1) return;
    if (threadIdx.x == 0) tickets[blockIdx.x] = 0;
    __threadfence();
    for (int i = threadIdx.x; i < heads * HEAD_DIM; i += THREADS) {
        int head = i / HEAD_DIM, element = i % HEAD_DIM;
        const float* from = partials + (long long)(first_head + head) * splits * (HEAD_DIM + 2);
        float highest = NEVER, weight = 0, value = 0;
        for (int s = 0; s < active; s++) highest = fmaxf(highest, load_partial(from + s * (HEAD_DIM + 2) + HEAD_DIM));
        for (int s = 0; s < active; s++) {
            const float* part = from + s * (HEAD_DIM + 2);
            float factor = power_of_two(load_partial(part + HEAD_DIM) - highest);
            weight += load_partial(part + HEAD_DIM + 1) * factor;
            value += load_partial(part + element) * factor;
        }
        out[(first_head + head) * HEAD_DIM + element] = to_half(value / weight);
    }
}
