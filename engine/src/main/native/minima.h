/* Minima of groups, which multiply sums of activations only; the same for each form of the activations. */

/* Eight groups of 32. */
INLINE void subtract_minima32(sums *s, const activations *x, i64 k, f32x8 minima) {
    UNROLL
    for (int r = 0; r < x->rows; r++) {
        s->of[r].minima = FMA(minima, LOAD(f32x8, OF_ROW(r, x->sums32 + k / 32)), s->of[r].minima);
    }
}

/* Sixteen groups of 16. */
INLINE void subtract_minima16(sums *s, const activations *x, i64 k, f32x16 minima) {
    UNROLL
    for (int r = 0; r < x->rows; r++) {
        const float *sums16 = OF_ROW(r, x->sums16 + k / 16);
        s->of[r].minima = FMA(low8(minima), LOAD(f32x8, sums16), s->of[r].minima);
        s->of[r].minima = FMA(high8(minima), LOAD(f32x8, sums16 + 8), s->of[r].minima);
    }
}
