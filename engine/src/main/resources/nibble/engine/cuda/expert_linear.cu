// Products of rows with the experts that they chose: the weights of an expert are read once for each ROWS of its rows. decode_linear.cuh
// says how blocks and warps share the work and gives block and shared memory. experts.cu makes `passes` and `sources`.
//
//   expert_gate_up   x f16 [rows, in]      out f16 [choices, out_rows / 2] = silu(gate) * up
//   expert_down      x f16 [choices, in]   out f16 [choices, out_rows]
//
//   grid   (ceil(tiles / tiles_per_block), as many passes as there may be)
//
// The experts' matrices lie `stride` bytes apart. How columns are divided does not depend on the number of rows, so a row has the same
// bits whatever rows are beside it. -DBLOCK_TYPE, a number of blocks.cuh, with -DGROUP_SIZE for 4-bit codes; -DROWS, a multiple of 8.

#include "block_units.cuh"
#include "decode_linear.cuh"

template <int OF>
struct ExpertUnits {
    typedef BlockUnits<OF> Units;
};
template <>
struct ExpertUnits<F16> {
    typedef F16Units Units;
};
#ifdef GROUP_SIZE
template <>
struct ExpertUnits<W4> {
    typedef W4Units Units;
};
#endif
typedef ExpertUnits<BLOCK_TYPE>::Units Units;

struct Pass {
    int expert, first, rows, unused;
};

#define EXPERT_ENTRY(name, gated_rows, epilogue, columns, of_rows)                                                                  \
    extern "C" __global__ void __launch_bounds__(THREADS, 1)                                                                        \
    name(half_t* out, const unsigned char* weights, long long stride, const half_t* x, const int* sources, const Pass* passes, int in, \
         int out_rows, int tiles_per_block, int panel_units, int slots) {                                                           \
        if ((int)blockIdx.y >= passes[0].expert) return;                                                                            \
        Pass pass = passes[1 + blockIdx.y];                                                                                         \
        linear<Units, gated_rows, epilogue>(Linear{out + (long long)pass.first * (columns), weights + pass.expert * stride,         \
                                                          of_rows ? x : x + (long long)pass.first * in, in, out_rows,               \
                                                          tiles_per_block, panel_units, slots, pass.rows,                           \
                                                          of_rows ? sources + pass.first : nullptr});                               \
    }

EXPERT_ENTRY(expert_gate_up, BLOCK_TYPE == F16, SWIGLU, out_rows / 2, true)
EXPERT_ENTRY(expert_down, false, STORE, out_rows, false)

// For the launcher: threads, warps, bytes and columns of a unit, rows of a tile, bytes of partial sums and scratch.
extern "C" __constant__ int expert_linear_launch[6] = {
    THREADS, WARPS, Units::BYTES, Units::COLUMNS, TILE_ROWS, 2 * WARPS * TILE_ROWS * ROWS * 4 + 256};
