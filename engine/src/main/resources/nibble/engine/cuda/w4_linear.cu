// 4-bit linears of decoding, weights in the layout of w4.cuh. decode_linear.cuh says how blocks and warps share the work and
// gives grid, block and shared memory.
//
//   w4_linear   x f16 [ROWS, in]   out f16 [ROWS, out]
//
// in % 32 == 0, in % g == 0, out % 8 == 0. -DGROUP_SIZE, -DROWS=1, as w4_batch.cu has more rows.

#include "w4.cuh"
#include "decode_linear.cuh"

LINEAR_ENTRY(w4_linear, W4Units, STORE)

// For the launcher: threads, warps, bytes and columns of a unit, rows of a tile, bytes of partial sums and scratch.
extern "C" __constant__ int w4_linear_launch[6] = {
    THREADS, WARPS, W4Units::BYTES, W4Units::COLUMNS, TILE_ROWS, 2 * WARPS * TILE_ROWS * ROWS * 4 + 256};
