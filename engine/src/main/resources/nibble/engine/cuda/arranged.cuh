// Activations x [rows, columns] as the products of batch_wgmma.cuh have them in shared memory, so that one copy brings what a step
// needs: for each unit of 256 columns four tiles of 64, for each tile ROWS rows of 128 bytes in 128-byte swizzle, with columns in the
// order of the lanes that decode weights.
//
//   columns % 256 == 0; ROWS is that of the product, 8, 16, 32, 64 or 128, and at least the rows that there are
//   bytes = ROWS * columns * 2

#pragma once
#include "common.cuh"

// The place of x[m, column], in elements. Elements of an even column and of the next are neighbours.
DEVICE long long arranged_place(int rows, int m, int column) {
    int piece = column % 64 / 32 * 4 + column % 8 / 2;  // 16 bytes: columns 8 t + 2 q and the next of 32, for t = 0..3
    return ((long long)(column / 64) * rows + m) * 64 + ((piece ^ m % 8) << 3) + column % 32 / 8 * 2 + column % 2;
}

// Where rows are stored: `arranged` is the ROWS of the product that reads them, 0 for row-major.
struct RowsOut {
    half_t* out;
    int columns;
    int arranged;

    DEVICE_MEMBER void store(int m, int column, half_t value) const {
        out[arranged ? arranged_place(arranged, m, column) : (long long)m * columns + column] = value;
    }

    // Eight columns from one that is a multiple of eight.
    DEVICE_MEMBER void store8(int m, int column, uint4 v) const {
        if (arranged == 0) {
            *(uint4*)(out + (long long)m * columns + column) = v;
            return;
        }
        u32* tile = (u32*)(out + ((long long)(column / 64) * arranged + m) * 64);
        int piece = column % 64 / 32 * 4, t = column % 32 / 8, swizzle = m % 8;
        tile[(piece ^ swizzle) * 4 + t] = v.x;
        tile[(piece + 1 ^ swizzle) * 4 + t] = v.y;
        tile[(piece + 2 ^ swizzle) * 4 + t] = v.z;
        tile[(piece + 3 ^ swizzle) * 4 + t] = v.w;
    }
};
