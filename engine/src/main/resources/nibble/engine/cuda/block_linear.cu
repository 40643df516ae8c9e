// Linears of decoding with GGUF's block types, weights in the layout of blocks.cuh. decode_linear.cuh says how blocks and warps share
// the work and gives grid, block and shared memory.
//
//   block_linear          x f16 [ROWS, in]   out f16 [ROWS, out]
//   block_linear_single   x f16 [ROWS, in]   out f32 [ROWS, out]
//
// in is a multiple of the type's block. -DBLOCK_TYPE, -DROWS=1, as block_batch.cu has more rows.

#include "decode_linear.cuh"
#include "block_units.cuh"

LINEAR_ENTRY(block_linear, BlockUnits<BLOCK_TYPE>, STORE)
LINEAR_ENTRY(block_linear_single, BlockUnits<BLOCK_TYPE>, STORE_FLOAT)

// For the launcher: threads, warps, bytes and columns of a unit, rows of a tile, bytes of partial sums and scratch.
extern "C" __constant__ int block_linear_launch[6] = {
    THREADS, WARPS, BlockUnits<BLOCK_TYPE>::BYTES, BlockUnits<BLOCK_TYPE>::COLUMNS, TILE_ROWS, 2 * WARPS * TILE_ROWS * ROWS * 4 + 256};
