// Linears of 1 to 64 rows with GGUF's block types, weights in the layout of blocks.cuh. batch_linear.cuh says how blocks and warps
// share the work and gives grid, block and shared memory.
//
// in is a multiple of the type's block. -DBLOCK_TYPE, -DROWS.
//
// Codes enter the tensor cores as exact integers, and the scale of a group multiplies its fp32 sum. A minimum multiplies the sum of
// the group's x, which the tensor cores take of it too.

#include "block_units.cuh"
#include "batch_mma.cuh"

struct BlockBatch : MmaRows<BlockBatch, BlockType<BLOCK_TYPE>::UNIT_BYTES, 32> {
    typedef BlockType<BLOCK_TYPE> T;

    // Lane 4 r + t has, of every 16 columns, the 4 from 4 t: rows r and r + 8 of a tile, row r of every 8 rows of x.
    static __device__ __forceinline__ void multiply_slot(BatchSums& sum, const unsigned char* units, const unsigned char* x) {
        int lane = threadIdx.x % 32;
        const unsigned char* lane_x = x + lane / 4 * X_STRIDE + lane % 4 * 8;
        chunk<0>(sum, units, lane_x, lane), chunk<1>(sum, units, lane_x, lane);
        chunk<2>(sum, units, lane_x, lane), chunk<3>(sum, units, lane_x, lane);
    }

  private:
    static constexpr int MINIMA_TILES = T::MINIMA ? WARP_TILES : 1;

    template <int C>
    static __device__ __forceinline__ void chunk(BatchSums& sum, const unsigned char* units, const unsigned char* x, int lane) {
        BlockCodes<BLOCK_TYPE> codes[WARP_TILES];
        BlockScales<BLOCK_TYPE> scales[WARP_TILES];
#pragma unroll
        for (int tile = 0; tile < WARP_TILES; tile++) {
            const unsigned char* unit = units + tile_of_warp(tile) * BYTES;
            codes[tile].load(unit, C, lane);
            scales[tile].load(unit, lane / 4);
        }
        if constexpr (T::GROUP == 16) {
            group<4 * C, 0, 1>(sum, codes, scales, x), group<4 * C + 1, 1, 1>(sum, codes, scales, x);
            group<4 * C + 2, 2, 1>(sum, codes, scales, x), group<4 * C + 3, 3, 1>(sum, codes, scales, x);
        } else {
            group<2 * C, 0, 2>(sum, codes, scales, x), group<2 * C + 1, 2, 2>(sum, codes, scales, x);
        }
        __syncwarp();
    }

    // Group G, of COUNT mma from mma J of the chunk on.
    template <int G, int J, int COUNT>
    static __device__ __forceinline__ void group(BatchSums& sum, const BlockCodes<BLOCK_TYPE> (&codes)[WARP_TILES],
                                                 const BlockScales<BLOCK_TYPE> (&scales)[WARP_TILES], const unsigned char* x) {
        constexpr bool OF_BLOCK = T::SCALES != HALVES && T::SCALES != HALVES_AND_MINIMA;
        u32 a[WARP_TILES][COUNT][4];
        float low[WARP_TILES], high[WARP_TILES], low_minimum[MINIMA_TILES], high_minimum[MINIMA_TILES];
#pragma unroll
        for (int tile = 0; tile < WARP_TILES; tile++) {
            codes[tile].template expand<J>(a[tile][0]);
            if constexpr (COUNT == 2) codes[tile].template expand<J + 1>(a[tile][1]);
            u32 pair = scales[tile].template scale<G>();
            low[tile] = low_half(pair), high[tile] = high_half(pair);
            if (OF_BLOCK) low[tile] *= low_half(scales[tile].d), high[tile] *= high_half(scales[tile].d);
            if constexpr (T::MINIMA) {
                pair = scales[tile].template minimum<G>();
                low_minimum[tile] = low_half(pair), high_minimum[tile] = high_half(pair);
                if (OF_BLOCK) low_minimum[tile] *= -low_half(scales[tile].least), high_minimum[tile] *= -high_half(scales[tile].least);
            }
        }
        constexpr u32 ONES[4] = {0x3c003c00u, 0x3c003c00u, 0x3c003c00u, 0x3c003c00u};
#pragma unroll
        for (int n = 0; n < N_TILES; n++) {
            const unsigned char* from = x + n * 8 * X_STRIDE + 2 * G * T::GROUP;
            uint2 b = *(const uint2*)from, second = COUNT == 2 ? *(const uint2*)(from + 32) : b;
            float of_x[4];
            if constexpr (T::MINIMA) {
                mma_16x8x16_first(of_x, ONES, b.x, b.y);
                if constexpr (COUNT == 2) mma_16x8x16(of_x, ONES, second.x, second.y);
            }
#pragma unroll
            for (int tile = 0; tile < WARP_TILES; tile++) {
                float product[4];
                mma_16x8x16_first(product, a[tile][0], b.x, b.y);
                if constexpr (COUNT == 2) mma_16x8x16(product, a[tile][1], second.x, second.y);
                float(&to)[4] = sum[tile][n];
                to[0] += low[tile] * product[0], to[1] += low[tile] * product[1];
                to[2] += high[tile] * product[2], to[3] += high[tile] * product[3];
                if constexpr (T::MINIMA) {
                    to[0] += low_minimum[tile] * of_x[0], to[1] += low_minimum[tile] * of_x[1];
                    to[2] += high_minimum[tile] * of_x[0], to[3] += high_minimum[tile] * of_x[1];
                }
            }
        }
    }
};

BATCH_ENTRY(block_batch, BlockBatch)
