// 4-bit weights whose scales are tuned: see nibble.engine.cuda.gradient; the reference backend is the specification.
// Codes are as nibble.pack.QuantizedLinear has them: [rows, in / 2], the even column in the low half of a byte; zeros are bytes and
// scales fp32, both [rows, groups]. A scale is start (1 + change).

#include "common.cuh"

DEVICE float scale_of(const float* start, const float* change, long long i) {
    return __fmul_rn(start[i], __fadd_rn(1.0f, change[i]));
}

// to[row, k] = (code - zero) scale, with the bits that products use; eight columns a thread, in a multiple of 8 that none of the
// groups cuts.  Grid: (ceil(in / 8, 256), rows, 1) by way of y and z: row = z * gridDim.y + y.  Block: 256.
extern "C" __global__ void expand_codes(
    const u32* codes, const unsigned char* zeros, const float* start, const float* change, int rows, int in, int groups,
    float* to) {
    int at = blockIdx.x * 256 + threadIdx.x, words = in / 8;
    long long row = (long long)blockIdx.z * gridDim.y + blockIdx.y;
    if (at >= words || row >= rows) return;
    long long slot = row * groups + 8 * at / (in / groups);
    float scale = scale_of(start, change, slot);
    int zero = zeros[slot];
    u32 word = codes[row * words + at];
    float values[8];
#pragma unroll
    for (int i = 0; i < 8; i++) values[i] = tensor_precision((float)((int)(word >> 4 * i & 15) - zero) * scale);
    float4* into = (float4*)(to + row * in + 8 * at);
    into[0] = make_float4(values[0], values[1], values[2], values[3]);
    into[1] = make_float4(values[4], values[5], values[6], values[7]);
}

// gradient[row, group] += sum over the group of dw[row, k] (code - zero), for rows of which dw is the weights' gradient; a warp a
// group.  Grid: (ceil(groups, 8), rows).  Block: 256.
extern "C" __global__ void add_groups(
    const float* dw, const unsigned char* codes, const unsigned char* zeros, int in, int groups, float* gradient) {
    int lane = threadIdx.x % 32, group = blockIdx.x * 8 + threadIdx.x / 32;
    if (group >= groups) return;
    int length = in / groups;
    long long slot = (long long)blockIdx.y * groups + group;
    long long first = (long long)blockIdx.y * in + (long long)group * length;
    int zero = zeros[slot];
    float sum = 0;
    for (int pair = lane; pair < length / 2; pair += 32) {
        int byte = codes[first / 2 + pair];
        float2 d = *(const float2*)(dw + first + 2 * pair);
        sum += d.x * (float)((byte & 15) - zero) + d.y * (float)((byte >> 4) - zero);
    }
    sum = warp_sum(sum);
    if (lane == 0) gradient[slot] += sum;
}

// A step of Adam on the changes, with the slope gradient start: nibble.engine.backend.AdamStep. Double as on the host, and nothing
// fused.  Grid: ceil(n, 256).  Block: 256.
extern "C" __global__ void adam(
    const float* start, float* change, float* first, float* second, const float* gradient, long long n, double rate,
    double correction, double first_decay, double second_decay, double epsilon, float least) {
    long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i >= n) return;
    double slope = __fmul_rn(gradient[i], start[i]);
    float m = (float)__dadd_rn(__dmul_rn(first_decay, first[i]), __dmul_rn(1 - first_decay, slope));
    float v = (float)__dadd_rn(__dmul_rn(second_decay, second[i]), __dmul_rn(__dmul_rn(1 - second_decay, slope), slope));
    double move = __dmul_rn(rate, m) / (sqrt(v / correction) + epsilon);
    first[i] = m;
    second[i] = v;
    change[i] = fmaxf(least, (float)(change[i] - move));
}
