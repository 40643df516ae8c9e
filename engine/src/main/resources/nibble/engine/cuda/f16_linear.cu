// fp16 linears of decoding, weights row-major [out, in] as cuBLAS takes them: lm_head, and all of an fp16 model.
// decode_linear.cuh says how blocks and warps share the work and gives grid, block and shared memory; here is the product of
// one unit of 16 rows x 128 columns.
//
// A slot of the ring holds, for each 32 columns and each half of the 16 rows, 32 lanes of 16 bytes: lane 4 r + t has 8
// columns from 8 t of row r. A lane copies what it will itself use.
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
// in % 32 == 0; out is any number, of SwiGLU a multiple of 16. -DROWS=1..8. UNIT_COLUMNS 128, SLOT_BYTES 4096.

#include "decode_linear.cuh"

template <bool GATED>
struct F16Weights {
    static constexpr int UNIT_COLUMNS = 128;
    static constexpr int SLOT_BYTES = TILE_ROWS * UNIT_COLUMNS * 2;
    static constexpr int ARRIVALS = 32;

    const half_t* matrix;
    int in, out_rows, lane;
    u64 policy;

    __device__ __forceinline__ F16Weights(const Linear& p, int lane)
        : matrix((const half_t*)p.weights), in(p.in), out_rows(p.out_rows), lane(lane), policy(evict_first_policy()) {}

    __device__ __forceinline__ void fill(u32 slot, u32 barrier, int tile, int unit) const {
        int r = lane / 4, t = lane % 4;
        int low = GATED ? tile * 8 + r : tile * TILE_ROWS + r;
        int high = low + (GATED ? out_rows / 2 : 8);
        const half_t* low_row = matrix + (long long)min(low, out_rows - 1) * in;
        const half_t* high_row = matrix + (long long)min(high, out_rows - 1) * in;
#pragma unroll
        for (int piece = 0; piece < UNIT_COLUMNS / 32; piece++) {
            int column = unit * UNIT_COLUMNS + piece * 32 + t * 8, bytes = column < in ? 16 : 0;
            if (bytes == 0) column = 0;
            u32 to = slot + piece * 1024 + lane * 16;
            copy_async16_once(to, low_row + column, bytes, policy);
            copy_async16_once(to + 512, high_row + column, bytes, policy);
        }
        arrive_when_copied(barrier);
    }

    __device__ __forceinline__ void multiply(float (&sum)[4], const unsigned char* slot, const half_t* x) const {
        float odd[4] = {0, 0, 0, 0};  // a second chain, since one mma waits for the one before
#pragma unroll
        for (int piece = 0; piece < UNIT_COLUMNS / 32; piece++) {
            uint4 low = *(const uint4*)(slot + piece * 1024 + lane * 16);
            uint4 high = *(const uint4*)(slot + piece * 1024 + 512 + lane * 16);
            uint4 b = *(const uint4*)(x + piece * 32);
            u32 first[4] = {low.x, high.x, low.y, high.y}, second[4] = {low.z, high.z, low.w, high.w};
            mma_16x8x16(sum, first, b.x, b.y);
            mma_16x8x16(odd, second, b.z, b.w);
        }
#pragma unroll
        for (int i = 0; i < 4; i++) sum[i] += odd[i];
    }
};

LINEAR_ENTRY(f16_linear, F16Weights<false>, PLAIN, STORE)
LINEAR_ENTRY(f16_linear_add, F16Weights<false>, PLAIN, ADD)
LINEAR_ENTRY(f16_linear_swiglu, F16Weights<true>, PLAIN, SWIGLU)
LINEAR_ENTRY(f16_linear_normed, F16Weights<false>, NORMALIZED, STORE)
LINEAR_ENTRY(f16_linear_normed_swiglu, F16Weights<true>, NORMALIZED, SWIGLU)
LINEAR_ENTRY(f16_linear_f32, F16Weights<false>, PLAIN, STORE_FLOAT)
LINEAR_ENTRY(f16_linear_normed_f32, F16Weights<false>, NORMALIZED, STORE_FLOAT)
