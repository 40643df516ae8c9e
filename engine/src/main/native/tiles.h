/* What the kernels of AMX's tiles share. */
#ifndef NIBBLE_TILES_H
#define NIBBLE_TILES_H
#include "vectors.h"

typedef struct {
    u8 palette, start, reserved[14];
    u16 columns[16];
    u8 rows[16];
} configuration;

/* Columns of 16 vectors as rows. */
INLINE void transpose(i32x16 v[16]) {
    for (int step = 0; step < 4; step++) {
        i32x16 z[16];
        for (int i = 0; i < 8; i++) {
            i32x16 a = v[i], b = v[i + 8];
            z[2 * i] = __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            z[2 * i + 1] = __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
        for (int i = 0; i < 16; i++) {
            v[i] = z[i];
        }
    }
}
#endif
