/* compressed-tensors: the low nibble of byte j of a row is the code of column 2j, groups are whole 32 columns. */

/* Activations are prepared with the even ones of each 32 before the odd ones. */
static void codes_ROWS(const matrix *m, i64 first, i64 end, const float *x, float *out) {
    const table t = tabled(PLAIN);
    i64 columns = m->groups * m->size;
    activations a = prepared(x, columns);
    for (i64 row = first; row < end; row++) {
        const u8 *w = m->codes + row * (columns / 2);
        sums s = {};
        for (i64 g = 0; g < m->groups; g++) {
            float scale = half(m->scales + 2 * (row * m->groups + g));
            u32 zero = 8;
            if (m->zeros) {
                zero = LOAD(u32, m->zeros + 4 * (row / 8 * m->groups + g)) >> 4 * (row % 8) & 15;
            }
            for (i64 k = g * m->size; k < (g + 1) * m->size; k += 32) {
                FETCH(w + k / 2 + AHEAD);
                add_nibbles(&s, &a, k, LOAD(u8x16, w + k / 2), &t, scale);
                subtract_minimum(&s, &a, k, (float)zero * scale);
            }
        }
        out[row] = total(&s);
    }
}
