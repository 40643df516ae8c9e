// What linears of decoding do besides multiplying, by a block of WARPS warps for ROWS rows of input: bring the input to shared
// memory as fp16, plain or normalized, and turn the sums of a tile into output.
//
// Results of the same launch are read past the L1 (.cg), as decode_step.cu runs all of a model's linears in one launch.

#pragma once
#include "common.cuh"
#include "linear_units.cuh"

constexpr int THREADS = 32 * WARPS;
#ifndef NORM_COLUMNS
#define NORM_COLUMNS 16384  // most columns of an input that is normalized here
#endif
constexpr int NORM_VECTORS = (NORM_COLUMNS + 4 * THREADS - 1) / (4 * THREADS);

enum Input { PLAIN, NORMALIZED };
enum Epilogue { STORE, STORE_FLOAT, ADD, SWIGLU };

// --- input ----------------------------------------------------------------------------------------------------------

// x[m, from .. from + columns) to shared memory; columns from `in` up are zero, and rows from `rows` up. sources: the rows of the input,
// null for its first ones.
DEVICE void load_rows(half_t* x, const half_t* input, int in, int from, int columns, int stride, int rows = ROWS,
                      const int* sources = nullptr) {
    for (int m = 0; m < ROWS; m++) {
        const half_t* row = input + (m >= rows ? 0 : sources ? sources[m] : m) * (long long)in;
        for (int c = threadIdx.x * 8; c < columns; c += THREADS * 8) {
            bool inside = from + c < in && m < rows;
            copy_async16(shared_address(x + m * stride + c), row + (inside ? from + c : 0), inside ? 16 : 0);
        }
    }
    copy_async_commit();
    copy_async_wait<0>();
}

// The weights of the norm wait in row 0 of x: they do not depend on what came before, so are fetched early.
DEVICE void load_norm(half_t* x, const half_t* norm, int in) {
    for (int c = threadIdx.x * 8; c < in; c += THREADS * 8) copy_async16(shared_address(x + c), norm + c);
    copy_async_commit();
}

// A thread's part of a row that is to be normalized.
typedef float4 NormValues[NORM_VECTORS];

DEVICE void load_values(NormValues& values, const float* h, int in) {
#pragma unroll
    for (int i = 0; i < NORM_VECTORS; i++) {
        int c = (i * THREADS + threadIdx.x) * 4;
        values[i] = make_float4(0, 0, 0, 0);
        if (c < in) values[i] = load_shared_result((const float4*)(h + c));
    }
}

// x[c] = fp16(h[c] / sqrt(mean over c of h[c]^2 + epsilon) * norm[c]); the mean in fp32, in a fixed order. Each thread overwrites the
// norm's weights that it alone reads. scratch: WARPS floats, which keep the warps' sums of squares.
DEVICE void normalize(half_t* x, float* scratch, const NormValues& values, float epsilon, int in, int columns) {
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    float squares = 0;
#pragma unroll
    for (int i = 0; i < NORM_VECTORS; i++) {
        float4 v = values[i];
        squares += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
    }
    squares = warp_sum(squares);
    if (lane == 0) scratch[warp] = squares;
    copy_async_wait<0>();
    sync_threads<THREADS>();
    squares = 0;
#pragma unroll
    for (int w = 0; w < WARPS; w++) squares += scratch[w];
    float inverse = 1.0f / sqrtf(squares / (float)in + epsilon);
#pragma unroll
    for (int i = 0; i < NORM_VECTORS; i++) {
        int c = (i * THREADS + threadIdx.x) * 4;
        if (c >= in) break;
        float4 v = values[i];
        uint2 w = *(const uint2*)(x + c);
        *(uint2*)(x + c) = make_uint2(pack_half2(v.x * inverse * low_half(w.x), v.y * inverse * high_half(w.x)),
                                      pack_half2(v.z * inverse * low_half(w.y), v.w * inverse * high_half(w.y)));
    }
    for (int c = in + threadIdx.x * 8; c < columns; c += THREADS * 8) *(uint4*)(x + c) = make_uint4(0, 0, 0, 0);
}

// --- output ---------------------------------------------------------------------------------------------------------

constexpr int OUTPUTS_A_LANE = (TILE_ROWS * ROWS + 31) / 32;

// A warp's sums of a tile with eight rows of x to shared memory, partial[m * 16 + row of the tile].
DEVICE void publish_sums(float* partial, const float (&sum)[4]) {
    int lane = threadIdx.x % 32, r = lane / 4, t = lane % 4;
    if (ROWS == 1) {
        if (t == 0) partial[r] = sum[0], partial[r + 8] = sum[2];
    } else {
        float* to = partial + 2 * t * TILE_ROWS + r;
        to[0] = sum[0], to[8] = sum[2], to[TILE_ROWS] = sum[1], to[TILE_ROWS + 8] = sum[3];
    }
}

// What ADD adds to, fetched while the warps still compute. Output i of a lane: m = v / 16, row v % 16 of the tile, v = 32 i + lane.
DEVICE void load_residual(float (&residual)[OUTPUTS_A_LANE], const float* out, int rows, int tile) {
#pragma unroll
    for (int i = 0; i < OUTPUTS_A_LANE; i++) {
        int v = i * 32 + threadIdx.x % 32, row = tile * TILE_ROWS + v % TILE_ROWS;
        residual[i] = 0;
        if (v < TILE_ROWS * ROWS && row < rows) residual[i] = load_shared_result(out + (long long)(v / TILE_ROWS) * rows + row);
    }
}

// By one warp: adds the warps' sums of a tile in order and stores them. sums: what earlier panels of columns gave, or where this
// one's sum is to wait. out: STORE, SWIGLU fp16; STORE_FLOAT, ADD fp32; [ROWS, rows], SWIGLU [ROWS, rows / 2]. Returns what the lane
// last added up. rows_of_x: how many of the ROWS there are.
template <Epilogue EPILOGUE>
DEVICE float finish_tile(void* out, int rows, const float* partial, float* sums, const float (&residual)[OUTPUTS_A_LANE], int tile,
                         bool first_panel, bool last_panel, int rows_of_x = ROWS) {
    float last = 0;
#pragma unroll
    for (int i = 0; i < OUTPUTS_A_LANE; i++) {
        int v = i * 32 + threadIdx.x % 32;
        bool valid = v < TILE_ROWS * ROWS;
        float sum = valid && !first_panel ? sums[v] : 0;
        if (valid) {
#pragma unroll
            for (int w = 0; w < WARPS; w++) sum += partial[w * TILE_ROWS * ROWS + v];
        }
        if (!last_panel) {
            if (valid) sums[v] = sum;
            continue;
        }
        int m = v / TILE_ROWS, r = v % TILE_ROWS, row = tile * TILE_ROWS + r;
        long long at = (long long)m * rows + row;
        valid = valid && row < rows && (ROWS == 1 || m < rows_of_x);
        if (EPILOGUE == SWIGLU) {
            float up = __shfl_down_sync(0xffffffffu, sum, 8);
            at = (long long)m * (rows / 2) + tile * 8 + r;
            if (valid && r < 8) ((half_t*)out)[at] = to_half(sum / (1.0f + __expf(-sum)) * up);
        } else if (valid) {
            if (EPILOGUE == STORE) ((half_t*)out)[at] = to_half(sum);
            if (EPILOGUE == STORE_FLOAT) ((float*)out)[at] = sum;
            if (EPILOGUE == ADD) ((float*)out)[at] = last = residual[i] + sum;
        }
    }
    return last;
}
