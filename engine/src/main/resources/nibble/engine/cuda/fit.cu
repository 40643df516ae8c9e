// Codes, scales and zeros of some rows of a linear, fitted to a moment C. See nibble.engine.cuda.fit; nibble.engine.host.fit is the
// specification. Codes are bytes [rows, n]; scales and zeros are fp32 [rows, groups]; most is the largest code.
//
// The kernels that walk over a block of columns take a warp for a row: grid ceil(rows, 16), block 512, lane l has the columns l,
// l + 32, l + 64 and l + 96 of the block; the block of C or L lies in shared memory [BLOCK, BLOCK].

#include "round.cuh"

#define BLOCK 128
#define PARTS (BLOCK / 32)
#define ROWS 16
#define FULL 0xffffffffu

DEVICE double warp_sum_double(double v) {
#pragma unroll
    for (int d = 16; d > 0; d >>= 1) v += __shfl_xor_sync(FULL, v, d);
    return v;
}

DEVICE float code_of(float w, float scale, float zero, float most) {
    return fminf(fmaxf(__fadd_rn(rintf(__fdiv_rn(w, scale)), zero), 0.0f), most);
}

// What a loader in fp16 makes of a code.
DEVICE float value_of(float code, float scale, float zero) { return round_half(__fmul_rn(__fsub_rn(code, zero), scale)); }

DEVICE Grid grid_between(float least, float greatest, float most, int symmetric) {
    return symmetric ? symmetric_grid(fmaxf(-least, greatest), most) : spanning(least, greatest, most);
}

// target[row, j] = w[row, j] columns[j], both [rows, n]; columns: [n] or null for ones.  Grid: (ceil(n, 256), rows).  Block: 256.
extern "C" __global__ void weights_in_basis(const half_t* w, const float* columns, int n, float* target) {
    int j = blockIdx.x * 256 + threadIdx.x;
    if (j >= n) return;
    long long at = (long long)blockIdx.y * n + j;
    target[at] = scaled(to_float(w[at]), columns, j, 0, 0);
}

// --- the ranges of groups: a warp a group; grid (ceil(groups, 8), rows), block 256 ------------------------------------

// bounds[row, group]: least and greatest weight, 0 among them; largest: bits of the largest of all.
extern "C" __global__ void group_bounds(const float* target, int n, int groups, float2* bounds, int* largest) {
    int lane = threadIdx.x % 32, group = blockIdx.x * 8 + threadIdx.x / 32;
    if (group >= groups) return;
    int length = n / groups;
    const float* from = target + (long long)blockIdx.y * n + (long long)group * length;
    float least = 0.0f, greatest = 0.0f;
    for (int j = lane; j < length; j += 32) {
        least = fminf(least, from[j]);
        greatest = fmaxf(greatest, from[j]);
    }
    least = warp_min(least);
    greatest = warp_max(greatest);
    if (lane == 0) {
        bounds[(long long)blockIdx.y * groups + group] = make_float2(least, greatest);
        atomicMax(largest, __float_as_int(fmaxf(-least, greatest)));
    }
}

// e[row, j] = (nearest value of the grid from low to high shares of the range - target) d[j] sigma, at most 65504 in size.
extern "C" __global__ void range_errors(
    const float* target, const float2* bounds, int n, int groups, float low, float high, float most, int symmetric, const float* d,
    float sigma, half_t* e) {
    int lane = threadIdx.x % 32, group = blockIdx.x * 8 + threadIdx.x / 32;
    if (group >= groups) return;
    int length = n / groups;
    float2 range = bounds[(long long)blockIdx.y * groups + group];
    Grid grid = grid_between(__fmul_rn(low, range.x), __fmul_rn(high, range.y), most, symmetric);
    long long base = (long long)blockIdx.y * n;
    for (int j = group * length + lane; j < (group + 1) * length; j += 32) {
        float w = target[base + j];
        float value = value_of(code_of(w, grid.scale, grid.zero, most), grid.scale, grid.zero);
        float error = (value - w) * d[j] * sigma;
        e[base + j] = to_half(fminf(fmaxf(error, -LARGEST_HALF), LARGEST_HALF));
    }
}

// The grids of chosen pairs of shares: lows[step], highs[step]. fixed: the step of all, or -1 for steps.
// Grid: ceil(slots, 256).  Block: 256.
extern "C" __global__ void range_grids(
    const float2* bounds, const unsigned char* steps, int fixed, const float* lows, const float* highs, float most, int symmetric,
    int slots, float* scales, float* zeros) {
    int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= slots) return;
    int step = fixed < 0 ? steps[i] : fixed;
    Grid grid = grid_between(__fmul_rn(lows[step], bounds[i].x), __fmul_rn(highs[step], bounds[i].y), most, symmetric);
    scales[i] = grid.scale;
    zeros[i] = grid.zero;
}

// --- codes ------------------------------------------------------------------------------------------------------------

// To nearest.  Grid: (ceil(n, 256), rows).  Block: 256.
extern "C" __global__ void nearest_codes(
    const float* target, const float* scales, const float* zeros, int n, int groups, float most, unsigned char* codes) {
    int j = blockIdx.x * 256 + threadIdx.x;
    if (j >= n) return;
    long long at = (long long)blockIdx.y * n + j, slot = (long long)blockIdx.y * groups + j / (n / groups);
    codes[at] = (unsigned char)code_of(target[at], scales[slot], zeros[slot], most);
}

// e[row, j] = value of the code - target, with the bits that the tensor cores use.  Grid: (ceil(n, 256), rows).  Block: 256.
extern "C" __global__ void errors(
    const float* target, const unsigned char* codes, const float* scales, const float* zeros, int n, int groups, float* e) {
    int j = blockIdx.x * 256 + threadIdx.x;
    if (j >= n) return;
    long long at = (long long)blockIdx.y * n + j, slot = (long long)blockIdx.y * groups + j / (n / groups);
    e[at] = tensor_precision(value_of((float)codes[at], scales[slot], zeros[slot]) - target[at]);
}

// tile[i, j] = m[first + i, first + j], zeros beyond count, and right of the diagonal if only the lower triangle is meant.
DEVICE void load_tile(float* tile, const float* m, int n, int first, int count, bool lower) {
    for (int at = threadIdx.x; at < BLOCK * BLOCK; at += 32 * ROWS) {
        int i = at / BLOCK, j = at % BLOCK;
        bool inside = i < count && j < (lower ? i + 1 : count);
        tile[at] = inside ? m[(long long)(first + i) * n + first + j] : 0.0f;
    }
    __syncthreads();
}

// Compensated rounding of the columns order[first .. first + count], the last one first. Before: moved[row, i] = sum over the
// columns k rounded so far of e[k] deviations[k] factor[k, i], so that the error of all is least for the weight
// target - moved / (deviations[i] factor[i, i]). After: block_errors[row, i] = e[i] deviations[i].
extern "C" __global__ void compensate(
    const float* target, const float* moved, const float* factor, const int* order, const float* deviations, const float* scales,
    const float* zeros, int rows, int n, int groups, int first, int count, float most, unsigned char* codes, float* block_errors,
    int stride) {
    extern __shared__ float tile[];
    load_tile(tile, factor, n, first, count, true);
    int lane = threadIdx.x % 32, row = blockIdx.x * ROWS + threadIdx.x / 32;
    if (row >= rows) return;
    int length = n / groups;
    float weight[PARTS], sum[PARTS], scale[PARTS], zero[PARTS], deviation[PARTS], share[PARTS];
    int column[PARTS];
#pragma unroll
    for (int p = 0; p < PARTS; p++) {
        int i = p * 32 + lane;
        bool inside = i < count;
        column[p] = inside ? order[first + i] : 0;
        long long slot = (long long)row * groups + column[p] / length;
        weight[p] = inside ? target[(long long)row * n + column[p]] : 0.0f;
        sum[p] = inside ? moved[(long long)row * n + first + i] : 0.0f;
        scale[p] = scales[slot];
        zero[p] = zeros[slot];
        deviation[p] = inside ? deviations[first + i] : 0.0f;
        share[p] = inside ? 1.0f / (deviation[p] * tile[i * BLOCK + i]) : 0.0f;
    }
#pragma unroll
    for (int p = PARTS - 1; p >= 0; p--) {
        float own = 0.0f;
        for (int l = 31; l >= 0; l--) {
            int i = p * 32 + l;
            if (i >= count) continue;
            float code = code_of(weight[p] - sum[p] * share[p], scale[p], zero[p], most);
            float error = ((code - zero[p]) * scale[p] - weight[p]) * deviation[p];
            error = __shfl_sync(FULL, error, l);
            if (lane == l) {
                own = error;
                codes[(long long)row * n + column[p]] = (unsigned char)code;
            }
#pragma unroll
            for (int q = 0; q <= p; q++) sum[q] += error * tile[i * BLOCK + q * 32 + lane];
        }
        if (p * 32 + lane < count) block_errors[(long long)row * stride + p * 32 + lane] = own;
    }
}

// Coordinate descent over a block of columns: each code to where the loss of its row is least, given all the others. gradient
// [rows, n] is E C, up to date for the block. moves[row, i]: by how much a value moved.
extern "C" __global__ void descend(
    float* gradient, const float* c, const float* scales, const float* zeros, int rows, int n, int groups, int first, int count,
    float most, unsigned char* codes, float* moves, int stride) {
    extern __shared__ float tile[];
    load_tile(tile, c, n, first, count, false);
    int lane = threadIdx.x % 32, row = blockIdx.x * ROWS + threadIdx.x / 32;
    if (row >= rows) return;
    int length = n / groups;
    float slope[PARTS], step[PARTS], scale[PARTS], code[PARTS], moved[PARTS];
#pragma unroll
    for (int p = 0; p < PARTS; p++) {
        int i = p * 32 + lane;
        bool inside = i < count;
        int column = first + (inside ? i : 0);
        float curvature = inside ? tile[i * BLOCK + i] : 0.0f;
        scale[p] = scales[(long long)row * groups + column / length];
        slope[p] = inside ? gradient[(long long)row * n + column] : 0.0f;
        code[p] = (float)codes[(long long)row * n + column];
        // No step where nothing is to be gained.
        step[p] = curvature * scale[p] > 1e-30f ? -1.0f / (curvature * scale[p]) : 0.0f;
        moved[p] = 0.0f;
    }
#pragma unroll
    for (int p = 0; p < PARTS; p++) {
        // From one column that moves to the next: those between stay as they are.
        u32 after = FULL;
        while (true) {
            float wanted = fminf(fmaxf(code[p] + rintf(slope[p] * step[p]), 0.0f), most);
            float move = (wanted - code[p]) * scale[p];
            u32 moving = __ballot_sync(FULL, move != 0.0f) & after;
            if (moving == 0) break;
            int l = __ffs(moving) - 1;
            after = l == 31 ? 0 : FULL << (l + 1);
            move = __shfl_sync(FULL, move, l);
            if (lane == l) {
                code[p] = wanted;
                moved[p] = move;
            }
#pragma unroll
            for (int q = p; q < PARTS; q++) slope[q] += move * tile[(p * 32 + l) * BLOCK + q * 32 + lane];
        }
    }
#pragma unroll
    for (int p = 0; p < PARTS; p++) {
        int i = p * 32 + lane;
        if (i >= count) continue;
        moves[(long long)row * stride + i] = moved[p];
        if (moved[p] != 0.0f) codes[(long long)row * n + first + i] = (unsigned char)code[p];
    }
}

// A scale after its refit: as it was, where the new one is none that fits fp16 with all codes.
DEVICE float refitted(float scale, float slope, float curvature, float most) {
    float found = curvature > 0.0f ? round_half(scale - slope / curvature) : 0.0f;
    return found >= SMALLEST_NORMAL_HALF && most * found <= LARGEST_HALF ? found : scale;
}

// Refit of the scales of the groups in a block of columns, which are whole groups; otherwise as descend.
extern "C" __global__ void refit(
    const float* gradient, const float* c, float* scales, const float* zeros, int rows, int n, int groups, int first, int count,
    float most, const unsigned char* codes, float* moves, int stride) {
    extern __shared__ float tile[];
    load_tile(tile, c, n, first, count, false);
    int lane = threadIdx.x % 32, row = blockIdx.x * ROWS + threadIdx.x / 32;
    if (row >= rows) return;
    int length = n / groups, parts = length / 32;
    float slope[PARTS], steps[PARTS], moved[PARTS];
#pragma unroll
    for (int p = 0; p < PARTS; p++) {
        int i = p * 32 + lane;
        bool inside = i < count;
        int column = first + (inside ? i : 0);
        slope[p] = inside ? gradient[(long long)row * n + column] : 0.0f;
        steps[p] = inside ? (float)codes[(long long)row * n + column] - zeros[(long long)row * groups + column / length] : 0.0f;
        moved[p] = 0.0f;
    }
    for (int from = 0; from < count; from += length) {
        long long slot = (long long)row * groups + (first + from) / length;
        float product[PARTS] = {};
#pragma unroll
        for (int p = 0; p < PARTS; p++) {
            if (p < from / 32 || p >= from / 32 + parts) continue;
            for (int l = 0; l < 32; l++) {
                float s = __shfl_sync(FULL, steps[p], l);
#pragma unroll
                for (int q = 0; q < PARTS; q++) product[q] += s * tile[(p * 32 + l) * BLOCK + q * 32 + lane];
            }
        }
        float curvature = 0.0f, downhill = 0.0f;
#pragma unroll
        for (int p = 0; p < PARTS; p++) {
            if (p < from / 32 || p >= from / 32 + parts) continue;
            curvature += steps[p] * product[p];
            downhill += steps[p] * slope[p];
        }
        float scale = scales[slot];
        float found = refitted(scale, warp_sum(downhill), warp_sum(curvature), most);
        float change = found - scale;
        __syncwarp();
        if (lane == 0 && change != 0.0f) scales[slot] = found;
#pragma unroll
        for (int p = 0; p < PARTS; p++) {
            slope[p] += change * product[p];
            if (p >= from / 32 && p < from / 32 + parts) moved[p] = change * steps[p];
        }
    }
#pragma unroll
    for (int p = 0; p < PARTS; p++) {
        int i = p * 32 + lane;
        if (i < count) moves[(long long)row * stride + i] = moved[p];
    }
}

// Where a whole row is one group: s[row, j] = code - zero.  Grid: (ceil(n, 256), rows).  Block: 256.
extern "C" __global__ void whole_steps(const unsigned char* codes, const float* zeros, int n, float* s) {
    int j = blockIdx.x * 256 + threadIdx.x;
    if (j < n) s[(long long)blockIdx.y * n + j] = (float)codes[(long long)blockIdx.y * n + j] - zeros[blockIdx.y];
}

// And its refit, with s C s' and s G' of each row.  Grid: ceil(rows, 256).  Block: 256.
extern "C" __global__ void whole_refit(const double* curvatures, const double* slopes, int rows, float most, float* scales) {
    int row = blockIdx.x * 256 + threadIdx.x;
    if (row < rows) scales[row] = refitted(scales[row], (float)slopes[row], (float)curvatures[row], most);
}

// --- the result -------------------------------------------------------------------------------------------------------

// Two codes a byte, low nibble = even column, or one.  Grid: (ceil(n / per_byte, 256), rows).  Block: 256.
extern "C" __global__ void pack_codes(const unsigned char* codes, int n, int per_byte, unsigned char* packed) {
    int j = blockIdx.x * 256 + threadIdx.x;
    if (j >= n / per_byte) return;
    const unsigned char* from = codes + (long long)blockIdx.y * n + per_byte * j;
    packed[(long long)blockIdx.y * (n / per_byte) + j] = (unsigned char)(per_byte == 1 ? from[0] : from[0] | from[1] << 4);
}

// Grid: ceil(slots, 256).  Block: 256.
extern "C" __global__ void pack_grids(
    const float* scales, const float* zeros, int slots, half_t* packed_scales, unsigned char* packed_zeros) {
    int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= slots) return;
    packed_scales[i] = to_half(scales[i]);
    packed_zeros[i] = (unsigned char)zeros[i];
}

// errors[row] = sum of (value of the code - w column)^2, sizes[row] = sum of (w column)^2.  Grid: rows.  Block: 256.
extern "C" __global__ void fitted_errors(
    const half_t* w, const float* columns, const unsigned char* codes, const float* scales, const float* zeros, int n, int groups,
    double* error_sums, double* sizes) {
    __shared__ double parts[2][8];
    long long row = blockIdx.x;
    int length = n / groups;
    double error_sum = 0, size_sum = 0;
    for (int j = threadIdx.x; j < n; j += 256) {
        float x = scaled(to_float(w[row * n + j]), columns, j, 0, 0);
        float error = value_of((float)codes[row * n + j], scales[row * groups + j / length], zeros[row * groups + j / length]) - x;
        error_sum += (double)error * error;
        size_sum += (double)x * x;
    }
    error_sum = warp_sum_double(error_sum);
    size_sum = warp_sum_double(size_sum);
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    if (lane == 0) parts[0][warp] = error_sum, parts[1][warp] = size_sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        double e = 0, s = 0;
        for (int i = 0; i < 8; i++) e += parts[0][i], s += parts[1][i];
        error_sums[row] = e;
        sizes[row] = s;
    }
}
