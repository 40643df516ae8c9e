// 4-bit linears of 1 to 64 rows, weights in the layout of w4.cuh. batch_linear.cuh says how blocks and warps share the work and
// gives grid, block and shared memory.
//
// in % 32 == 0, in % g == 0, out % 8 == 0. -DGROUP_SIZE, -DROWS.
//
// A weight is fp16((code - zero) * scale), as w4_dequantize gives it.

#include "w4.cuh"
#include "batch_linear.cuh"
#ifdef BATCH_WGMMA
#include "batch_wgmma.cuh"
#else
#include "batch_mma.cuh"
#endif

// What a lane has of its tiles: codes of 64 columns, scales and zeros of a group. Lane 4 r + t has, of every 32 columns, the 8 from
// 8 t of rows r and r + 8.
struct W4Decoder {
    static constexpr int GROUP_PIECES = 8 / W4_GROUPS;  // of 32 columns
    uint4 codes[WARP_TILES];
    u32 low[WARP_TILES], high[WARP_TILES];
    W4Zeros zeros[WARP_TILES];

    // The operands of both products with a piece. Pieces come in order.
    template <int PIECE>
    __device__ __forceinline__ void decode(u32 (&a)[WARP_TILES][2][4], const unsigned char* units) {
        int lane = threadIdx.x % 32;
#pragma unroll
        for (int tile = 0; tile < WARP_TILES; tile++) {
            const unsigned char* unit = units + tile_of_warp(tile) * W4_UNIT_BYTES;
            if (PIECE % 2 == 0) codes[tile] = *(const uint4*)(unit + PIECE / 2 * 512 + lane * 16);
            if (PIECE % GROUP_PIECES == 0) {
                const unsigned char* scales = unit + W4_CODE_BYTES;
                u32 scale = *(const u32*)(scales + PIECE / GROUP_PIECES * 32 + lane / 4 * 4);
                low[tile] = __byte_perm(scale, 0, 0x1010), high[tile] = __byte_perm(scale, 0, 0x3232);
                zeros[tile] = w4_zeros(scales[W4_SCALE_BYTES + PIECE / GROUP_PIECES * 8 + lane / 4]);
            }
            scaled(a[tile][0], PIECE % 2 ? codes[tile].z : codes[tile].x, tile);
            scaled(a[tile][1], PIECE % 2 ? codes[tile].w : codes[tile].y, tile);
        }
    }

    __device__ __forceinline__ void scaled(u32 (&a)[4], u32 word, int tile) const {
        w4_expand(a, word, zeros[tile]);
        a[0] = multiply_half2(a[0], low[tile]), a[1] = multiply_half2(a[1], high[tile]);
        a[2] = multiply_half2(a[2], low[tile]), a[3] = multiply_half2(a[3], high[tile]);
    }
};

#ifdef BATCH_WGMMA
struct W4Batch : WgmmaRows<W4Batch, W4Decoder, W4_UNIT_BYTES> {};
#else
struct W4Batch : MmaRows<W4Batch, W4_UNIT_BYTES, 64> {
    static __device__ __forceinline__ void multiply_slot(BatchSums& sum, const unsigned char* units, const unsigned char* x) {
        W4Decoder decoder;
        pieces<0>(sum, decoder, units, x + threadIdx.x % 32 / 4 * X_STRIDE + threadIdx.x % 4 * 16);
    }

    template <int PIECE>
    static __device__ __forceinline__ void pieces(BatchSums& sum, W4Decoder& decoder, const unsigned char* units, const unsigned char* x) {
        if constexpr (PIECE < 8) {
            u32 a[WARP_TILES][2][4];
            decoder.decode<PIECE>(a, units);
#pragma unroll
            for (int n = 0; n < N_TILES; n++) {
                uint4 b = *(const uint4*)(x + n * 8 * X_STRIDE + PIECE * 64);
#pragma unroll
                for (int tile = 0; tile < WARP_TILES; tile++) mma_16x8x16(sum[tile][n], a[tile][0], b.x, b.y);
#pragma unroll
                for (int tile = 0; tile < WARP_TILES; tile++) mma_16x8x16(sum[tile][n], a[tile][1], b.z, b.w);
            }
            pieces<PIECE + 1>(sum, decoder, units, x);
        }
    }
};
#endif

BATCH_ENTRY(w4_batch, W4Batch)
