// What both attention kernels share: a block's part of the matrices, and the softmax over product fragments.

#pragma once

#include "common.cuh"

#define MINUS_INFINITY __int_as_float(0xff800000)

constexpr float WEIGHT_SHIFT = 14.0f;  // attention.cu

#ifdef SLIDING_WINDOW
constexpr bool HAS_WINDOW = true;
#else
#define SLIDING_WINDOW 0
constexpr bool HAS_WINDOW = false;
#endif

// The factor of scores and their cap, as the bits of floats; where they are not given, 1 / sqrt(HEAD_DIM) and none.
#ifdef SCORE_SCALE_BITS
DEVICE float plain_scale() { return __int_as_float(SCORE_SCALE_BITS); }
#else
DEVICE float plain_scale() { return rsqrtf((float)HEAD_DIM); }
#endif

// Scores in base-2 units.
#ifdef SCORE_CAP_BITS
DEVICE float score_scale() { return 1.0f; }

DEVICE float capped(float score) {
    float cap = __int_as_float(SCORE_CAP_BITS);
    return score == MINUS_INFINITY ? score : 1.4426950408889634f * cap * tanhf(score * (plain_scale() / cap));
}
#else
DEVICE float score_scale() { return 1.4426950408889634f * plain_scale(); }
#endif

DEVICE float power_of_two(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// --- what a block works on ----------------------------------------------------------------------------------------

// Positions count from the first key that any of the tile's rows sees: key 0 of the sequence, or with a window a later one.
struct Tile {
    const half_t* q;     // first query row of the tile, this head
    const half_t* k;     // the first key row, this head's group
    const half_t* v;
    half_t* out;
    int query_rows;      // rows of the tile that exist
    int first_position;  // of the tile's first row
    int visible;         // keys up to the tile's last row
#ifdef SINKS
    float sink;          // the head's, in base-2 units
#endif
};

template <int QUERY_TILE>
DEVICE Tile tile_of_block(const half_t* q, long long q_row_stride, const half_t* k, const half_t* v, long long kv_row_stride,
                          half_t* out, long long out_row_stride, int heads, int kv_heads, int queries, int first_position,
                          long long q_rows_per_sequence, long long kv_rows_per_sequence) {
    int head = blockIdx.x;
    int first_row = (int)(gridDim.y - 1 - blockIdx.y) * QUERY_TILE;
    int group = head / (heads / kv_heads);
    long long row = blockIdx.z * q_rows_per_sequence + first_row;
    long long kv_offset = blockIdx.z * kv_rows_per_sequence * kv_row_stride + (long long)group * HEAD_DIM;
    int query_rows = min(QUERY_TILE, queries - first_row);
    int position = first_position + first_row;
    if (HAS_WINDOW) {
        int unseen = max(0, position - SLIDING_WINDOW + 1);
        kv_offset += unseen * kv_row_stride;
        position -= unseen;
    }
    return {q + row * q_row_stride + (long long)head * HEAD_DIM, k + kv_offset, v + kv_offset,
            out + row * out_row_stride + (long long)head * HEAD_DIM, query_rows, position, position + query_rows};
}

// --- softmax over fragments -----------------------------------------------------------------------------------------
//
// A thread holds, of each 16 x 8 block n of a product, c[n][0..1] in row r = lane / 4 and c[n][2..3] in row r + 8, columns
// 8 n + 2 (lane % 4) and the next. The four lanes of a quad share their rows.

DEVICE float quad_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

DEVICE float quad_sum(float x) {
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

// position: of the query in row r.
template <int N>
DEVICE void mask_future(float (&scores)[N][4], int first_key, int position) {
    int key = first_key + 2 * (threadIdx.x % 4);
#pragma unroll
    for (int n = 0; n < N; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            if (key + 8 * n + i % 2 > position + i / 2 * 8) scores[n][i] = MINUS_INFINITY;
        }
    }
}

// The same for keys before the window.
template <int N>
DEVICE void mask_past(float (&scores)[N][4], int first_key, int position) {
    int key = first_key + 2 * (threadIdx.x % 4);
#pragma unroll
    for (int n = 0; n < N; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            if (key + 8 * n + i % 2 <= position + i / 2 * 8 - SLIDING_WINDOW) scores[n][i] = MINUS_INFINITY;
        }
    }
}

// Turns scores into weights and brings row_max and this thread's part of row_sum up to date. rescale: what sums so far are to
// be multiplied by. Scores of -infinity throughout (infinite inputs) leave weights of zero.
template <int N>
DEVICE void softmax(float (&scores)[N][4], float (&row_max)[2], float (&row_sum)[2], float (&rescale)[2]) {
#ifdef SCORE_CAP_BITS
#pragma unroll
    for (int n = 0; n < N; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) scores[n][i] = capped(scores[n][i]);
    }
#endif
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        float high = fmaxf(scores[0][2 * half], scores[0][2 * half + 1]);
#pragma unroll
        for (int n = 1; n < N; ++n) high = fmaxf(high, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
        high = fmaxf(row_max[half], quad_max(high) * score_scale());
        rescale[half] = high == MINUS_INFINITY ? 1.0f : power_of_two(row_max[half] - high);
        row_max[half] = high;
        float offset = high == MINUS_INFINITY ? 0.0f : WEIGHT_SHIFT - high;
        float sum = 0.0f;
#pragma unroll
        for (int n = 0; n < N; ++n) {
#pragma unroll
            for (int i = 2 * half; i < 2 * half + 2; ++i) {
                scores[n][i] = power_of_two(fmaf(scores[n][i], score_scale(), offset));
                sum += scores[n][i];
            }
        }
        row_sum[half] = row_sum[half] * rescale[half] + sum;
    }
}

template <int N>
DEVICE void scale_rows(float (&c)[N][4], const float (&factor)[2]) {
#pragma unroll
    for (int n = 0; n < N; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) c[n][i] *= factor[i / 2];
    }
}

// Weights of 16 keys, the blocks 2 i and 2 i + 1, as the left operand of the second product.
template <int N>
DEVICE void pack_weights(u32 (&a)[4], const float (&weights)[N][4], int i) {
    a[0] = pack_half2(weights[2 * i][0], weights[2 * i][1]);
    a[1] = pack_half2(weights[2 * i][2], weights[2 * i][3]);
    a[2] = pack_half2(weights[2 * i + 1][0], weights[2 * i + 1][1]);
    a[3] = pack_half2(weights[2 * i + 1][2], weights[2 * i + 1][3]);
}

// Divides by the rows' sums and writes rows first_row + r and + r + 8 of the tile.
template <int N>
DEVICE void write_rows(const Tile& tile, long long out_row_stride, int first_row, const float (&sums)[N][4],
                       const float (&row_max)[2], const float (&row_sum)[2]) {
    int column = 2 * (threadIdx.x % 4);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        float total = quad_sum(row_sum[half]);
#ifdef SINKS
        total += power_of_two(tile.sink - row_max[half] + WEIGHT_SHIFT);
#endif
        float factor = 1.0f / total;
        int row = first_row + threadIdx.x % 32 / 4 + 8 * half;
        if (row >= tile.query_rows) continue;
        u32* to = (u32*)(tile.out + row * out_row_stride + column);
#pragma unroll
        for (int n = 0; n < HEAD_DIM / 8; ++n) {
            to[4 * n] = pack_half2(sums[n][2 * half] * factor, sums[n][2 * half + 1] * factor);
        }
    }
}
