// Causal attention by m16n8k16, for sm_80 and later. attention.cu says what is computed.
//
// Four warps, each with M_TILES times 16 query rows. Shared memory, rows of PITCH elements, an odd number of 16-byte units, so
// that the eight rows an ldmatrix reads lie in different banks:
//
//   q [QUERY_TILE][PITCH] | k [KEY_TILE][PITCH] | v [KEY_TILE][PITCH]          columns from HEAD_DIM on are zero
//
// v of a step is on its way while the scores are computed, k of the next one during the softmax and the second product.

#pragma once

#include "attention_tile.cuh"

constexpr int THREADS = 128;
constexpr int BLOCKS_PER_SM = 2;
constexpr int M_TILES = HEAD_DIM <= 128 ? 2 : 1;
constexpr int QUERY_TILE = 4 * 16 * M_TILES;
constexpr int KEY_TILE = 64;
constexpr int COLUMNS = (HEAD_DIM + 15) / 16 * 16;
constexpr int PITCH = COLUMNS + 8;
constexpr int SHARED_BYTES = 2 * PITCH * (QUERY_TILE + 2 * KEY_TILE);

// Starts the copy of a tile; rows from `rows` on become zeros and are not read.
template <int TILE_ROWS>
DEVICE void load_tile(u32 to, const half_t* from, long long row_stride, int rows) {
    constexpr int UNITS = COLUMNS / 8;
    constexpr int LANES = UNITS <= 2 ? 2 : UNITS <= 4 ? 4 : UNITS <= 8 ? 8 : UNITS <= 16 ? 16 : 32;
    int unit = threadIdx.x % LANES;
    int row = threadIdx.x / LANES;
    if (unit >= UNITS) return;
    const half_t* source = from + row * row_stride + unit * 8;
    if (unit * 8 >= HEAD_DIM) rows = 0;
    to += 2 * (row * PITCH + unit * 8);
#pragma unroll
    for (int i = 0; i < TILE_ROWS; i += THREADS / LANES) {
        if (TILE_ROWS % (THREADS / LANES) != 0 && row + i >= TILE_ROWS) return;
        bool read = row + i < rows;
        copy_async16(to + 2 * i * PITCH, read ? source : from, read ? 16 : 0);
        source += THREADS / LANES * row_stride;
    }
}

// scores = q k^T. q_fragment, k_fragment: what this lane hands to ldmatrix for the first 16 rows and columns.
DEVICE void multiply_keys(float (&scores)[M_TILES][KEY_TILE / 8][4], u32 q_fragment, u32 k_fragment) {
#pragma unroll
    for (int c = 0; c < COLUMNS / 16; ++c) {
        u32 a[M_TILES][4];
#pragma unroll
        for (int m = 0; m < M_TILES; ++m) load_matrix_x4(a[m], q_fragment + 2 * (m * 16 * PITCH + c * 16));
#pragma unroll
        for (int n = 0; n < KEY_TILE / 16; ++n) {
            u32 b[4];
            load_matrix_x4(b, k_fragment + 2 * (n * 16 * PITCH + c * 16));
#pragma unroll
            for (int m = 0; m < M_TILES; ++m) {
                mma_16x8x16(scores[m][2 * n], a[m], b[0], b[1]);
                mma_16x8x16(scores[m][2 * n + 1], a[m], b[2], b[3]);
            }
        }
    }
}

// sums += weights v
DEVICE void multiply_values(float (&sums)[M_TILES][COLUMNS / 8][4], const float (&weights)[M_TILES][KEY_TILE / 8][4],
                            u32 v_fragment) {
#pragma unroll
    for (int i = 0; i < KEY_TILE / 16; ++i) {
        u32 a[M_TILES][4];
#pragma unroll
        for (int m = 0; m < M_TILES; ++m) pack_weights(a[m], weights[m], i);
#pragma unroll
        for (int n = 0; n < COLUMNS / 16; ++n) {
            u32 b[4];
            load_matrix_x4_transposed(b, v_fragment + 2 * (i * 16 * PITCH + n * 16));
#pragma unroll
            for (int m = 0; m < M_TILES; ++m) {
                mma_16x8x16(sums[m][2 * n], a[m], b[0], b[1]);
                mma_16x8x16(sums[m][2 * n + 1], a[m], b[2], b[3]);
            }
        }
    }
}

DEVICE void attend(const Tile& tile, long long q_row_stride, long long kv_row_stride, long long out_row_stride) {
    extern __shared__ __align__(16) unsigned char shared[];
    u32 q_tile = shared_address(shared);
    u32 k_tile = q_tile + 2 * QUERY_TILE * PITCH;
    u32 v_tile = k_tile + 2 * KEY_TILE * PITCH;

    int lane = threadIdx.x % 32;
    int first_row = threadIdx.x / 32 * 16 * M_TILES;
    u32 q_fragment = q_tile + 2 * ((first_row + lane % 16) * PITCH + lane / 16 * 8);
    u32 k_fragment = k_tile + 2 * ((lane % 8 + lane / 16 * 8) * PITCH + lane / 8 % 2 * 8);
    u32 v_fragment = v_tile + 2 * (lane % 16 * PITCH + lane / 16 * 8);

    float sums[M_TILES][COLUMNS / 8][4] = {};
    float row_max[M_TILES][2];
    float row_sum[M_TILES][2] = {};
#pragma unroll
    for (int m = 0; m < M_TILES; ++m) row_max[m][0] = row_max[m][1] = MINUS_INFINITY;

    load_tile<QUERY_TILE>(q_tile, tile.q, q_row_stride, tile.query_rows);
    load_tile<KEY_TILE>(k_tile, tile.k, kv_row_stride, tile.visible);
    copy_async_commit();

    int last_position = tile.first_position + first_row + 16 * M_TILES - 1;  // of this warp's rows
    for (int key = 0; key < tile.visible; key += KEY_TILE) {
        copy_async_wait<0>();
        __syncthreads();  // k is there, v of the step before is used up
        load_tile<KEY_TILE>(v_tile, tile.v + key * kv_row_stride, kv_row_stride, tile.visible - key);
        copy_async_commit();

        bool sees_keys = key <= last_position;
        float scores[M_TILES][KEY_TILE / 8][4] = {};
        if (sees_keys) multiply_keys(scores, q_fragment, k_fragment);

        copy_async_wait<0>();
        __syncthreads();  // v is there, k is used up
        if (key + KEY_TILE < tile.visible) {
            load_tile<KEY_TILE>(k_tile, tile.k + (key + KEY_TILE) * kv_row_stride, kv_row_stride,
                                tile.visible - key - KEY_TILE);
            copy_async_commit();
        }
        if (!sees_keys) continue;

        int position = tile.first_position + first_row;
        if (key + KEY_TILE > position + 1) {
#pragma unroll
            for (int m = 0; m < M_TILES; ++m) mask_future(scores[m], key, position + m * 16 + lane / 4);
        }
        if (HAS_WINDOW) {
#pragma unroll
            for (int m = 0; m < M_TILES; ++m) mask_past(scores[m], key, position + m * 16 + lane / 4);
        }
#pragma unroll
        for (int m = 0; m < M_TILES; ++m) {
            float rescale[2];
            softmax(scores[m], row_max[m], row_sum[m], rescale);
            scale_rows(sums[m], rescale);
        }
        multiply_values(sums, scores, v_fragment);
    }
#pragma unroll
    for (int m = 0; m < M_TILES; ++m) write_rows(tile, out_row_stride, first_row + m * 16, sums[m], row_max[m], row_sum[m]);
}
