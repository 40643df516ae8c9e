// The first kernel of a decode step: the residual stream h f32 [hidden] = the token's row of the embedding f16 [vocab, hidden].
//
//   step     i32 [2] = {token, position} in device memory, written by the host before each step
//   grid     ceil(hidden / 256), block 256

#include "common.cuh"

extern "C" __global__ void __launch_bounds__(256)
decode_embed(float* h, const half_t* embedding, const int* step, int hidden) {
    let_next_kernel_start();
    wait_for_previous_kernel();
    int i = blockIdx.x * 256 + threadIdx.x;
    if (i < hidden) h[i] = to_float(embedding[(long long)step[0] * hidden + i]);
}
