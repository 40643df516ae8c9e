/* The scales of a K block's groups, times the block's own scale. */
#ifndef NIBBLE_SCALES_H
#define NIBBLE_SCALES_H
#include "vectors.h"

/* Bits 6 wide in 12 bytes: eight scales and eight minima. Returns the minima times the block's factor for them. */
INLINE f32x8 scales_Q45_K(const u8 *b, float scales[8]) {
    u32 low = LOAD(u32, b + 4), middle = LOAD(u32, b + 8), high = LOAD(u32, b + 12);
    u32 s[2] = {low & 0x3f3f3f3f, (high & 0x0f0f0f0f) | (low >> 2 & 0x30303030)};
    u32 m[2] = {middle & 0x3f3f3f3f, (high >> 4 & 0x0f0f0f0f) | (middle >> 2 & 0x30303030)};
    STORE(scales, CONVERT(f32x8, LOAD(u8x8, s)) * half(b));
    __asm__("" : "+m"(*(float(*)[8])scales));
    return CONVERT(f32x8, LOAD(u8x8, m)) * half(b + 2);
}

/* Four low bits of a scale in eight bytes, and two high ones in four; all are 32 too large. */
INLINE void scales_Q3_K(const u8 *b, float scales[16]) {
    u32 w0 = LOAD(u32, b + 96), w1 = LOAD(u32, b + 100), w2 = LOAD(u32, b + 104);
    u32 s[4] = {
        (w0 & 0x0f0f0f0f) | (w2 << 4 & 0x30303030),
        (w1 & 0x0f0f0f0f) | (w2 << 2 & 0x30303030),
        (w0 >> 4 & 0x0f0f0f0f) | (w2 & 0x30303030),
        (w1 >> 4 & 0x0f0f0f0f) | (w2 >> 2 & 0x30303030),
    };
    STORE(scales, CONVERT(f32x16, (i8x16)LOAD(u8x16, s) - 32) * half(b + 108));
    __asm__("" : "+m"(*(float(*)[16])scales));
}

/* Four low bits of a scale in four bytes, and two high ones in a 16-bit word; all are 32 too large. */
INLINE void scales_IQ4_XS(const u8 *b, float scales[8]) {
    float d = half(b);
    u32 high = LOAD(u16, b + 2);
    u32 low = LOAD(u32, b + 4);
    for (int g = 0; g < 8; g++) {
        scales[g] = d * (float)((i32)((low >> 4 * g & 15) | (high >> 2 * g & 3) << 4) - 32);
    }
}
#endif
