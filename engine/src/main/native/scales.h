/* The scales of a K block's groups, times the block's own scale. */
#ifndef NIBBLE_SCALES_H
#define NIBBLE_SCALES_H
#include "vectors.h"

/* Bits 6 wide in 12 bytes: eight scales and eight minima. Returns the minima times the block's factor for them. */
INLINE f32x8 scales_Q45_K(const u8 *b, f32x8 *scales) {
    u32 low = LOAD(u32, b + 4), middle = LOAD(u32, b + 8), high = LOAD(u32, b + 12);
    u32 s[2] = {low & 0x3f3f3f3f, (high & 0x0f0f0f0f) | (low >> 2 & 0x30303030)};
    u32 m[2] = {middle & 0x3f3f3f3f, (high >> 4 & 0x0f0f0f0f) | (middle >> 2 & 0x30303030)};
    *scales = CONVERT(f32x8, LOAD(u8x8, s)) * half(b);
    return CONVERT(f32x8, LOAD(u8x8, m)) * half(b + 2);
}

/* Four low bits of a scale in eight bytes, and two high ones in four; all are 32 too large. */
INLINE f32x16 scales_Q3_K(const u8 *b) {
    u32 w0 = LOAD(u32, b + 96), w1 = LOAD(u32, b + 100), w2 = LOAD(u32, b + 104);
    u32 s[4] = {
        (w0 & 0x0f0f0f0f) | (w2 << 4 & 0x30303030),
        (w1 & 0x0f0f0f0f) | (w2 << 2 & 0x30303030),
        (w0 >> 4 & 0x0f0f0f0f) | (w2 & 0x30303030),
        (w1 >> 4 & 0x0f0f0f0f) | (w2 >> 2 & 0x30303030),
    };
    return CONVERT(f32x16, (i8x16)LOAD(u8x16, s) - 32) * half(b + 108);
}

/* Four low bits of a scale in four bytes, and two high ones in a 16-bit word; all are 32 too large. */
INLINE f32x8 scales_IQ4_XS(const u8 *b) {
    const i32x8 four = {0, 4, 8, 12, 16, 20, 24, 28};
    const i32x8 two = {0, 2, 4, 6, 8, 10, 12, 14};
    i32x8 low = ((i32x8){} + LOAD(i32, b + 4)) >> four & 15;
    i32x8 high = ((i32x8){} + LOAD(u16, b + 2)) >> two & 3;
    return CONVERT(f32x8, (low | high << 4) - 32) * half(b);
}

/* The fp16 numbers at the same place of up to eight blocks, zeros behind them. */
INLINE f32x8 halves_of(const u8 *b, i64 bytes, i64 count) {
    typedef VECTOR(f16, 16) f16x8;
    if (count == 8) {
        VECTOR(u16, 16) all = {LOAD(u16, b), LOAD(u16, b + bytes), LOAD(u16, b + 2 * bytes), LOAD(u16, b + 3 * bytes),
            LOAD(u16, b + 4 * bytes), LOAD(u16, b + 5 * bytes), LOAD(u16, b + 6 * bytes), LOAD(u16, b + 7 * bytes)};
        return CONVERT(f32x8, (f16x8)all);
    }
    u64 words[2] = {};
    for (i64 i = 0; i < count; i++) {
        words[i / 4] |= (u64)LOAD(u16, b + i * bytes) << 16 * (i % 4);
    }
    VECTOR(u64, 16) joined = {words[0], words[1]};
    return CONVERT(f32x8, (f16x8)joined);
}

/* Half the powers of two whose exponents are the first bytes of up to eight blocks: 2^(e - 128), as ggml has them. */
INLINE f32x8 halves_of_powers(const u8 *b, i64 bytes, i64 count) {
    u64 exponents = 0;
    for (i64 i = 0; i < count; i++) {
        exponents |= (u64)b[i * bytes] << 8 * i;
    }
    u32x8 e = CONVERT(u32x8, LOAD(u8x8, &exponents));
    u32x8 is_small = (u32x8)(e < 2);
    return (f32x8)((is_small & (0x00200000 << (e & 1))) | (~is_small & (e - 1) << 23));
}
#endif
