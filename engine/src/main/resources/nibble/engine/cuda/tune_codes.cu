// Quantized weights whose scales are tuned, and codes if there is room for their positions: see nibble.engine.cuda.gradient; the
// reference backend is the specification. Codes are as nibble.pack.QuantizedLinear has them: [rows, in / 2], the even column in the
// low half of a byte, or of more than 4 bits [rows, in]; zeros are bytes and scales fp32, both [rows, groups]. A scale is start
// (1 + change).

#include "common.cuh"

DEVICE float scale_of(const float* start, const float* change, long long i) {
    return __fmul_rn(start[i], __fadd_rn(1.0f, change[i]));
}

// Eight neighbouring codes, the first of them number 8 at.
struct Eight {
    u32 low, high;  // of 4 bits all in low

    static DEVICE_MEMBER Eight load(const u32* codes, long long at, int bits) {
        return bits > 4 ? Eight{codes[2 * at], codes[2 * at + 1]} : Eight{codes[at], 0};
    }

    DEVICE_MEMBER int code(int i, int bits) const {
        return bits > 4 ? (i < 4 ? low : high) >> 8 * (i % 4) & 255 : low >> 4 * i & 15;
    }

    DEVICE_MEMBER void put(int i, int bits, int code) {
        if (bits <= 4) {
            low |= (u32)code << 4 * i;
        } else {
            (i < 4 ? low : high) |= (u32)code << 8 * (i % 4);
        }
    }

    DEVICE_MEMBER void store(u32* codes, long long at, int bits) const {
        if (bits > 4) {
            codes[2 * at] = low;
            codes[2 * at + 1] = high;
        } else {
            codes[at] = low;
        }
    }
};

// to[row, k] = (code - zero) scale, with the bits that products use; eight columns a thread, in a multiple of 8 that none of the
// groups cuts.  Grid: (ceil(in / 8, 256), rows, 1) by way of y and z: row = z * gridDim.y + y.  Block: 256.
extern "C" __global__ void expand_codes(
    const u32* codes, const unsigned char* zeros, const float* start, const float* change, int rows, int in, int groups, int bits,
    float* to) {
    int at = blockIdx.x * 256 + threadIdx.x, words = in / 8;
    long long row = (long long)blockIdx.z * gridDim.y + blockIdx.y;
    if (at >= words || row >= rows) return;
    long long slot = row * groups + 8 * at / (in / groups);
    float scale = scale_of(start, change, slot);
    int zero = zeros[slot];
    Eight eight = Eight::load(codes, row * words + at, bits);
    float values[8];
#pragma unroll
    for (int i = 0; i < 8; i++) values[i] = tensor_precision((float)(eight.code(i, bits) - zero) * scale);
    float4* into = (float4*)(to + row * in + 8 * at);
    into[0] = make_float4(values[0], values[1], values[2], values[3]);
    into[1] = make_float4(values[4], values[5], values[6], values[7]);
}

// gradient[row, group] += sum over the group of dw[row, k] (code - zero), for rows of which dw is the weights' gradient; a warp a
// group. Where there are positions, their gradient positions[row, k] += dw[row, k] scale.
// Grid: (ceil(groups, 8), rows).  Block: 256.
extern "C" __global__ void add_groups(
    const float* dw, const unsigned char* codes, const unsigned char* zeros, const float* start, const float* change, int in,
    int groups, int bits, float* gradient, float* positions) {
    int lane = threadIdx.x % 32, group = blockIdx.x * 8 + threadIdx.x / 32;
    if (group >= groups) return;
    int length = in / groups;
    long long slot = (long long)blockIdx.y * groups + group;
    long long first = (long long)blockIdx.y * in + (long long)group * length;
    int zero = zeros[slot];
    float sum = 0, scale = positions == nullptr ? 0.0f : scale_of(start, change, slot);
    for (int pair = lane; pair < length / 2; pair += 32) {
        int two = bits > 4 ? *(const unsigned short*)(codes + first + 2 * pair) : codes[first / 2 + pair];
        int even = bits > 4 ? two & 255 : two & 15, odd = bits > 4 ? two >> 8 : two >> 4;
        float2 d = *(const float2*)(dw + first + 2 * pair);
        sum += d.x * (float)(even - zero) + d.y * (float)(odd - zero);
        if (positions != nullptr) {
            float2* into = (float2*)(positions + first + 2 * pair);
            float2 there = *into;
            *into = make_float2(
                __fadd_rn(there.x, __fmul_rn(d.x, scale)), __fadd_rn(there.y, __fmul_rn(d.y, scale)));
        }
    }
    sum = warp_sum(sum);
    if (lane == 0) gradient[slot] += sum;
}

// A step of Adam on the changes, with the slope gradient start: nibble.engine.backend.AdamStep. Double as on the host, and nothing
// fused.  Grid: ceil(n, 256).  Block: 256.
extern "C" __global__ void adam(
    const float* start, float* change, float* first, float* second, const float* gradient, long long n, double rate,
    double correction, double first_decay, double second_decay, double epsilon, float least,
    float most) {
    long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i >= n) return;
    double slope = __fmul_rn(gradient[i], start[i]);
    float m = (float)__dadd_rn(__dmul_rn(first_decay, first[i]), __dmul_rn(1 - first_decay, slope));
    float v = (float)__dadd_rn(__dmul_rn(second_decay, second[i]), __dmul_rn(__dmul_rn(1 - second_decay, slope), slope));
    double move = __dmul_rn(rate, m) / (sqrt(v / correction) + epsilon);
    first[i] = m;
    second[i] = v;
    change[i] = fminf(fmaxf(least, (float)(change[i] - move)), most);
}

// positions[i] = code, eight a thread.  Grid: ceil(words, 256).  Block: 256.
extern "C" __global__ void start_positions(const u32* codes, float* positions, int bits, long long words) {
    long long at = (long long)blockIdx.x * 256 + threadIdx.x;
    if (at >= words) return;
    Eight eight = Eight::load(codes, at, bits);
#pragma unroll
    for (int i = 0; i < 8; i++) positions[8 * at + i] = (float)eight.code(i, bits);
}

// codes = floor(positions + 1/2), eight a thread.  Grid: ceil(words, 256).  Block: 256.
extern "C" __global__ void round_positions(const float* positions, u32* codes, int bits, long long words) {
    long long at = (long long)blockIdx.x * 256 + threadIdx.x;
    if (at >= words) return;
    Eight eight = {0, 0};
#pragma unroll
    for (int i = 0; i < 8; i++) eight.put(i, bits, (int)__fadd_rn(positions[8 * at + i], 0.5f));
    eight.store(codes, at, bits);
}

// A step of Adam on positions, and the codes that follow, eight a thread: nibble.engine.host.HostPositions, in the same order of
// fp32 operations.  Grid: ceil(words, 256).  Block: 256.
extern "C" __global__ void move_positions(
    float* positions, float* first, float* second, const float* gradient, u32* codes, int bits, long long words, float rate,
    float correction, float first_decay, float first_share, float second_decay, float second_share, float epsilon, float least,
    float most) {
    long long at = (long long)blockIdx.x * 256 + threadIdx.x;
    if (at >= words) return;
    Eight eight = {0, 0};
#pragma unroll
    for (int i = 0; i < 8; i++) {
        long long k = 8 * at + i;
        float slope = gradient[k];
        float m = __fadd_rn(__fmul_rn(first_decay, first[k]), __fmul_rn(first_share, slope));
        float v = __fadd_rn(__fmul_rn(second_decay, second[k]), __fmul_rn(__fmul_rn(second_share, slope), slope));
        first[k] = m;
        second[k] = v;
        float move = __fdiv_rn(__fmul_rn(rate, m), __fadd_rn(__fsqrt_rn(__fmul_rn(v, correction)), epsilon));
        float position = fminf(fmaxf(__fsub_rn(positions[k], move), least), most);
        positions[k] = position;
        eight.put(i, bits, (int)__fadd_rn(position, 0.5f));
    }
    eight.store(codes, at, bits);
}
