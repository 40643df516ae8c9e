// What kinds of weights share that batch_linear.cuh multiplies by wgmma. The weights of a warpgroup's 64 rows are the operand in
// registers, so that their decoding overlaps the products of what was decoded before.
//
// x lies in shared memory as four tiles of 64 columns in 128-byte swizzle. Of every 32 columns lane 4 r + t decodes the 8 from
// 8 t (w4.cuh), so the products take the columns in the order of the lanes: 16 bytes q = 0..3 of every 64 hold columns
// 8 t + 2 q and the next for t = 0..3. Four warps bring x by way of registers, which put it in that order. With -DARRANGED=1 the
// kernel that made x has put it so already (arranged.cuh), and one lane copies what a step needs of it.

#pragma once
#include "batch_linear.cuh"
#include "wgmma.cuh"

template <class Kind, class Decoder, int UNIT_BYTES>
struct WgmmaRows {
    static constexpr int BYTES = UNIT_BYTES;
    static constexpr int X_TILE = ROWS * 128;
    static constexpr int X_BYTES = 4 * X_TILE;
    static constexpr bool ARRANGED_X = ARRANGED;
    static constexpr int BRINGERS = ARRANGED_X ? 1 : 4;
    static constexpr int ARRIVALS = ARRANGED_X ? 1 : 1 + BRINGERS;
    static constexpr bool STARTED = true;

    // A warp has 64 columns of four rows at a time: lane 8 i + j has the 8 from 8 j of row i, which are those of lane j % 4.
    static constexpr int TURNS = ROWS / 4;
    static constexpr int AHEAD = TURNS < 16 ? TURNS : 16;  // all of up to 64 rows: as many as there are registers for

    struct Ahead {
        uint4 x[ARRANGED_X ? 1 : AHEAD];
    };

    // Turn `turn` of a warp: its four rows, and its tile of 64 columns.
    static __device__ __forceinline__ int row(int turn) { return turn * 4 + threadIdx.x % 32 / 8; }
    static __device__ __forceinline__ int tile() { return threadIdx.x / 32 - BATCH_WARPS; }

    template <int FIRST>
    static __device__ __forceinline__ void fetch_from(const Product& p, Ahead& ahead, int unit) {
        int column = unit * UNIT_COLUMNS + tile() * 64 + threadIdx.x % 8 * 8;
        bool inside = column < p.in;
        const half_t* from = p.x + column;
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
            int m = row(FIRST + i);
            ahead.x[i] = inside && m < p.rows ? load_activations(from + (long long)m * p.in) : make_uint4(0, 0, 0, 0);
        }
    }

    template <int FIRST>
    static __device__ __forceinline__ void store_from(const Ahead& ahead, u32 to) {
        int lane = threadIdx.x % 32, unit = lane % 8 / 4 * 4;
        to += tile() * X_TILE + lane % 4 * 4;
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
            int m = row(FIRST + i);
            u32 at = to + m * 128;
            store_shared4(at + ((unit ^ m % 8) << 4), ahead.x[i].x);
            store_shared4(at + ((unit + 1 ^ m % 8) << 4), ahead.x[i].y);
            store_shared4(at + ((unit + 2 ^ m % 8) << 4), ahead.x[i].z);
            store_shared4(at + ((unit + 3 ^ m % 8) << 4), ahead.x[i].w);
        }
    }

    // They are read once by a block.
    static __device__ __forceinline__ uint4 load_activations(const half_t* from) {
        uint4 v;
        asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
                     : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                     : "l"(from));
        return v;
    }

    static __device__ __forceinline__ void fetch(const Product& p, Ahead& ahead, int unit) {
        if constexpr (!ARRANGED_X) fetch_from<0>(p, ahead, unit);
    }

    // The weights of a step, and how much will come to its slot.
    static __device__ __forceinline__ void begin(const Product& p, u32 slot, u32 full, int chunk, int unit, int units, u64 policy) {
        int bytes = min(CHUNK_TILES, p.tiles - chunk * CHUNK_TILES) * BYTES + (ARRANGED_X ? X_BYTES : 0);
        if (threadIdx.x % 32 == 0) expect_bytes(full, bytes);
        __syncwarp();
        bring_weights<Kind>(p, slot, full, chunk, unit, units, policy);
    }

    static __device__ __forceinline__ void bring(const Product& p, Ahead& ahead, u32 slot, u32 full, int chunk, int unit, int units,
                                                 u64 policy) {
        if constexpr (ARRANGED_X) {
            begin(p, slot, full, chunk, unit, units, policy);
            const unsigned char* from = (const unsigned char*)p.x + (long long)unit * X_BYTES;
            if (threadIdx.x % 32 == 0) copy_expected(slot + X_AT<Kind>, from, X_BYTES, full);
            __syncwarp();
        } else {
            if (threadIdx.x / 32 == BATCH_WARPS) begin(p, slot, full, chunk, unit, units, policy);
            store_from<0>(ahead, slot + X_AT<Kind>);
            if constexpr (TURNS > AHEAD) {
                fetch_from<AHEAD>(p, ahead, unit);
                store_from<AHEAD>(ahead, slot + X_AT<Kind>);
            }
            fence_async_proxy();
            __syncwarp();
            if (threadIdx.x % 32 == 0) barrier_arrive(full);
        }
    }

    static __device__ __forceinline__ void arrive(u32 full) {
        if (threadIdx.x % 32 == 0) {
            barrier_arrive(full);
            if (!ARRANGED_X && threadIdx.x / 32 == BATCH_WARPS) barrier_arrive(full);
        }
    }

    // decoder.decode<PIECE>(a, slot): the 16 x 16 operands of the two products with 32 columns, of each tile.
    template <class Release>
    static __device__ __forceinline__ void multiply(BatchSums& sum, const unsigned char* slot, Release release) {
        Decoder decoder;
        u32 a[2][WARP_TILES][2][4];
        u64 x = tile_descriptor(shared_address(slot) + X_AT<Kind>, 16);
        pieces<0>(sum, a, decoder, slot, x, release);
    }

    template <int PIECE, class Release>
    static __device__ __forceinline__ void pieces(BatchSums& sum, u32 (&a)[2][WARP_TILES][2][4], Decoder& decoder,
                                                  const unsigned char* slot, u64 x, Release release) {
        if constexpr (PIECE < 8) {
            wgmma_wait<1>();  // so that nothing reads these operands any more
            if constexpr (PIECE == 1) release();
            decoder.template decode<PIECE>(a[PIECE % 2], slot);
#pragma unroll
            for (int tile = 0; tile < WARP_TILES; tile++) pin(sum[tile]);
            wgmma_fence();
#pragma unroll
            for (int j = 0; j < 2; j++) {
#pragma unroll
                for (int tile = 0; tile < WARP_TILES; tile++) {
                    wgmma_rows(sum[tile], a[PIECE % 2][tile][j], x + (PIECE / 2 * X_TILE + PIECE % 2 * 64 + j * 32) / 16);
                }
            }
            wgmma_commit();
            pieces<PIECE + 1>(sum, a, decoder, slot, x, release);
        }
    }

    static __device__ __forceinline__ void complete(BatchSums& sum) {
        wgmma_wait<0>();
#pragma unroll
        for (int tile = 0; tile < WARP_TILES; tile++) pin(sum[tile]);
    }
};
