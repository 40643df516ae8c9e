/*
 * The loops around tiles: amx_bytes.c and avx2_bytes.c include this behind their `work`, their `fill`, which makes the
 * tiles of a panel, and their `multiply16`, which multiplies sixteen rows by them.
 */

/* Some outputs, a panel after another while some columns of the activations stay in the cache. */
INLINE void multiply_panels(work *w, i64 type, const u8 *weights, i64 head, i64 first, i64 count, i64 columns,
        const u8 *a, i64 rows, i64 group, int has_minima, int run) {
    for (i64 n = 0; n < count; n++) {
        fetch(weights + stored_row(first + n, head) * row_bytes(type, columns), type, columns, 0);
    }
    for (i64 k = 0; k < columns; k += DEPTH) {
        i64 some = columns - k < DEPTH ? columns - k : DEPTH;
        float(*panel)[PANEL] = w->sums;
        for (i64 n = 0; n < count; n += PANEL, panel += whole_rows(rows)) {
            fill(w, type, weights, head, first + n, count - n, columns, k, some);
            for (i64 row = 0; row < rows; row += 16) {
                byte_rows x = rows_at(a, row, columns, k, group);
                multiply16(w, &x, some / group, group, has_minima, run, k == 0, panel + row);
            }
        }
    }
}

/* The bytes of `work` and of the sums behind it. */
INLINE i64 work_bytes(i64 outputs, i64 rows) {
    return (i64)sizeof(work) + (outputs + PANEL - 1) / PANEL * whole_rows(rows) * PANEL * (i64)sizeof(float);
}

/*
 * amx_bytes and avx2_bytes: out[row, first ..] = a[row] weights[first ..] for some outputs.
 *
 *   a        as byte_rows makes it, of rows that are multiples of 16
 *   scratch  room for `work` and the sums of all outputs of all rows
 *   out      at output `first` of the first row
 */
