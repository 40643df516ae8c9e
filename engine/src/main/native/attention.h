/* Attention of one query of some heads that share keys and values: decoding. Heads are whole vectors of 16. */
#include "vectors.h"

/* e^x for x up to 0, to 2 units in the last place; 0 below -87. */
INLINE f32x16 exponential(f32x16 x) {
    f32x16 n = __builtin_elementwise_roundeven(__builtin_elementwise_max(x, splat(-88)) * 1.44269504f);
    f32x16 r = FMA(n, splat(-0.693359375f), __builtin_elementwise_max(x, splat(-88)));
    r = FMA(n, splat(2.12194440e-4f), r);
    f32x16 p = splat(1.9875691500e-4f);
    p = FMA(p, r, splat(1.3981999507e-3f));
    p = FMA(p, r, splat(8.3334519073e-3f));
    p = FMA(p, r, splat(4.1665795894e-2f));
    p = FMA(p, r, splat(1.6666665459e-1f));
    p = FMA(p, r, splat(5.0000001201e-1f));
    p = FMA(p, r * r, r + 1);
    f32x16 power = (f32x16)((CONVERT(i32x16, n) + 127) << 23);
    return (f32x16)((i32x16)(p * power) & (x >= -87));
}

/*
 *   query    [heads][d], and so is out
 *   keys     row j begins at keys + j * stride, and so do values
 *   scores   room for `seen` numbers, and for what fills the last vector up
 */
static void attend(i64 d, i64 stride, i64 seen, i64 heads, float scale, const float *query, const float *keys,
        const float *values, float *scores, float *out) {
    for (i64 head = 0; head < heads; head++, query += d, out += d) {
        f32x16 most = splat(-__builtin_inff());
        for (i64 j = 0; j < (seen + 15) / 16 * 16; j += 16) {
            f32x16 s = splat(-__builtin_inff());
            for (i64 i = 0; i < 16 && j + i < seen; i++) {
                const float *key = keys + (j + i) * stride;
                f32x16 a = {}, b = {};
                i64 k = 0;
                for (; k + 32 <= d; k += 32) {
                    a = FMA(LOAD(f32x16, query + k), LOAD(f32x16, key + k), a);
                    b = FMA(LOAD(f32x16, query + k + 16), LOAD(f32x16, key + k + 16), b);
                }
                if (k < d) {
                    a = FMA(LOAD(f32x16, query + k), LOAD(f32x16, key + k), a);
                }
                scores[j + i] = sum16(a + b) * scale;
            }
            for (i64 i = seen - j; i < 16; i++) {
                scores[j + i] = -__builtin_inff();
            }
            s = LOAD(f32x16, scores + j);
            most = __builtin_elementwise_max(most, s);
        }
        float largest = largest16(most);
        f32x16 all = {};
        for (i64 j = 0; j < seen; j += 16) {
            f32x16 e = exponential(LOAD(f32x16, scores + j) - largest);
            STORE(scores + j, e);
            all += e;
        }
        float inverse = 1 / sum16(all);
        for (i64 k = 0; k < d; k += 64) {
            i64 vectors = d - k < 64 ? (d - k) / 16 : 4;
            f32x16 sums[4] = {};
            for (i64 j = 0; j < seen; j++) {
                const float *value = values + j * stride + k;
                f32x16 p = splat(scores[j]);
                if (__builtin_expect(vectors == 4, 1)) {
                    for (int i = 0; i < 4; i++) {
                        sums[i] = FMA(LOAD(f32x16, value + 16 * i), p, sums[i]);
                    }
                } else {
                    for (i64 i = 0; i < vectors; i++) {
                        sums[i] = FMA(LOAD(f32x16, value + 16 * i), p, sums[i]);
                    }
                }
            }
            for (i64 i = 0; i < vectors; i++) {
                STORE(out + k + 16 * i, sums[i] * inverse);
            }
        }
    }
}
