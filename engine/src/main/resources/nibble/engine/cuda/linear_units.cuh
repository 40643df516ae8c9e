// The kinds of weights that decoding multiplies by, unit by unit. A unit is 16 rows of a matrix by some columns, in one
// slot of a warp's ring (ring.cuh). A kind gives
//
//   COLUMNS, BYTES                                       of a unit
//   BULK                                                 whether a unit is one bulk copy
//   ARRIVALS                                             of a slot's barrier
//   fill(slot, barrier, matrix, tile, unit, policy)      starts the copy of a unit, by the whole warp
//   multiply(sum, slot, x)                               sum += unit * x, the lane's part of mma.m16n8k16
//
// Lane 4 r + t has rows r and r + 8 of the tile; of every 32 columns the 8 from 8 t (w4.cuh says why). x is the lane's: row
// r of eight input rows, or the only one where ROWS (a constant of whoever includes this) is 1, at column 8 t of the unit. sum[0], sum[1] are row r of the tile with input rows 2t, 2t + 1;
// sum[2], sum[3] row r + 8. With ROWS = 1 all input rows are the same and only sum[0], sum[2] are kept.

#pragma once
#include "ring.cuh"
#ifdef GROUP_SIZE
#include "w4.cuh"
#endif

#ifndef ROWS
#define ROWS 1
#endif

constexpr int TILE_ROWS = 16;

// Row r of half 0 or 1 of a tile is row tile * tile_stride + half * half_stride + r: (16, 8), or (8, out / 2) where fp16 rows of
// gate and of up make up a tile. 4-bit matrices have their rows in order already.
struct WeightMatrix {
    const unsigned char* data;
    int in;
    int rows;
    int tile_stride;
    int half_stride;
};

// The copy of a unit of consecutive bytes, by the whole warp.
template <int COLUMNS, int BYTES>
DEVICE void fill_unit(u32 slot, u32 barrier, const WeightMatrix& matrix, int tile, int unit, u64 policy) {
    int units = (matrix.in + COLUMNS - 1) / COLUMNS;
    const unsigned char* from = matrix.data + ((long long)tile * units + unit) * BYTES;
    int lane = threadIdx.x % 32;
#if __CUDA_ARCH__ >= 900
    if (lane == 0) copy_bulk(slot, from, BYTES, barrier, policy);
#else
    for (int at = lane * 16; at < BYTES; at += 512) copy_async16(slot + at, from + at);
    arrive_when_copied(barrier);
#endif
}

#ifdef GROUP_SIZE
// Codes become the exact integers code - zero in fp16 and enter the tensor cores as such; scales multiply the fp32 sums of a
// group. Compared with weights rounded to fp16((code - zero) * scale) a weight differs by at most 2^-11 of itself.
struct W4Units {
    static constexpr int COLUMNS = W4_UNIT_COLUMNS;
    static constexpr int BYTES = W4_UNIT_BYTES;
    static constexpr bool BULK = BULK_COPIES;
    static constexpr int ARRIVALS = BULK ? 1 : 32;

    static __device__ __forceinline__ void fill(u32 slot, u32 barrier, const WeightMatrix& matrix, int tile, int unit, u64 policy) {
        fill_unit<COLUMNS, BYTES>(slot, barrier, matrix, tile, unit, policy);
    }

    static __device__ __forceinline__ void multiply(float (&sum)[4], const unsigned char* slot, const half_t* x) {
        constexpr int PIECES = 8 / W4_GROUPS;  // of 32 columns in a group
        int lane = threadIdx.x % 32;
        const unsigned char* scales = slot + W4_CODE_BYTES + lane / 4 * 4;
        const unsigned char* zeros_at = slot + W4_CODE_BYTES + W4_SCALE_BYTES + lane / 4;
        uint4 codes;
#pragma unroll
        for (int group = 0; group < W4_GROUPS; group++) {
            u32 scale = *(const u32*)(scales + group * 32);
            W4Zeros zeros = w4_zeros(zeros_at[group * 8]);
            float even[4] = {0, 0, 0, 0}, odd[4] = {0, 0, 0, 0};  // two chains, since one mma waits for the one before
#pragma unroll
            for (int piece = group * PIECES; piece < (group + 1) * PIECES; piece++) {
                if (piece % 2 == 0) codes = *(const uint4*)(slot + piece / 2 * 512 + lane * 16);
                uint4 b = *(const uint4*)(x + piece * 32);
                u32 a[4];
                w4_expand(a, piece % 2 ? codes.z : codes.x, zeros);
                mma_16x8x16(even, a, b.x, b.y);
                w4_expand(a, piece % 2 ? codes.w : codes.y, zeros);
                mma_16x8x16(odd, a, b.z, b.w);
            }
            float low = low_half(scale), high = high_half(scale);
            sum[0] += low * (even[0] + odd[0]);
            sum[2] += high * (even[2] + odd[2]);
            if (ROWS > 1) {
                sum[1] += low * (even[1] + odd[1]);
                sum[3] += high * (even[3] + odd[3]);
            }
        }
    }
};
#endif

// fp16 weights, row-major as cuBLAS takes them. A slot holds, for each 32 columns and each half of the rows, 32 lanes of 16
// bytes: a lane copies what it will itself use.
struct F16Units {
    static constexpr int COLUMNS = 64;
    static constexpr int BYTES = TILE_ROWS * COLUMNS * 2;
    static constexpr bool BULK = false;
    static constexpr int ARRIVALS = 32;

    static __device__ __forceinline__ void fill(u32 slot, u32 barrier, const WeightMatrix& matrix, int tile, int unit, u64 policy) {
        int lane = threadIdx.x % 32, low = tile * matrix.tile_stride + lane / 4, high = low + matrix.half_stride;
        const half_t* low_row = (const half_t*)matrix.data + (long long)min(low, matrix.rows - 1) * matrix.in;
        const half_t* high_row = (const half_t*)matrix.data + (long long)min(high, matrix.rows - 1) * matrix.in;
        u32 to;  // hidden from the compiler: ptxas 13.0 miscompiles cp.async with a policy to an address that is uniform in part
        asm volatile("mov.u32 %0, %1;" : "=r"(to) : "r"(slot + lane * 16));
#pragma unroll
        for (int piece = 0; piece < COLUMNS / 32; piece++) {
            int column = unit * COLUMNS + piece * 32 + lane % 4 * 8, bytes = column < matrix.in ? 16 : 0;
            if (bytes == 0) column = 0;
            copy_async16(to + piece * 1024, low_row + column, bytes);
            copy_async16(to + piece * 1024 + 512, high_row + column, bytes);
        }
        arrive_when_copied(barrier);
    }

    static __device__ __forceinline__ void multiply(float (&sum)[4], const unsigned char* slot, const half_t* x) {
        int lane = threadIdx.x % 32;
        float odd[4] = {0, 0, 0, 0};  // a second chain, since one mma waits for the one before
#pragma unroll
        for (int piece = 0; piece < COLUMNS / 32; piece++) {
            uint4 low = *(const uint4*)(slot + piece * 1024 + lane * 16);
            uint4 high = *(const uint4*)(slot + piece * 1024 + 512 + lane * 16);
            uint4 b = *(const uint4*)(x + piece * 32);
            u32 first[4] = {low.x, high.x, low.y, high.y}, second[4] = {low.z, high.z, low.w, high.w};
            mma_16x8x16(sum, first, b.x, b.y);
            mma_16x8x16(odd, second, b.z, b.w);
        }
#pragma unroll
        for (int i = 0; i < 4; i++) sum[i] += odd[i];
    }
};
