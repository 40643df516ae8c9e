// The BEST greatest logits of each row, greatest first, equals by id, and what sums over all of the row. Logits are fp32
// [rows, vocabulary].
//
// Each thread takes every 1024th logit. The BEST-th greatest of the threads' own greatest is a bound that at least BEST logits reach;
// those that do are gathered and sorted. Where more than POOL reach it, because many are equal, or where one is NaN or +infinity, or
// none is finite, the row's count is -1 and the host takes all logits.
//
//   result [rows, 8 + 2 BEST] words: count, sum of exp(logit - greatest), sum of exp((logit - greatest) * per_degree), the logit
//   asked for, its rank (1 + how many are greater), three unused; BEST logits; BEST ids
//
// Sums are in double, of exponentials in fp32.  Grid: rows.  Block: 1024.

#include "common.cuh"

constexpr int THREADS = 1024;
constexpr int POOL = 1024;
constexpr int BEST = 128;
constexpr int HEAD_WORDS = 8;

extern "C" __constant__ int best_logits_launch[3] = {THREADS, BEST, HEAD_WORDS};

// Orders as the numbers do; +0 is above -0.
DEVICE u32 order_of(float x) {
    u32 bits = __float_as_uint(x);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

DEVICE float number_of(u32 order) { return __uint_as_float(order & 0x80000000u ? order & 0x7fffffffu : ~order); }

// Descending, by all 1024 threads.
template <class T>
DEVICE void sort_pool(T* pool) {
    for (int size = 2; size <= POOL; size *= 2) {
        for (int step = size / 2; step > 0; step /= 2) {
            __syncthreads();
            int i = threadIdx.x, other = i ^ step;
            if (other > i) {
                T a = pool[i], b = pool[other];
                if (((i & size) == 0) == (a < b)) pool[i] = b, pool[other] = a;
            }
        }
    }
    __syncthreads();
}

// Sum over the block in a fixed order, for thread 0.
DEVICE double sum_of_block(double v, double* parts) {
    __syncthreads();
    parts[threadIdx.x] = v;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
    }
    __syncthreads();
    return parts[0];
}

extern "C" __global__ void __launch_bounds__(THREADS) best_logits(
    const float* logits, int vocabulary, const float* per_degree, const int* asked, float* result) {
    __shared__ u64 pool[POOL];
    __shared__ double parts[THREADS];
    __shared__ int gathered, broken;
    u32* greatest = (u32*)parts;
    const float* row = logits + (long long)blockIdx.x * vocabulary;
    float* to = result + (long long)blockIdx.x * (HEAD_WORDS + 2 * BEST);
    if (threadIdx.x == 0) gathered = broken = 0;
    __syncthreads();

    u32 own = 0;
    bool strange = false;
    for (int v = threadIdx.x; v < vocabulary; v += THREADS) {
        float x = row[v];
        strange |= !(x < INFINITY);
        u32 order = order_of(x);
        own = order > own ? order : own;
    }
    if (strange) broken = 1;
    greatest[threadIdx.x] = own;
    sort_pool(greatest);
    u32 bound = greatest[BEST - 1];
    float max = number_of(greatest[0]);
    __syncthreads();
    pool[threadIdx.x] = 0;
    __syncthreads();

    int id = asked[blockIdx.x];
    float wanted = id >= 0 ? row[id] : INFINITY, factor = per_degree[blockIdx.x];
    double sum = 0, tempered = 0, above = 0;
    for (int v = threadIdx.x; v < vocabulary; v += THREADS) {
        float x = row[v];
        sum += expf(x - max);
        tempered += expf((x - max) * factor);
        if (x > wanted) above += 1;
        u32 order = order_of(x);
        if (order >= bound) {
            int at = atomicAdd(&gathered, 1);
            if (at < POOL) pool[at] = (u64)order << 32 | (0xffffffffu - (u32)v);
        }
    }
    sum = sum_of_block(sum, parts);
    tempered = sum_of_block(tempered, parts);
    above = sum_of_block(above, parts);
    sort_pool(pool);
    int count = min(gathered, BEST);
    if (threadIdx.x == 0) {
        bool none = broken || gathered > POOL || !(max > -INFINITY);
        to[0] = __int_as_float(none ? -1 : count);
        to[1] = (float)sum;
        to[2] = (float)tempered;
        to[3] = wanted;
        to[4] = __int_as_float(1 + (int)above);
    }
    if (threadIdx.x < BEST) {
        u64 entry = threadIdx.x < count ? pool[threadIdx.x] : 0;
        to[HEAD_WORDS + threadIdx.x] = number_of((u32)(entry >> 32));
        to[HEAD_WORDS + BEST + threadIdx.x] = __int_as_float((int)(0xffffffffu - (u32)entry));
    }
}
