/*
 * Operations between products: norms, rope, gates, sums. Lanes and the order of summation are those of the Vector API
 * on the same processor, so that results have the same bits.
 */
#include "vectors.h"

#if defined(__AVX512F__)
#define WIDTH 16
#define SUM sum16
typedef f32x16 lanes;
typedef i32x16 ints;
#elif defined(__x86_64__)
#define WIDTH 8
#define SUM sum8
typedef f32x8 lanes;
typedef i32x8 ints;
#else
#define WIDTH 4
typedef VECTOR(float, 16) lanes;
typedef VECTOR(i32, 16) ints;
INLINE float SUM(lanes v) {
    lanes a = v + __builtin_shufflevector(v, v, 2, 3, 2, 3);
    return a[0] + a[1];
}
#endif

/* Lanes of `a` where the mask is set, of `b` elsewhere. */
INLINE lanes choose(ints mask, lanes a, lanes b) { return (lanes)((mask & (ints)a) | (~mask & (ints)b)); }
INLINE lanes at_most(lanes x, float most) { return choose(x > most, (lanes){} + most, x); }

INLINE float squares(const float *x, i64 n) {
    lanes sums[4] = {};
    i64 i = 0;
    for (; i <= n - 4 * WIDTH; i += 4 * WIDTH) {
        UNROLL for (int s = 0; s < 4; s++) {
            lanes v = LOAD(lanes, x + i + s * WIDTH);
            sums[s] = FMA(v, v, sums[s]);
        }
    }
    for (; i <= n - WIDTH; i += WIDTH) {
        lanes v = LOAD(lanes, x + i);
        sums[0] = FMA(v, v, sums[0]);
    }
    float sum = SUM((sums[0] + sums[1]) + (sums[2] + sums[3]));
    for (; i < n; i++) {
        sum = FMA(x[i], x[i], sum);
    }
    return sum;
}

/* out = x / sqrt(mean(x^2) + epsilon) * weight, of rows of n that follow one another; `out` may be `x`. */
INLINE void norm_rows(i64 rows, i64 n, double epsilon, const float *x, const float *weight, float *out) {
    for (i64 row = 0; row < rows; row++, x += n, out += n) {
        float scale = (float)(1 / __builtin_elementwise_sqrt(squares(x, n) / (double)n + epsilon));
        i64 i = 0;
        for (; i <= n - WIDTH; i += WIDTH) {
            STORE(out + i, LOAD(lanes, x + i) * scale * LOAD(lanes, weight + i));
        }
        for (; i < n; i++) {
            out[i] = x[i] * scale * weight[i];
        }
    }
}

/* Turns element i of each head with element i + half: a head takes d elements of x, of which 2 * half turn. */
INLINE void turn_heads(i64 n, i64 d, i64 half, float *x, const float *cosines, const float *sines) {
    for (float *end = x + n; x < end; x += d) {
        i64 i = 0;
        for (; i <= half - WIDTH; i += WIDTH) {
            lanes a = LOAD(lanes, x + i), b = LOAD(lanes, x + half + i);
            lanes c = LOAD(lanes, cosines + i), s = LOAD(lanes, sines + i);
            STORE(x + i, a * c - b * s);
            STORE(x + half + i, b * c + a * s);
        }
        for (; i < half; i++) {
            float a = x[i], b = x[half + i];
            x[i] = a * cosines[i] - b * sines[i];
            x[half + i] = b * cosines[i] + a * sines[i];
        }
    }
}

/* e^x for x up to 88; 0 below -87.3, where it would be denormal or smaller. */
INLINE lanes raised(lanes x) {
    lanes shifted = FMA(x, (lanes){} + 1.442695041f, (lanes){} + 12582912.f);
    lanes n = shifted - 12582912.f;
    lanes r = FMA(n, (lanes){} + -0.693359375f, x);
    r = FMA(n, (lanes){} + 2.12194440e-4f, r);
    lanes p = (lanes){} + 1.9875691500e-4f;
    p = FMA(p, r, (lanes){} + 1.3981999507e-3f);
    p = FMA(p, r, (lanes){} + 8.3334519073e-3f);
    p = FMA(p, r, (lanes){} + 4.1665795894e-2f);
    p = FMA(p, r, (lanes){} + 1.6666665459e-1f);
    p = FMA(p, r, (lanes){} + 5.0000001201e-1f);
    p = FMA(p, r * r, r) + 1;
    ints power = (ints)shifted << 23;
    return choose(x < -87.3f, (lanes){}, (lanes)((ints)p + power));
}

/* The gates, by their numbers. */
enum { SILU, GELU_TANH, CLAMPED_SWIGLU };

#define CLAMPED_LIMIT 7.f
#define CLAMPED_FACTOR 1.702f
#define GELU_LINEAR 1.5957691216057308f
#define GELU_CUBIC 0.07135481627260025f

INLINE lanes gated(int kind, lanes g, lanes u) {
    switch (kind) {
        case SILU: return g / (raised(at_most(-g, 88)) + 1) * u;
        case GELU_TANH: {
            lanes z = -((g * g * GELU_CUBIC + GELU_LINEAR) * g);
            return g / (raised(at_most(z, 88)) + 1) * u;
        }
        default: {
            g = at_most(g, CLAMPED_LIMIT);
            u = at_most(u, CLAMPED_LIMIT);
            u = choose(u < -CLAMPED_LIMIT, (lanes){} + -CLAMPED_LIMIT, u);
            return g / (raised(at_most(g * -CLAMPED_FACTOR, 88)) + 1) * (u + 1);
        }
    }
}

INLINE void gate_of(int kind, i64 n, const float *gate, const float *up, float *out) {
    i64 i = 0;
    for (; i <= n - WIDTH; i += WIDTH) {
        STORE(out + i, gated(kind, LOAD(lanes, gate + i), LOAD(lanes, up + i)));
    }
    if (i < n) {
        float g[WIDTH] = {}, u[WIDTH] = {};
        for (i64 k = i; k < n; k++) {
            g[k - i] = gate[k];
            u[k - i] = up[k];
        }
        lanes last = gated(kind, LOAD(lanes, g), LOAD(lanes, u));
        for (i64 k = i; k < n; k++) {
            out[k] = last[k - i];
        }
    }
}

INLINE void gates(i64 kind, i64 n, const float *gate, const float *up, float *out) {
    switch (kind) {
        case SILU: gate_of(SILU, n, gate, up, out); break;
        case GELU_TANH: gate_of(GELU_TANH, n, gate, up, out); break;
        default: gate_of(CLAMPED_SWIGLU, n, gate, up, out); break;
    }
}

/* into += x */
INLINE void add_to(i64 n, const float *x, float *into) {
    i64 i = 0;
    for (; i <= n - WIDTH; i += WIDTH) {
        STORE(into + i, LOAD(lanes, into + i) + LOAD(lanes, x + i));
    }
    for (; i < n; i++) {
        into[i] += x[i];
    }
}

/* out = the sum of parts that begin `apart` numbers from each other, in their order. */
INLINE void sum_parts(i64 parts, i64 apart, i64 n, const float *from, float *out) {
    i64 i = 0;
    for (; i <= n - WIDTH; i += WIDTH) {
        lanes sum = {};
        for (i64 part = 0; part < parts; part++) {
            sum += LOAD(lanes, from + part * apart + i);
        }
        STORE(out + i, sum);
    }
    for (; i < n; i++) {
        float sum = 0;
        for (i64 part = 0; part < parts; part++) {
            sum += from[part * apart + i];
        }
        out[i] = sum;
    }
}
