// Attention of one token (decode_attention.cuh) as a kernel of its own.
//
//   decode_attention(out, k_cache, v_cache, qkv, cos, sin, step, partials, tickets, kv_heads, splits, scale)
//   step   i32 [2] = {token, position} in device memory
//
//   grid   kv_heads * ceil(G / 16) * splits; splits any number >= 1, max(1, multiprocessors / (kv_heads * ceil(G / 16))) fills the
//          device
//   block  256, no dynamic shared memory. -DHEAD_DIM, -DQUERIES_PER_KV=G.

constexpr int THREADS = 256;
#include "decode_attention.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, 1)
decode_attention(half_t* out, half_t* k_cache, half_t* v_cache, const half_t* qkv, const float* cos, const float* sin,
                 const int* step, float* partials, u32* tickets, int kv_heads, int splits, float scale) {
    __shared__ __align__(16) unsigned char shared[ATTENTION_BYTES];
    attend_item(Attention{out, k_cache, v_cache, qkv, cos, sin, partials, tickets, step[1], kv_heads, splits, scale}, blockIdx.x,
                shared);
}
