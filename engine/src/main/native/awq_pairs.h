/*
 * AWQ's words times one row of activations in bytes, by AVX2: the sums of codes.h, to the bit.
 *
 * A pass takes DEEP rows of words and reads each of them in order over the words of a tile: memory is fastest then.
 * Bytes of two rows become neighbours, so that each lane of 16 bits sums up one output. 32 products by codes of 0 to 15
 * would not fit it, but those by codes less 8 do. So sums begin with -8 times the sum of their activations. What they
 * pass on the way may overflow; what they end with is exact.
 *
 *   kept  of eight words: low nibbles of words 0, 1, 4, 5; of words 2, 3, 6, 7; then the same for high nibbles.
 *         Outputs of a word there: 0, 4, 1, 5 in the low nibbles, 2, 6, 3, 7 in the high ones
 */
#define DEEP 8
#define STRIP 512

/* Eight times the sum of 32 activations. */
INLINE i32 eight_sums(const i8 *x) {
    __m256i bytes = _mm256_xor_si256((__m256i)LOAD(i8x32, x), _mm256_set1_epi8(-128));
    i64x4 sums = (i64x4)_mm256_sad_epu8(bytes, _mm256_setzero_si256());
    return 8 * (i32)(sums[0] + sums[1] + sums[2] + sums[3] - 128 * 32);
}

/* To the sums of eight words, the products of two rows. */
INLINE void add_rows(__m256i s[4], __m256i x, __m256i a, __m256i b) {
    const __m256i low = _mm256_set1_epi8(15);
    UNROLL
    for (int j = 0; j < 2; j++) {
        __m256i v = j == 0 ? _mm256_unpacklo_epi8(a, b) : _mm256_unpackhi_epi8(a, b);
        s[j] = _mm256_add_epi16(s[j], _mm256_maddubs_epi16(_mm256_and_si256(v, low), x));
        v = _mm256_and_si256(_mm256_srli_epi16(v, 4), low);
        s[2 + j] = _mm256_add_epi16(s[2 + j], _mm256_maddubs_epi16(v, x));
    }
}

/* An address of which the compiler makes no others that each would need a register. */
#define OPAQUE(v) __asm__("" : "+r"(v))

typedef struct {
    __m256i pairs[DEEP / 2];
    i32 eights;
    floats scale;
} pass_inputs;

/* Eight words of a pass. */
INLINE void step(const pass_inputs *x, __m256i kept[4], float *group, int first, int last, int begins, const u8 *at,
        const u8 *at4, i64 row, i64 row3, i64 count) {
    __m256i s[4];
    UNROLL
    for (int i = 0; i < 4; i++) {
        s[i] = first ? _mm256_set1_epi16((i16)-x->eights) : kept[i];
    }
    add_rows(s, x->pairs[0], (__m256i)load_words(at, count), (__m256i)load_words(at + row, count));
    add_rows(s, x->pairs[1], (__m256i)load_words(at + 2 * row, count), (__m256i)load_words(at + row3, count));
    add_rows(s, x->pairs[2], (__m256i)load_words(at4, count), (__m256i)load_words(at4 + row, count));
    add_rows(s, x->pairs[3], (__m256i)load_words(at4 + 2 * row, count), (__m256i)load_words(at4 + row3, count));
    UNROLL
    for (int i = 0; i < 4; i++) {
        if (!last) {
            kept[i] = s[i];
            continue;
        }
        UNROLL
        for (int j = 0; j < 2; j++) {
            float *to = group + 16 * i + 8 * j;
            __m128i half = j == 0 ? _mm256_castsi256_si128(s[i]) : _mm256_extracti128_si256(s[i], 1);
            floats sum = CONVERT(floats, (i32x8)_mm256_cvtepi16_epi32(half) + x->eights);
            STORE(to, FMA(sum, x->scale, begins ? (floats){} : LOAD(floats, to)));
        }
    }
}

INLINE void fetch_rows(const u8 *at, i64 row, i64 row3) {
    FETCH(at);
    FETCH(at + row);
    FETCH(at + 2 * row);
    FETCH(at + row3);
}

/* Words of a tile: a pass of 32 inputs, the first or last of them perhaps. */
INLINE void pass(__m256i (*kept)[4], float (*group)[64], const activations *a, i64 k, int first, int last, int begins,
        const u8 *at, i64 row, i64 count) {
    pass_inputs x;
    UNROLL
    for (int i = 0; i < DEEP / 2; i++) {
        x.pairs[i] = _mm256_set1_epi16(LOAD(i16, a->values + k + 2 * i));
    }
    x.eights = first || last ? eight_sums(a->values + k / 32 * 32) : 0;
    x.scale = (floats){} + a->scales[k / 32];
    const u8 *at4 = at + 4 * row, *ahead = at + DEEP * row;
    i64 row3 = 3 * row, c = 0;
    OPAQUE(row3);
    for (; c + 2 * LANES <= count; c += 2 * LANES) {
        OPAQUE(at);
        OPAQUE(at4);
        OPAQUE(ahead);
        fetch_rows(ahead, row, row3);
        fetch_rows(ahead + 4 * row, row, row3);
        step(&x, kept[c / LANES], group[c / LANES], first, last, begins, at, at4, row, row3, LANES);
        step(&x, kept[c / LANES + 1], group[c / LANES + 1], first, last, begins, at + 4 * LANES, at4 + 4 * LANES, row,
                row3, LANES);
        at += 8 * LANES;
        at4 += 8 * LANES;
        ahead += 8 * LANES;
    }
    for (; c < count; c += LANES, at += 4 * LANES, at4 += 4 * LANES) {
        step(&x, kept[c / LANES], group[c / LANES], first, last, begins, at, at4, row, row3, count - c);
    }
}

/* The outputs of words n and n + 1 in order, from the sums of their nibbles. */
INLINE void of_two_words(const float *low, const float *high, floats *first, floats *second) {
    __m256 a = (__m256)LOAD(floats, low), b = (__m256)LOAD(floats, high);
    __m256 even = _mm256_unpacklo_ps(a, b), odd = _mm256_unpackhi_ps(a, b);
    /* 0 2 4 6 and 1 3 5 7 of both words */
    __m256 c = _mm256_unpacklo_ps(even, odd), d = _mm256_unpackhi_ps(even, odd);
    *first = (floats)_mm256_permute2f128_ps(c, d, 0x20);
    *second = (floats)_mm256_permute2f128_ps(c, d, 0x31);
}

/* A group's end for eight words from c on. */
INLINE void finish_pairs(const matrix *m, i64 g, i64 c, i64 count, float sum_x, const float *group, float *out) {
    const words places = {0, 16, 4, 20, 8, 24, 12, 28};
    const u8 *zeros = m->zeros + (g * m->outputs / 8 + c) * 4;
    const u8 *scales = m->scales + 2 * (g * m->outputs + 8 * c);
    floats v[8];
    of_two_words(group, group + 32, v, v + 1);
    of_two_words(group + 16, group + 48, v + 2, v + 3);
    of_two_words(group + 8, group + 40, v + 4, v + 5);
    of_two_words(group + 24, group + 56, v + 6, v + 7);
    for (i64 i = 0; i < LANES && i < count; i++) {
        words zero = ((words){} + LOAD(u32, zeros + 4 * i)) >> places & 15;
        floats sum = FMA(CONVERT(floats, (signed_words)zero), (floats){} - sum_x, v[i]);
        float *to = out + 8 * (c + i);
        STORE(to, FMA(sum, load_halves(scales + 16 * i, LANES), LOAD(floats, to)));
    }
}

static void codes_AWQ(const matrix *m, const range *r, const float *prepared_x, float *out) {
    activations x = prepared_codes(prepared_x, r->columns);
    i64 row = m->outputs / 2;
    for (i64 n = r->first; n < r->end; n++) {
        out[n] = 0;
    }
    i64 all = r->end / 8 - r->first / 8, tiles = (all + STRIP - 1) / STRIP;
    i64 strip = tiles ? (all + 16 * tiles - 1) / (16 * tiles) * 16 : 0;
    for (i64 first = r->first / 8; first < r->end / 8; first += strip) {
        i64 count = r->end / 8 - first < strip ? r->end / 8 - first : strip;
        __m256i kept[STRIP / LANES][4];
        float group[STRIP / LANES][64];
        for (i64 g = r->first_group; g < r->end_group; g++) {
            for (i64 k = g * m->size; k < (g + 1) * m->size; k += 32) {
                const u8 *at = m->codes + k * row + 4 * first;
                pass(kept, group, &x, k, 1, 0, 0, at, row, count);
                for (int i = DEEP; i < 32 - DEEP; i += DEEP) {
                    pass(kept, group, &x, k + i, 0, 0, 0, at + i * row, row, count);
                }
                if (k == g * m->size) {
                    pass(kept, group, &x, k + 32 - DEEP, 0, 1, 1, at + (32 - DEEP) * row, row, count);
                } else {
                    pass(kept, group, &x, k + 32 - DEEP, 0, 1, 0, at + (32 - DEEP) * row, row, count);
                }
            }
            float sum_x = sum_of_group(&x, g * m->size, m->size);
            for (i64 c = 0; c < count; c += LANES) {
                finish_pairs(m, g, first + c, count - c, sum_x, group[c / LANES], out);
            }
        }
    }
}
