// Rounding of one group of weights by one warp, bit for bit as nibble.pack.Grid and nibble.pack.Rounding do it: IEEE operations
// in the same order, nothing contracted.
//
// -DGROUP=32, 64 or 128; 0 where a whole row is one group. A lane has PER_LANE neighbouring elements of each tile of a group;
// a group is one tile, except for whole rows. -DSYMMETRIC=1 for grids whose zero is in the middle. -DMOST: the largest code.

#pragma once

#include "common.cuh"

#if GROUP == 0
#define PER_LANE 1
#else
#define PER_LANE (GROUP / 32)
#endif
#define TILE (32 * PER_LANE)

#ifndef SYMMETRIC
#define SYMMETRIC 0
#endif
#ifndef MOST
#define MOST 15
#endif
#define MOST_CODE ((float)MOST)

#define LARGEST_HALF 65504.0f
#define SMALLEST_NORMAL_HALF 6.103515625e-05f
#define SMALLEST_HALF 5.9604644775390625e-08f
#define ROUND_CONSTANT 12582912.0f  // 1.5 * 2^23: adding and taking it away rounds to an integer, ties to even

DEVICE float round_half(float f) { return to_float(to_half(f)); }

struct Grid {
    float scale;
    float zero;

    DEVICE_MEMBER bool finite() const { return scale <= LARGEST_HALF; }

    // The nearest value of the grid.
    DEVICE_MEMBER float nearest(float w) const {
        float steps = fminf(fmaxf(__fdiv_rn(w, scale), -zero), MOST_CODE - zero);
        return round_half(__fmul_rn(__fsub_rn(__fadd_rn(steps, ROUND_CONSTANT), ROUND_CONSTANT), scale));
    }

    DEVICE_MEMBER u32 code(float w) const {
        float beyond = 2.0f * (MOST_CODE + 1.0f);
        float steps = fminf(fmaxf(__fdiv_rn(w, scale), -beyond), beyond);
        steps = __fsub_rn(__fadd_rn(steps, ROUND_CONSTANT), ROUND_CONSTANT);
        return (u32)fminf(fmaxf(__fadd_rn(steps, zero), 0.0f), MOST_CODE);
    }
};

DEVICE float zero_of(float low, float scale, float most) {
    return fminf(fmaxf(rintf(__fdiv_rn(-low, scale)), 0.0f), most);
}

// The grid of codes 0 .. most with its zero in the middle.
DEVICE Grid symmetric_grid(float largest, float most = MOST_CODE) {
    float middle = __fmul_rn(0.5f, most + 1.0f);
    if (largest == 0.0f) return Grid{SMALLEST_NORMAL_HALF, middle};
    float exact = __fdiv_rn(largest, __fmul_rn(0.5f, most));
    float scale = round_half(exact);
    if (scale < SMALLEST_NORMAL_HALF && scale < exact) scale = __fadd_rn(scale, SMALLEST_HALF);
    while (scale <= LARGEST_HALF && __fmul_rn(middle, scale) >= 65520.0f) scale = to_float((half_t)(to_half(scale) - 1));
    return Grid{scale, middle};
}

// The grid of codes 0 .. most.
DEVICE Grid spanning(float least, float greatest, float most = MOST_CODE) {
    float low = fminf(least, 0.0f), high = fmaxf(greatest, 0.0f);
    float range = __fsub_rn(high, low);
    if (range == 0.0f) return Grid{SMALLEST_NORMAL_HALF, 0.0f};
    float exact = __fdiv_rn(range, most);
    float scale = round_half(exact);
    if (scale < SMALLEST_NORMAL_HALF && scale < exact) scale = __fadd_rn(scale, SMALLEST_HALF);
    float zero = zero_of(low, scale, most);
    while (scale <= LARGEST_HALF && __fmul_rn(fmaxf(zero, most - zero), scale) >= 65520.0f) {
        scale = to_float((half_t)(to_half(scale) - 1));
        zero = zero_of(low, scale, most);
    }
    return Grid{scale, zero};
}

DEVICE float warp_min(float v) {
#pragma unroll
    for (int d = 16; d > 0; d >>= 1) v = fminf(v, __shfl_xor_sync(0xffffffffu, v, d));
    return v;
}

// The weights of a lane in a tile, as floats.
DEVICE void load_weights(const half_t* from, float (&w)[PER_LANE]) {
#if PER_LANE == 4
    uint2 words = *(const uint2*)from;
    w[0] = low_half(words.x), w[1] = high_half(words.x), w[2] = low_half(words.y), w[3] = high_half(words.y);
#elif PER_LANE == 2
    u32 word = *(const u32*)from;
    w[0] = low_half(word), w[1] = high_half(word);
#else
    w[0] = to_float(from[0]);
#endif
}

// Into the basis of rounding: w * column / row; null pointers stand for ones.
DEVICE float scaled(float w, const float* columns, int column, const float* rows, int row) {
    if (columns) w = __fmul_rn(w, columns[column]);
    if (rows) w = __fdiv_rn(w, rows[row]);
    return w;
}

// And back.
DEVICE float unscaled(float w, const float* columns, int column, const float* rows, int row) {
    if (rows) w = __fmul_rn(w, rows[row]);
    if (columns) w = __fdiv_rn(w, columns[column]);
    return w;
}

// One group of one row.
struct Group {
    const half_t* weights;  // of the row
    int row;
    int first;   // column
    int length;
    const float* columns;
    const float* rows;

    // Of the scaled weights, over the warp.
    DEVICE_MEMBER void range(int lane, float& least, float& greatest) const {
        least = 0.0f, greatest = 0.0f;
        for (int at = first + lane * PER_LANE; at < first + length; at += TILE) {
            float w[PER_LANE];
            load_weights(weights + at, w);
#pragma unroll
            for (int i = 0; i < PER_LANE; i++) {
                float s = scaled(w[i], columns, at + i, rows, row);
                least = fminf(least, s);
                greatest = fmaxf(greatest, s);
            }
        }
        least = warp_min(least);
        greatest = warp_max(greatest);
    }

    // The grid for weights clipped to +-limit, or, where limit is negative, to -limit times the largest.
    DEVICE_MEMBER Grid grid(int lane, float limit) const {
        float least, greatest;
        range(lane, least, greatest);
        if (limit < 0.0f) limit = __fmul_rn(fmaxf(-least, greatest), -limit);
        least = fmaxf(least, -limit), greatest = fminf(greatest, limit);
#if SYMMETRIC
        return symmetric_grid(fmaxf(-least, greatest));
#else
        return spanning(least, greatest);
#endif
    }
};
