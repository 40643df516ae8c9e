// Quantizing one linear W [rows, in], fp16: errors of rounding it on trial, the choice of clips, the rounding. See
// nibble.engine.quantize.LinearQuantizer; HostLinearQuantizer is the specification.
//
// E = W^ - W goes to the tensor cores as fp16, so it is weighted: column j by d[j] = sqrt(C[j, j]), all by a power of two, sigma;
// and C by 1 / (d[i] d[j]), which makes it a correlation, at most 1 in size. Neither changes e C e'.
//
// Launch of the kernels over groups: grid (ceil(groups, 8), ceil(rows, 4)), block 256: a warp a group, of four rows.
// -DGROUP as in round.cuh.

#include "round.cuh"

#define ROWS_PER_WARP 4
#define HALF_NAN 0x7fff

// e[row, j] = (W^[row, j] - W[row, j]) * d[j] * sigma, at most 65504 in size; NaN where a scale does not fit fp16.
// limits: [rows, groups] or null; then share is the part of the largest weight that is clipped to, 1 for none.
extern "C" __global__ void trial_errors(
    const half_t* w, int rows, int in, int groups, const float* columns, const float* row_divisors, const float* limits,
    float share, const float* d, float sigma, half_t* e) {
    int lane = threadIdx.x % 32;
    int group = blockIdx.x * 8 + threadIdx.x / 32;
    if (group >= groups) return;
    int length = in / groups;
    for (int r = 0; r < ROWS_PER_WARP; r++) {
        int row = blockIdx.y * ROWS_PER_WARP + r;
        if (row >= rows) return;
        Group g{w + (long long)row * in, row, group * length, length, columns, row_divisors};
        float limit = limits ? limits[(long long)row * groups + group] : share < 1.0f ? -share : INFINITY;
        Grid grid = g.grid(lane, limit);
        half_t* to = e + (long long)row * in;
        for (int at = g.first + lane * PER_LANE; at < g.first + length; at += TILE) {
            float x[PER_LANE];
            load_weights(g.weights + at, x);
            half_t result[PER_LANE];
#pragma unroll
            for (int i = 0; i < PER_LANE; i++) {
                float rounded = grid.nearest(scaled(x[i], columns, at + i, row_divisors, row));
                float error = __fsub_rn(unscaled(rounded, columns, at + i, row_divisors, row), x[i]);
                float weighted = fminf(fmaxf(error * d[at + i] * sigma, -LARGEST_HALF), LARGEST_HALF);
                result[i] = grid.finite() ? to_half(weighted) : (half_t)HALF_NAN;
            }
#if PER_LANE == 4
            *(uint2*)(to + at) = make_uint2(result[0] | (u32)result[1] << 16, result[2] | (u32)result[3] << 16);
#elif PER_LANE == 2
            *(u32*)(to + at) = result[0] | (u32)result[1] << 16;
#else
            to[at] = result[0];
#endif
        }
    }
}

// e[row, j] = W[row, j] * d[j] * sigma.  Grid: (ceil(in, 256), rows).  Block: 256.
extern "C" __global__ void weighted(const half_t* w, int in, const float* d, float sigma, half_t* e) {
    int j = blockIdx.x * 256 + threadIdx.x;
    if (j >= in) return;
    long long at = (long long)blockIdx.y * in + j;
    e[at] = to_half(fminf(fmaxf(to_float(w[at]) * d[j] * sigma, -LARGEST_HALF), LARGEST_HALF));
}

DEVICE double warp_sum_double(double v) {
#pragma unroll
    for (int d = 16; d > 0; d >>= 1) v += __shfl_xor_sync(0xffffffffu, v, d);
    return v;
}

// sums[row] (+)= sum over j < count of p[row, j] e[row, first + j].  A warp a row.  Grid: ceil(rows, 8).  Block: 256.
extern "C" __global__ void row_products(
    const float* p, const half_t* e, int rows, int in, int first, int count, double* sums, int accumulate) {
    int lane = threadIdx.x % 32;
    int row = blockIdx.x * 8 + threadIdx.x / 32;
    if (row >= rows) return;
    const float* a = p + (long long)row * count;
    const half_t* b = e + (long long)row * in + first;
    float sum = 0.0f;
    if (count % 4 == 0 && in % 4 == 0 && first % 4 == 0) {
        for (int j = lane; j < count / 4; j += 32) {
            float4 x = ((const float4*)a)[j];
            uint2 y = ((const uint2*)b)[j];
            sum += x.x * low_half(y.x) + x.y * high_half(y.x) + x.z * low_half(y.y) + x.w * high_half(y.y);
        }
    } else {
        for (int j = lane; j < count; j += 32) sum += a[j] * to_float(b[j]);
    }
    double all = warp_sum_double((double)sum);
    if (lane == 0) sums[row] = accumulate ? sums[row] + all : all;
}

// losses[row, group] = sum over the group of p e; both [rows, in].
extern "C" __global__ void group_products(
    const float* p, const half_t* e, int rows, int in, int groups, double* losses) {
    int lane = threadIdx.x % 32;
    int group = blockIdx.x * 8 + threadIdx.x / 32;
    if (group >= groups) return;
    int length = in / groups;
    for (int r = 0; r < ROWS_PER_WARP; r++) {
        int row = blockIdx.y * ROWS_PER_WARP + r;
        if (row >= rows) return;
        long long base = (long long)row * in + group * length;
        float sum = 0.0f;
        for (int j = lane * PER_LANE; j < length; j += TILE) {
            float x[PER_LANE];
            load_weights(e + base + j, x);
#pragma unroll
            for (int i = 0; i < PER_LANE; i++) sum += p[base + j + i] * x[i];
        }
        sum = warp_sum(sum);
        if (lane == 0) losses[(long long)row * groups + group] = sum;
    }
}

// Keeps the step with the least loss. A loss that is not a number is never less.  Grid: ceil(n, 256).  Block: 256.
extern "C" __global__ void choose(const double* losses, double* least, unsigned char* steps, int step, int n) {
    int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= n) return;
    double before = step == 0 ? (double)INFINITY : least[i];
    if (losses[i] < before) {
        least[i] = losses[i];
        steps[i] = (unsigned char)step;
    } else if (step == 0) {
        least[i] = before;
        steps[i] = 0;
    }
}

// limits[row, group] = largest scaled weight * (1 - step * shrink); infinite for step 0.
extern "C" __global__ void clip_limits(
    const half_t* w, int rows, int in, int groups, const float* columns, const float* row_divisors,
    const unsigned char* steps, float shrink, float* limits) {
    int lane = threadIdx.x % 32;
    int group = blockIdx.x * 8 + threadIdx.x / 32;
    if (group >= groups) return;
    int length = in / groups;
    for (int r = 0; r < ROWS_PER_WARP; r++) {
        int row = blockIdx.y * ROWS_PER_WARP + r;
        if (row >= rows) return;
        Group g{w + (long long)row * in, row, group * length, length, columns, row_divisors};
        float least, greatest;
        g.range(lane, least, greatest);
        if (lane == 0) {
            long long at = (long long)row * groups + group;
            int step = steps[at];
            limits[at] = step == 0
                ? INFINITY
                : __fmul_rn(fmaxf(-least, greatest), __fsub_rn(1.0f, __fmul_rn((float)step, shrink)));
        }
    }
}

// errors[row] = sum of (W^ - W)^2, sizes[row] = sum of W^2.  A block a row.  Grid: rows.  Block: 256.
extern "C" __global__ void weight_errors(
    const half_t* w, int in, int groups, const float* columns, const float* row_divisors, const float* limits,
    double* errors, double* sizes) {
    __shared__ double parts[2][8];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int row = blockIdx.x;
    int length = in / groups;
    double error_sum = 0, size_sum = 0;
    for (int group = warp; group < groups; group += 8) {
        Group g{w + (long long)row * in, row, group * length, length, columns, row_divisors};
        Grid grid = g.grid(lane, limits ? limits[(long long)row * groups + group] : INFINITY);
        for (int at = g.first + lane * PER_LANE; at < g.first + length; at += TILE) {
            float x[PER_LANE];
            load_weights(g.weights + at, x);
#pragma unroll
            for (int i = 0; i < PER_LANE; i++) {
                float rounded = grid.nearest(scaled(x[i], columns, at + i, row_divisors, row));
                double error = __fsub_rn(unscaled(rounded, columns, at + i, row_divisors, row), x[i]);
                error_sum += error * error;
                size_sum += (double)x[i] * x[i];
            }
        }
    }
    error_sum = warp_sum_double(error_sum);
    size_sum = warp_sum_double(size_sum);
    if (lane == 0) parts[0][warp] = error_sum, parts[1][warp] = size_sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        double e = 0, s = 0;
        for (int i = 0; i < 8; i++) e += parts[0][i], s += parts[1][i];
        errors[row] = e;
        sizes[row] = s;
    }
}

// The rounding: codes [rows, in / 2] two a byte, low nibble = even column, or [rows, in] where MOST is above 15; zeros and fp16
// scales [rows, groups].
// bad: the first row with a scale that does not fit fp16.
extern "C" __global__ void round_off(
    const half_t* w, int rows, int in, int groups, const float* columns, const float* row_divisors, const float* limits,
    unsigned char* codes, unsigned char* zeros, half_t* scales, int* bad) {
    int lane = threadIdx.x % 32;
    int group = blockIdx.x * 8 + threadIdx.x / 32;
    if (group >= groups) return;
    int length = in / groups;
    for (int r = 0; r < ROWS_PER_WARP; r++) {
        int row = blockIdx.y * ROWS_PER_WARP + r;
        if (row >= rows) return;
        Group g{w + (long long)row * in, row, group * length, length, columns, row_divisors};
        long long slot = (long long)row * groups + group;
        Grid grid = g.grid(lane, limits ? limits[slot] : INFINITY);
        if (lane == 0) {
            scales[slot] = to_half(grid.scale);
            zeros[slot] = (unsigned char)grid.zero;
            if (!grid.finite()) atomicMin(bad, row);
        }
        // All lanes take part in each tile, since neighbours may share a byte.
        for (int tile = 0; tile < length; tile += TILE) {
            int at = g.first + tile + lane * PER_LANE;
            bool inside = tile + lane * PER_LANE < length;
            u32 code[PER_LANE];
            float x[PER_LANE] = {};
            if (inside) load_weights(g.weights + at, x);
#pragma unroll
            for (int i = 0; i < PER_LANE; i++) {
                code[i] = inside ? grid.code(scaled(x[i], columns, at + i, row_divisors, row)) : 0;
            }
#if MOST > 15
#pragma unroll
            for (int i = 0; i < PER_LANE; i++) {
                if (inside) codes[(long long)row * in + at + i] = (unsigned char)code[i];
            }
#else
            unsigned char* to = codes + ((long long)row * in + at) / 2;
#if PER_LANE == 4
            *(unsigned short*)to = (unsigned short)(code[0] | code[1] << 4 | code[2] << 8 | code[3] << 12);
#elif PER_LANE == 2
            *to = (unsigned char)(code[0] | code[1] << 4);
#else
            u32 next = __shfl_down_sync(0xffffffffu, code[0], 1);
            if (inside && lane % 2 == 0) *to = (unsigned char)(code[0] | next << 4);
#endif
#endif
        }
    }
}

// maxima[row, group] = largest |w|; largest: bits of the largest of all; bad: whether one is not finite.
extern "C" __global__ void group_maxima(
    const half_t* w, int rows, int in, int groups, float* maxima, int* largest, int* bad) {
    int lane = threadIdx.x % 32;
    int group = blockIdx.x * 8 + threadIdx.x / 32;
    if (group >= groups) return;
    int length = in / groups;
    for (int r = 0; r < ROWS_PER_WARP; r++) {
        int row = blockIdx.y * ROWS_PER_WARP + r;
        if (row >= rows) return;
        const half_t* from = w + (long long)row * in + group * length;
        float greatest = 0.0f;
        for (int j = lane * PER_LANE; j < length; j += TILE) {
            float x[PER_LANE];
            load_weights(from + j, x);
#pragma unroll
            for (int i = 0; i < PER_LANE; i++) {
                if (!(fabsf(x[i]) <= LARGEST_HALF)) *bad = 1;
                greatest = fmaxf(greatest, fabsf(x[i]));
            }
        }
        greatest = warp_max(greatest);
        if (lane == 0) {
            maxima[(long long)row * groups + group] = greatest;
            atomicMax(largest, __float_as_int(greatest));
        }
    }
}

// parts[chunk, j] = sum over the chunk's rows of |w[row, j]| / (maxima[row, group of j] + 1e-6).
// Grid: (ceil(in, 256), ceil(rows, chunk_rows)).  Block: 256.
extern "C" __global__ void relative_magnitudes(
    const half_t* w, int rows, int in, int groups, const float* maxima, int chunk_rows, double* parts) {
    int j = blockIdx.x * 256 + threadIdx.x;
    if (j >= in) return;
    int group = j / (in / groups);
    int last = min(rows, (int)(blockIdx.y + 1) * chunk_rows);
    double sum = 0;
    for (int row = blockIdx.y * chunk_rows; row < last; row++) {
        float weight = fabsf(to_float(w[(long long)row * in + j]));
        sum += (double)weight / ((double)maxima[(long long)row * groups + group] + 1e-6);
    }
    parts[(long long)blockIdx.y * in + j] = sum;
}
