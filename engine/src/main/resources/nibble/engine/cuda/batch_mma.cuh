// What kinds of weights share that batch_linear.cuh multiplies by mma.m16n8k16: rows of x lie in shared memory as they come, each
// PADDING bytes longer, which spreads them over the banks. One warp brings steps.

#pragma once
#include "batch_linear.cuh"

template <class Kind, int UNIT_BYTES, int PADDING>
struct MmaRows {
    static constexpr int BYTES = UNIT_BYTES;
    static constexpr int X_STRIDE = 2 * UNIT_COLUMNS + PADDING;
    static constexpr int X_BYTES = ROWS * X_STRIDE;
    static constexpr int BRINGERS = 1;
    static constexpr int ARRIVALS = BULK_COPIES ? 1 : 32;
    static constexpr bool STARTED = false;
    static constexpr bool ARRANGED_X = false;

    struct Ahead {};

    static __device__ __forceinline__ void fetch(const Product& p, Ahead& ahead, int unit) {}

    // Columns of x from `in` up are zero; rows that x lacks keep what is there, as nobody reads their sums.
    static __device__ __forceinline__ void bring(const Product& p, const Ahead& ahead, u32 slot, u32 full, int chunk, int unit, int units,
                                                 u64 policy) {
        int lane = threadIdx.x % 32, bytes = 2 * min(UNIT_COLUMNS, p.in - unit * UNIT_COLUMNS);  // of a row of x
        u32 to = slot + X_AT<Kind>;
        const unsigned char* from = (const unsigned char*)(p.x + unit * UNIT_COLUMNS);
#if __CUDA_ARCH__ >= 900
        if (bytes < 2 * UNIT_COLUMNS) {
            int at = bytes + lane * 16;
            for (int m = 0; m < p.rows; m++) {
                if (at < 2 * UNIT_COLUMNS) store_shared16(to + m * X_STRIDE + at, make_uint4(0, 0, 0, 0));
            }
            fence_async_proxy();
        }
        __syncwarp();
        if (lane == 0) expect_bytes(full, min(CHUNK_TILES, p.tiles - chunk * CHUNK_TILES) * BYTES + p.rows * bytes);
        __syncwarp();
        bring_weights<Kind>(p, slot, full, chunk, unit, units, policy);
        for (int m = lane; m < p.rows; m += 32) copy_expected(to + m * X_STRIDE, from + 2ll * m * p.in, bytes, full);
#else
        bool inside = lane * 16 < bytes;
        for (int m = 0; m < p.rows; m++) {
            copy_async16(to + m * X_STRIDE + lane * 16, from + 2ll * m * p.in + (inside ? lane * 16 : 0), inside ? 16 : 0);
        }
        bring_weights<Kind>(p, slot, full, chunk, unit, units, policy);
        arrive_when_copied(full);
#endif
    }

    static __device__ __forceinline__ void arrive(u32 full) {
        if (!BULK_COPIES || threadIdx.x % 32 == 0) barrier_arrive(full);
    }

    template <class Release>
    static __device__ __forceinline__ void multiply(BatchSums& sum, const unsigned char* slot, Release release) {
        Kind::multiply_slot(sum, slot, slot + X_AT<Kind>);
    }

    static __device__ __forceinline__ void complete(BatchSums& sum) {}
};
