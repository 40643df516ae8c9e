// 4-bit linears of decoding, weights in the layout of w4.cuh. decode_linear.cuh says how blocks and warps share the work
// and gives grid, block and shared memory; here is the product of one unit of 16 rows x 256 columns.
//
// Codes become the exact integers code - zero in fp16 and enter the tensor cores as such; scales multiply the fp32 sums of a
// group. Compared with weights rounded to fp16((code - zero) * scale) a weight differs by at most 2^-11 of itself.
//
//   entry                      input                 output
//   w4_linear                  x f16 [ROWS, in]      f16 [ROWS, out]
//   w4_linear_add              x f16 [ROWS, in]      f32 [ROWS, out] += (the residual stream)
//   w4_linear_swiglu           x f16 [ROWS, in]      f16 [ROWS, out / 2] = silu(gate) * up, of a gate+up matrix
//   w4_linear_normed           h f32 [ROWS, in]      f16 [ROWS, out], input fp16(h / rms(h) * norm)
//   w4_linear_normed_swiglu    h f32 [ROWS, in]      f16 [ROWS, out / 2]
//
// -DGROUP_SIZE, -DROWS=1..8. UNIT_COLUMNS 256, SLOT_BYTES = the unit's bytes.

#include "w4.cuh"
#include "decode_linear.cuh"

struct W4Weights {
    static constexpr int UNIT_COLUMNS = W4_UNIT_COLUMNS;
    static constexpr int SLOT_BYTES = W4_UNIT_BYTES;
#if __CUDA_ARCH__ >= 900
    static constexpr int ARRIVALS = 1;
#else
    static constexpr int ARRIVALS = 32;
#endif

    const unsigned char* matrix;
    int units, lane;
    u64 policy;

    __device__ __forceinline__ W4Weights(const Linear& p, int lane)
        : matrix(p.weights), units((p.in + UNIT_COLUMNS - 1) / UNIT_COLUMNS), lane(lane), policy(evict_first_policy()) {}

    __device__ __forceinline__ void fill(u32 slot, u32 barrier, int tile, int unit) const {
        const unsigned char* from = matrix + ((long long)tile * units + unit) * W4_UNIT_BYTES;
#if __CUDA_ARCH__ >= 900
        if (lane == 0) copy_bulk_once(slot, from, W4_UNIT_BYTES, barrier, policy);
#else
        for (int at = lane * 16; at < W4_UNIT_BYTES; at += 512) copy_async16_once(slot + at, from + at, 16, policy);
        arrive_when_copied(barrier);
#endif
    }

    __device__ __forceinline__ void multiply(float (&sum)[4], const unsigned char* slot, const half_t* x) const {
        constexpr int PIECES = 8 / W4_GROUPS;  // of 32 columns in a group
        const unsigned char* scales = slot + W4_CODE_BYTES + lane / 4 * 4;
        const unsigned char* zeros_at = slot + W4_CODE_BYTES + W4_SCALE_BYTES + lane / 4;
        uint4 codes;
#pragma unroll
        for (int group = 0; group < W4_GROUPS; group++) {
            u32 scale = *(const u32*)(scales + group * 32);
            W4Zeros zeros = w4_zeros(zeros_at[group * 8]);
            float even[4] = {0, 0, 0, 0}, odd[4] = {0, 0, 0, 0};  // two chains, since one mma waits for the one before
#pragma unroll
            for (int piece = group * PIECES; piece < (group + 1) * PIECES; piece++) {
                if (piece % 2 == 0) codes = *(const uint4*)(slot + piece / 2 * 512 + lane * 16);
                uint4 b = *(const uint4*)(x + piece * 32);
                u32 a[4];
                w4_expand(a, piece % 2 ? codes.z : codes.x, zeros);
                mma_16x8x16(even, a, b.x, b.y);
                w4_expand(a, piece % 2 ? codes.w : codes.y, zeros);
                mma_16x8x16(odd, a, b.z, b.w);
            }
            float low = low_half(scale), high = high_half(scale);
            sum[0] += low * (even[0] + odd[0]);
            sum[2] += high * (even[2] + odd[2]);
            if (ROWS > 1) {
                sum[1] += low * (even[1] + odd[1]);
                sum[3] += high * (even[3] + odd[3]);
            }
        }
    }
};

LINEAR_ENTRY(w4_linear, W4Weights, PLAIN, STORE)
LINEAR_ENTRY(w4_linear_add, W4Weights, PLAIN, ADD)
LINEAR_ENTRY(w4_linear_swiglu, W4Weights, PLAIN, SWIGLU)
LINEAR_ENTRY(w4_linear_normed, W4Weights, NORMALIZED, STORE)
LINEAR_ENTRY(w4_linear_normed_swiglu, W4Weights, NORMALIZED, SWIGLU)
