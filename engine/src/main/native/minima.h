/* Minima of groups, which multiply sums of activations only; the same for each form of the activations. */

/* Eight groups of 32. */
INLINE void subtract_minima32(sums *s, const activations *x, i64 k, f32x8 minima) {
    s->minima = FMA(minima, LOAD(f32x8, x->sums32 + k / 32), s->minima);
}

/* Sixteen groups of 16. */
INLINE void subtract_minima16(sums *s, const activations *x, i64 k, f32x16 minima) {
    s->minima = FMA(low8(minima), LOAD(f32x8, x->sums16 + k / 16), s->minima);
    s->minima = FMA(high8(minima), LOAD(f32x8, x->sums16 + k / 16 + 8), s->minima);
}
