// The operations between the products: embedding, RMSNorm, rotary embedding, SwiGLU, sums, conversions. Each is bound by memory:
// 16-byte accesses where the row length allows (a multiple of 8), one element at a time elsewhere.
//
// Matrices are row-major [rows, columns] of fp16; arithmetic is fp32.

#include "arranged.cuh"

// out[t] = table[ids[t]].  Grid: rows.  Block: 256.
extern "C" __global__ void embed(const half_t* table, const int* ids, int columns, half_t* out) {
    const half_t* from = table + (long long)ids[blockIdx.x] * columns;
    half_t* to = out + (long long)blockIdx.x * columns;
    if (columns % 8 == 0) {
        for (int i = threadIdx.x; i < columns / 8; i += blockDim.x) ((uint4*)to)[i] = ((const uint4*)from)[i];
    } else {
        for (int i = threadIdx.x; i < columns; i += blockDim.x) to[i] = from[i];
    }
}

// out[t] = x[t] / sqrt(mean(x[t]^2) + epsilon) * weight; out may be x.  arranged: 0, or out is as arranged.cuh says, for so many rows.
// Grid: rows.  Block: 256.
extern "C" __global__ void rms_norm(
    const half_t* x, const float* weight, float epsilon, int columns, half_t* out, int arranged) {
    const half_t* from = x + (long long)blockIdx.x * columns;
    RowsOut to = {out, columns, arranged};
    float squares = 0;
    if (columns % 8 == 0) {
        for (int i = threadIdx.x; i < columns / 8; i += 256) {
            uint4 v = ((const uint4*)from)[i];
            u32 words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
            for (int w = 0; w < 4; w++) {
                float a = low_half(words[w]), b = high_half(words[w]);
                squares += a * a + b * b;
            }
        }
        float scale = rsqrtf(block_sum(squares) / columns + epsilon);
        for (int i = threadIdx.x; i < columns / 8; i += 256) {
            uint4 v = ((const uint4*)from)[i];
            u32 words[4] = {v.x, v.y, v.z, v.w};
            const float4* gains = (const float4*)(weight + 8 * i);
            float4 low = gains[0], high = gains[1];
            float g[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
            for (int w = 0; w < 4; w++) {
                words[w] = pack_half2(low_half(words[w]) * scale * g[2 * w], high_half(words[w]) * scale * g[2 * w + 1]);
            }
            to.store8(blockIdx.x, 8 * i, make_uint4(words[0], words[1], words[2], words[3]));
        }
    } else {
        for (int i = threadIdx.x; i < columns; i += 256) {
            float a = to_float(from[i]);
            squares += a * a;
        }
        float scale = rsqrtf(block_sum(squares) / columns + epsilon);
        for (int i = threadIdx.x; i < columns; i += 256) to.store(blockIdx.x, i, to_half(to_float(from[i]) * scale * weight[i]));
    }
}

// Rows of x, arranged for products of `arranged` rows, those behind the last as they are.  columns: a multiple of 256.
// Grid: (blocks over columns / 8, rows).  Block: 128.
extern "C" __global__ void arrange_rows(const half_t* x, int columns, half_t* out, int arranged) {
    int i = blockIdx.x * 128 + threadIdx.x, m = blockIdx.y;
    if (8 * i >= columns) return;
    uint4 v = *(const uint4*)(x + (long long)m * columns + 8 * i);
    RowsOut{out + (long long)(m / arranged) * arranged * columns, columns, arranged}.store8(m % arranged, 8 * i, v);
}

// out[t] = x[t] - mean(x[t]); out may be x.  Grid: rows.  Block: 256.
extern "C" __global__ void center(const half_t* x, int columns, half_t* out) {
    const half_t* from = x + (long long)blockIdx.x * columns;
    half_t* to = out + (long long)blockIdx.x * columns;
    float sum = 0;
    for (int i = threadIdx.x; i < columns; i += 256) sum += to_float(from[i]);
    float mean = block_sum(sum) / columns;
    for (int i = threadIdx.x; i < columns; i += 256) to[i] = to_half(to_float(from[i]) - mean);
}

// x = (x - mean(x)) / sqrt(variance(x) + epsilon) * weight of each head of dim, all gains of a row in weight.  Grid: rows times heads.
// Block: 256.
extern "C" __global__ void layer_norm_heads(half_t* x, const float* weight, float epsilon, int heads, int dim) {
    half_t* head = x + (long long)blockIdx.x * dim;
    const float* gain = weight + (long long)(blockIdx.x % heads) * dim;
    float sum = 0;
    for (int i = threadIdx.x; i < dim; i += 256) sum += to_float(head[i]);
    float mean = block_sum(sum) / dim;
    float squares = 0;
    for (int i = threadIdx.x; i < dim; i += 256) {
        float a = to_float(head[i]) - mean;
        squares += a * a;
    }
    float scale = rsqrtf(block_sum(squares) / dim + epsilon);
    for (int i = threadIdx.x; i < dim; i += 256) head[i] = to_half((to_float(head[i]) - mean) * scale * gain[i]);
}

// Turns elements i and i + half of each head of dim, 2 half of them at most, by the angle of the row's position, first + row % length.
// cos, sin: [positions, half].  Grid: (blocks over columns / 4 pairs, rows).  Block: 128. A thread turns two pairs where half
// is even, one where it is odd.
extern "C" __global__ void rope(
    half_t* x, int columns, int dim, int half, const float* cos_table, const float* sin_table, int first, int length) {
    half_t* row = x + (long long)blockIdx.y * columns;
    long long angle = (long long)(first + (int)(blockIdx.y % length)) * half;
    int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (half % 2 == 0) {
        int per_head = half / 2;  // two pairs each
        if (t >= columns / dim * per_head) return;
        int head = t / per_head, i = t % per_head * 2;
        u32* low = (u32*)(row + (long long)head * dim + i);
        u32* high = (u32*)(row + (long long)head * dim + half + i);
        u32 a = *low, b = *high;
        float2 c = *(const float2*)(cos_table + angle + i);
        float2 s = *(const float2*)(sin_table + angle + i);
        float a0 = low_half(a), a1 = high_half(a), b0 = low_half(b), b1 = high_half(b);
        *low = pack_half2(a0 * c.x - b0 * s.x, a1 * c.y - b1 * s.y);
        *high = pack_half2(b0 * c.x + a0 * s.x, b1 * c.y + a1 * s.y);
    } else {
        for (int pair = 2 * t; pair < 2 * t + 2 && pair < columns / dim * half; pair++) {
            int head = pair / half, i = pair % half;
            half_t* low = row + (long long)head * dim + i;
            float a = to_float(low[0]), b = to_float(low[half]);
            float c = cos_table[angle + i], s = sin_table[angle + i];
            low[0] = to_half(a * c - b * s);
            low[half] = to_half(b * c + a * s);
        }
    }
}

DEVICE float silu_times(float gate, float up) { return gate / (1.0f + __expf(-gate)) * up; }

// out = silu(gate) * up; out may be gate or up.  Grid: blocks over n / 8.  Block: 256. The last thread takes what is left over 8.
extern "C" __global__ void swiglu(const half_t* gate, const half_t* up, half_t* out, long long n) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (8 * i + 8 <= n) {
        uint4 g = ((const uint4*)gate)[i], u = ((const uint4*)up)[i];
        u32 gs[4] = {g.x, g.y, g.z, g.w}, us[4] = {u.x, u.y, u.z, u.w}, r[4];
#pragma unroll
        for (int w = 0; w < 4; w++) {
            r[w] = pack_half2(
                silu_times(low_half(gs[w]), low_half(us[w])), silu_times(high_half(gs[w]), high_half(us[w])));
        }
        ((uint4*)out)[i] = make_uint4(r[0], r[1], r[2], r[3]);
    } else {
        for (long long j = 8 * i; j < n; j++) out[j] = to_half(silu_times(to_float(gate[j]), to_float(up[j])));
    }
}

// tanh by exp, so that the fast path's error is that of silu's.
DEVICE float gelu_times(float gate, float up) {
    float z = 1.5957691216057308f * (gate + 0.044715f * gate * gate * gate);  // 2 sqrt(2 / pi) (x + ...)
    return gate / (1.0f + __expf(-z)) * up;
}

// out = gelu(gate) * up with GELU's tanh form; out may be gate or up.  As swiglu.
extern "C" __global__ void geglu(const half_t* gate, const half_t* up, half_t* out, long long n) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    for (long long j = 8 * i; j < min(8 * i + 8, n); j++) out[j] = to_half(gelu_times(to_float(gate[j]), to_float(up[j])));
}

// gpt-oss's unit of gate and up, both clamped.
DEVICE float clamped_swiglu_of(float gate, float up) {
    float g = fminf(gate, 7.0f);
    return g / (1.0f + __expf(-1.702f * g)) * (fminf(fmaxf(up, -7.0f), 7.0f) + 1.0f);
}

// out = clamped_swiglu_of(gate, up); out may be gate or up.  As swiglu.
extern "C" __global__ void clamped_swiglu(const half_t* gate, const half_t* up, half_t* out, long long n) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    for (long long j = 8 * i; j < min(8 * i + 8, n); j++) {
        out[j] = to_half(clamped_swiglu_of(to_float(gate[j]), to_float(up[j])));
    }
}

// out[t, i] = activation(gate[i]) * up[i] of rows that hold both: gate[i] at i / 8 * spread + i % 8, up[i] `up` behind it. All are
// multiples of 8.  arranged: as of rms_norm.  Grid: (blocks over columns / 8, rows).  Block: 128.
template <class F>
DEVICE void glu_of_rows(const half_t* both, int both_columns, int spread, int up, RowsOut out, F activation) {
    int columns = out.columns, i = blockIdx.x * 128 + threadIdx.x;
    if (8 * i >= columns) return;
    const half_t* from = both + (long long)blockIdx.y * both_columns + (long long)i * spread;
    uint4 g = *(const uint4*)from, u = *(const uint4*)(from + up);
    u32 gs[4] = {g.x, g.y, g.z, g.w}, us[4] = {u.x, u.y, u.z, u.w}, r[4];
#pragma unroll
    for (int w = 0; w < 4; w++) {
        r[w] = pack_half2(activation(low_half(gs[w]), low_half(us[w])), activation(high_half(gs[w]), high_half(us[w])));
    }
    out.store8(blockIdx.y, 8 * i, make_uint4(r[0], r[1], r[2], r[3]));
}

#define GLU_ROWS(name, activation)                                                                                    \
    extern "C" __global__ void name(                                                                                  \
        const half_t* both, int both_columns, int spread, int up, half_t* out, int columns, int arranged) {           \
        glu_of_rows(both, both_columns, spread, up, RowsOut{out, columns, arranged},                                  \
                    [](float gate, float up) { return activation(gate, up); });                                       \
    }

GLU_ROWS(swiglu_rows, silu_times)
GLU_ROWS(geglu_rows, gelu_times)
GLU_ROWS(clamped_swiglu_rows, clamped_swiglu_of)

// into[t, c] += bias[c].  Grid: (blocks over columns, rows).  Block: 256.
extern "C" __global__ void add_bias(const float* bias, half_t* into, int columns) {
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= columns) return;
    half_t* to = into + (long long)blockIdx.y * columns + c;
    *to = to_half(to_float(*to) + bias[c]);
}

// The same of fp32 rows: logits.
extern "C" __global__ void add_bias_single(const float* bias, float* into, int columns) {
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c < columns) into[(long long)blockIdx.y * columns + c] += bias[c];
}

// x = most tanh(x / most), in fp32: logits.  Grid: blocks over n.  Block: 256.
extern "C" __global__ void cap(float* x, float most, long long n) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) x[i] = most * tanhf(x[i] / most);
}

// out[t, j] = source[t, columns[j]], with -1 and -2 as common.cuh has them.  Grid: rows.  Block: 256.
extern "C" __global__ void gather_columns(
    const half_t* source, int source_columns, const int* columns, int n, half_t* out) {
    gather_columns_of(source + (long long)blockIdx.x * source_columns, columns, n, out + (long long)blockIdx.x * n);
}

// x *= factor.  Grid: blocks over n / 8.  Block: 256.
extern "C" __global__ void scale(half_t* x, float factor, long long n) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    for (long long j = 8 * i; j < min(8 * i + 8, n); j++) x[j] = to_half(to_float(x[j]) * factor);
}

// into += x.  Grid: blocks over n / 8.  Block: 256.
extern "C" __global__ void add(const half_t* x, half_t* into, long long n) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (8 * i + 8 <= n) {
        uint4 a = ((const uint4*)x)[i], b = ((const uint4*)into)[i];
        u32 as[4] = {a.x, a.y, a.z, a.w}, bs[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
        for (int w = 0; w < 4; w++) {
            bs[w] = pack_half2(low_half(as[w]) + low_half(bs[w]), high_half(as[w]) + high_half(bs[w]));
        }
        ((uint4*)into)[i] = make_uint4(bs[0], bs[1], bs[2], bs[3]);
    } else {
        for (long long j = 8 * i; j < n; j++) into[j] = to_half(to_float(x[j]) + to_float(into[j]));
    }
}

// sums[t] = sum over the row of x^2, in double.  Grid: rows.  Block: 256.
extern "C" __global__ void squares(const half_t* x, int columns, double* sums) {
    __shared__ double parts[256];
    const half_t* row = x + (long long)blockIdx.x * columns;
    double sum = 0;
    for (int i = threadIdx.x; i < columns; i += 256) {
        float a = to_float(row[i]);
        sum += (double)a * a;
    }
    parts[threadIdx.x] = sum;
    for (int half = 128; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
    }
    if (threadIdx.x == 0) sums[blockIdx.x] = parts[0];
}

// out = a - b; out may be a or b.  Grid: blocks over n / 8.  Block: 256.
extern "C" __global__ void subtract(const half_t* a, const half_t* b, half_t* out, long long n) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (8 * i + 8 <= n) {
        uint4 x = ((const uint4*)a)[i], y = ((const uint4*)b)[i];
        u32 xs[4] = {x.x, x.y, x.z, x.w}, ys[4] = {y.x, y.y, y.z, y.w};
#pragma unroll
        for (int w = 0; w < 4; w++) {
            xs[w] = pack_half2(low_half(xs[w]) - low_half(ys[w]), high_half(xs[w]) - high_half(ys[w]));
        }
        ((uint4*)out)[i] = make_uint4(xs[0], xs[1], xs[2], xs[3]);
    } else {
        for (long long j = 8 * i; j < n; j++) out[j] = to_half(to_float(a[j]) - to_float(b[j]));
    }
}

// --- conversions.  Grid: blocks over n.  Block: 256. ---------------------------------------------------------------

// overflow counts finite values that fp16 cannot hold.
extern "C" __global__ void single_to_half(const float* from, half_t* to, long long n, int* overflow) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float v = from[i];
    to[i] = to_half(v);
    if (fabsf(v) >= 65520.0f && fabsf(v) <= 3.4028235e38f) atomicAdd(overflow, 1);
}

extern "C" __global__ void bf16_to_half(const half_t* from, half_t* to, long long n, int* overflow) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float v = bf16_to_float(from[i]);
    to[i] = to_half(v);
    if (fabsf(v) >= 65520.0f && fabsf(v) <= 3.4028235e38f) atomicAdd(overflow, 1);
}

// --- sums ------------------------------------------------------------------------------------------------------------

// moment[j, i] = moment[i, j] for i < j: the triangle right of the diagonal is the one that was summed.
// Grid: (n / 32, n / 32) rounded up.  Block: 256.
extern "C" __global__ void mirror(float* moment, int n) {
    __shared__ float tile[32][33];
    if (blockIdx.x < blockIdx.y) return;  // x: column block, y: row block, of the source
    int x = threadIdx.x % 32, y = threadIdx.x / 32;
    for (int r = y; r < 32; r += 8) {
        int row = blockIdx.y * 32 + r, column = blockIdx.x * 32 + x;
        if (row < n && column < n) tile[r][x] = moment[(long long)row * n + column];
    }
    __syncthreads();
    for (int r = y; r < 32; r += 8) {
        int row = blockIdx.x * 32 + r, column = blockIdx.y * 32 + x;
        if (row < n && column < row) moment[(long long)row * n + column] = tile[x][r];
    }
}
