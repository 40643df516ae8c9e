// Queries, key and value of one token on their way into attention: biases, norms of heads, rope. Part of decode_attention.cuh, which
// includes this behind what it uses.
//
// -DHEAD_EXTRAS for a model with biases or norms: 1 for a norm of each head, 2 for one over all heads together.

#pragma once

// The token's query heads, rotated, to shared memory; the rest of q stays zero.
DEVICE void rotate_queries(half_t* q, const half_t* heads, int count, const float* cos, const float* sin) {
    for (int i = threadIdx.x; i < count * HALF; i += THREADS) {
        int head = i / HALF, j = i % HALF;
        float a = load_fresh(heads + head * HEAD_DIM + j), b = load_fresh(heads + head * HEAD_DIM + HALF + j);
        q[head * Q_STRIDE + j] = to_half(a * cos[j] - b * sin[j]);
        q[head * Q_STRIDE + HALF + j] = to_half(b * cos[j] + a * sin[j]);
    }
}

DEVICE void append(half_t* k_row, half_t* v_row, const half_t* k, const half_t* v, const float* cos, const float* sin) {
    for (int j = threadIdx.x; j < HALF; j += THREADS) {
        float a = load_fresh(k + j), b = load_fresh(k + HALF + j);
        k_row[j] = to_half(a * cos[j] - b * sin[j]);
        k_row[HALF + j] = to_half(b * cos[j] + a * sin[j]);
        v_row[j] = to_half(load_fresh(v + j));
        v_row[HALF + j] = to_half(load_fresh(v + HALF + j));
    }
}

#ifdef HEAD_EXTRAS
// 1 / rms of all queries, or of all keys, for the block. parts: 8 floats, free at entry.
DEVICE float inverse_of_all(const half_t* from, const float* bias, int count, float epsilon, float* parts) {
    float squares = 0;
    for (int i = threadIdx.x; i < count; i += THREADS) {
        float v = load_fresh(from + i) + (bias ? bias[i] : 0);
        squares += v * v;
    }
    squares = warp_sum(squares);
    sync_threads<THREADS>();
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = squares;
    sync_threads<THREADS>();
    squares = 0;
    for (int w = 0; w < THREADS / 32; w++) squares += parts[w];
    return 1.0f / sqrtf(squares / (float)count + epsilon);
}

// A query or key of a head with its bias, through its norm, rotated; by one warp. inverse: 0 where the norm is over the head.
DEVICE void turn_head(half_t* to, const half_t* from, const float* bias, const float* gain, float inverse, float epsilon, const float* cos,
                      const float* sin) {
    constexpr int PAIRS = (HALF + 31) / 32;
    int lane = threadIdx.x % 32;
    float low[PAIRS], high[PAIRS], squares = 0;
#pragma unroll
    for (int i = 0; i < PAIRS; i++) {
        int j = i * 32 + lane;
        low[i] = high[i] = 0;
        if (j < HALF) {
            low[i] = load_fresh(from + j) + (bias ? bias[j] : 0);
            high[i] = load_fresh(from + HALF + j) + (bias ? bias[HALF + j] : 0);
        }
        squares += low[i] * low[i] + high[i] * high[i];
    }
    if (gain && inverse == 0) inverse = 1.0f / sqrtf(warp_sum(squares) / HEAD_DIM + epsilon);
#pragma unroll
    for (int i = 0; i < PAIRS; i++) {
        int j = i * 32 + lane;
        if (j >= HALF) break;
        float a = low[i], b = high[i];
        if (gain) a *= inverse * gain[j], b *= inverse * gain[HALF + j];
        to[j] = to_half(a * cos[j] - b * sin[j]);
        to[HALF + j] = to_half(b * cos[j] + a * sin[j]);
    }
}

// The token's query heads to shared memory; with k_row its key and value to the cache.
DEVICE void turn_heads(const Attention& a, half_t* q, float* parts, half_t* k_row, half_t* v_row, int first_head, int heads, int kv) {
    constexpr bool ALL = HEAD_EXTRAS == 2;
    int queries = a.kv_heads * QUERIES_PER_KV, lane = threadIdx.x % 32;
    float of_queries = 0, of_keys = 0;
    if (ALL) {
        const float* biases = a.extras.biases;
        of_queries = inverse_of_all(a.qkv, biases, queries * HEAD_DIM, a.epsilon, parts);
        of_keys = inverse_of_all(a.qkv + queries * HEAD_DIM, biases ? biases + queries * HEAD_DIM : nullptr, a.kv_heads * HEAD_DIM,
                                 a.epsilon, parts);
    }
    // Heads of queries, then the key, then the value; a warp each in turn.
    for (int i = threadIdx.x / 32; i < heads + (k_row ? 2 : 0); i += THREADS / 32) {
        int head = i < heads ? first_head + i : queries + (i - heads) * a.kv_heads + kv;
        const half_t* from = a.qkv + head * HEAD_DIM;
        const float* bias = a.extras.biases ? a.extras.biases + head * HEAD_DIM : nullptr;
        const float* gain = nullptr;
        if (a.extras.gains) gain = a.extras.gains + HEAD_DIM * (ALL ? head : i < heads ? 0 : 1);
        if (i <= heads) {
            turn_head(i < heads ? q + i * Q_STRIDE : k_row, from, bias, gain, i < heads ? of_queries : of_keys, a.epsilon, a.cos, a.sin);
        } else {
            for (int j = lane; j < HEAD_DIM; j += 32) v_row[j] = to_half(load_fresh(from + j) + (bias ? bias[j] : 0));
        }
    }
}
#endif
