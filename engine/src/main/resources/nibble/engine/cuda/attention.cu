// Causal attention of a prefill, grouped-query, one softmax pass over the keys and no T x T matrix in memory:
//
//   out[t, h] = sum over j <= p(t) of softmax_j(q[t, h] . k[j, g(h)] / sqrt(HEAD_DIM)) v[j, g(h)]
//   p(t) = first_position + t      g(h) = h / (heads / kv_heads)
//
// With -DSINKS softmax has one score more, sinks[h], whose weight no value gets.
//
// With -DSLIDING_WINDOW=w only the last w keys of these, from j = p(t) - w + 1 on; tiles before them are not read.
//
// fp16 in and out, fp32 scores, softmax and sums; the weights are rounded to fp16 between the two products, as the tensor
// cores take them. Called by CudaBackend for whole prompts, chunks against a KV cache and batches of evaluation windows.
//
// Element of row t of sequence s, c in [0, HEAD_DIM); strides in elements, so that q, k and v may be parts of one fused matrix:
//   q, out   q + (s * q_rows_per_sequence + t) * q_row_stride + h * HEAD_DIM + c         t in [0, queries)
//   k, v     k + (s * kv_rows_per_sequence + j) * kv_row_stride + g * HEAD_DIM + c       j in [0, first_position + queries)
// Output rows of a sequence are q_rows_per_sequence apart, like q's. Strides are multiples of 8, pointers 16-byte aligned, out
// overlaps no input. Key rows from first_position + queries on are never read.
//
// Shapes fixed at compile time: HEAD_DIM, a multiple of 8 in [8, 256].
//
// Launch: grid (heads, ceil(queries / query tile), sequences), longest query tiles first; block and dynamic shared bytes:
//
//   HEAD_DIM          device    query tile   block   dynamic shared bytes
//     8 ...  64       sm_90a       192        512    2 * 64 * (192 + 4 * 128) + 1088     =  91200
//    72 ... 128       sm_90a       128        384    2 * 128 * (128 + 4 * 128) + 1088    = 164928
//     8 ... 128       other        128        128    2 * (round_up(HEAD_DIM, 16) + 8) * (128 + 2 * 64)
//   136 ... 256       any           64        128    2 * (round_up(HEAD_DIM, 16) + 8) * (64 + 2 * 64)
//
// The module states its own row of the table in attention_launch: {block, query tile, dynamic shared bytes}.
//
// A row's running maximum m and sum l are kept in the score's base-2 units, and weights are 2^(score - m + WEIGHT_SHIFT): the
// shift cancels in the division by l and keeps small weights clear of fp16's subnormals.
//
// NaN in a query, or in a key or value it sees, comes out as NaN. NaN in the key of a later row does not reach it; NaN or
// infinity in the value of a later row may, since a weight of zero multiplies it where both rows lie in one tile.

#include "common.cuh"

static_assert(HEAD_DIM % 8 == 0 && HEAD_DIM >= 8 && HEAD_DIM <= 256, "HEAD_DIM must be a multiple of 8 from 8 to 256");

#if defined(__CUDA_ARCH_FEAT_SM90_ALL) && HEAD_DIM <= 128
#include "attention_wgmma.cuh"
#else
#include "attention_mma.cuh"
#endif

extern "C" __constant__ int attention_launch[3] = {THREADS, QUERY_TILE, SHARED_BYTES};

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM)
    attention(const half_t* q, long long q_row_stride, const half_t* k, const half_t* v, long long kv_row_stride, half_t* out,
              long long out_row_stride, int heads, int kv_heads, int queries, int first_position,
              long long q_rows_per_sequence, long long kv_rows_per_sequence, const float* sinks) {
    wait_for_previous_kernel();
    Tile tile = tile_of_block<QUERY_TILE>(q, q_row_stride, k, v, kv_row_stride, out, out_row_stride, heads, kv_heads, queries,
                                          first_position, q_rows_per_sequence, kv_rows_per_sequence);
#ifdef SINKS
    tile.sink = 1.4426950408889634f * sinks[blockIdx.x];
#endif
    attend(tile, q_row_stride, kv_row_stride, out_row_stride);
}
