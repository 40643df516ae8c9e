// 4-bit linears of decoding, weights in the layout of w4.cuh. decode_linear.cuh says how blocks and warps share the work and
// gives grid, block and shared memory.
//
//   entry                      input                 output
//   w4_linear                  x f16 [ROWS, in]      f16 [ROWS, out]
//   w4_linear_add              x f16 [ROWS, in]      f32 [ROWS, out] += (the residual stream)
//   w4_linear_swiglu           x f16 [ROWS, in]      f16 [ROWS, out / 2] = silu(gate) * up, of a gate+up matrix
//   w4_linear_normed           h f32 [ROWS, in]      f16 [ROWS, out], input fp16(h / rms(h) * norm)
//   w4_linear_normed_swiglu    h f32 [ROWS, in]      f16 [ROWS, out / 2]
//
// in % 32 == 0, in % g == 0, out % 8 == 0; normed: in <= 16384. -DGROUP_SIZE, -DROWS=1..8.

#include "w4.cuh"
#include "decode_linear.cuh"

LINEAR_ENTRY(w4_linear, W4Units, false, PLAIN, STORE)
LINEAR_ENTRY(w4_linear_add, W4Units, false, PLAIN, ADD)
LINEAR_ENTRY(w4_linear_swiglu, W4Units, false, PLAIN, SWIGLU)
LINEAR_ENTRY(w4_linear_normed, W4Units, false, NORMALIZED, STORE)
LINEAR_ENTRY(w4_linear_normed_swiglu, W4Units, false, NORMALIZED, SWIGLU)
