// fp16 linears of decoding, weights row-major [out, in] as cuBLAS takes them: lm_head, and all of an fp16 model.
// decode_linear.cuh says how blocks and warps share the work and gives grid, block and shared memory.
//
//   entry                      input                 output
//   f16_linear                 x f16 [ROWS, in]      f16 [ROWS, out]
//   f16_linear_add             x f16 [ROWS, in]      f32 [ROWS, out] += (the residual stream)
//   f16_linear_swiglu          x f16 [ROWS, in]      f16 [ROWS, out / 2] = silu(gate) * up, rows of gate, then rows of up
//   f16_linear_normed          h f32 [ROWS, in]      f16 [ROWS, out], input fp16(h / rms(h) * norm)
//   f16_linear_normed_swiglu   h f32 [ROWS, in]      f16 [ROWS, out / 2]
//   f16_linear_f32             x f16 [ROWS, in]      f32 [ROWS, out] (logits)
//   f16_linear_normed_f32      h f32 [ROWS, in]      f32 [ROWS, out]
//
// in % 32 == 0; out is any number, of SwiGLU a multiple of 16; normed: in <= 16384. -DROWS=1..8.

#include "decode_linear.cuh"

LINEAR_ENTRY(f16_linear, F16Units, false, PLAIN, STORE)
LINEAR_ENTRY(f16_linear_add, F16Units, false, PLAIN, ADD)
LINEAR_ENTRY(f16_linear_swiglu, F16Units, true, PLAIN, SWIGLU)
LINEAR_ENTRY(f16_linear_normed, F16Units, false, NORMALIZED, STORE)
LINEAR_ENTRY(f16_linear_normed_swiglu, F16Units, true, NORMALIZED, SWIGLU)
LINEAR_ENTRY(f16_linear_f32, F16Units, false, PLAIN, STORE_FLOAT)
LINEAR_ENTRY(f16_linear_normed_f32, F16Units, false, NORMALIZED, STORE_FLOAT)
