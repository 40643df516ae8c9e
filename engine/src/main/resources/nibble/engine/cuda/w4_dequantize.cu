// Expands tiles of the decode layout (w4.cuh) into fp16 rows for a matrix product: exactly fp16((code - zero) * scale).
//
//   to[tile * tile_stride + half * half_stride + r, column], tile = 0..tiles-1 counted from first_tile, half = 0, 1, r = 0..7
//
//   matrix                          tile_stride   half_stride   rows of `to`
//   plain, or q, k, v               16            8             min(16 tiles, out - 16 first_tile)
//   gate and up, apart again        8             8 tiles       16 tiles: first gate's, then up's
//
// One warp expands one unit: grid ceil(tiles * ceil(in / 256) / 8), block 256, no dynamic shared memory. -DGROUP_SIZE.
// `to` is row-major [rows, in]; in % 32 == 0. Moves 2.52 bytes a weight, so memory speed is the floor.

#include "w4.cuh"

DEVICE uint4 load_once(const unsigned char* from) {
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(from));
    return v;
}

extern "C" __global__ void __launch_bounds__(256)
w4_dequantize(half_t* __restrict__ to, const unsigned char* __restrict__ matrix, int in, int first_tile, int tiles,
              int tile_stride, int half_stride, int rows) {
    int lane = threadIdx.x % 32, r = lane / 4, t = lane % 4;
    int units = (in + W4_UNIT_COLUMNS - 1) / W4_UNIT_COLUMNS;
    int index = blockIdx.x * 8 + threadIdx.x / 32, tile = index / units, unit = index % units;
    if (tile >= tiles) return;
    const unsigned char* from = matrix + ((long long)(first_tile + tile) * units + unit) * W4_UNIT_BYTES;

    uint4 codes[4];
#pragma unroll
    for (int step = 0; step < 4; step++) codes[step] = load_once(from + step * 512 + lane * 16);
    long long low_row = (long long)tile * tile_stride + r, high_row = low_row + half_stride;
    int column = unit * W4_UNIT_COLUMNS + t * 8;

#pragma unroll
    for (int piece = 0; piece < 8; piece++) {  // 32 columns
        int group = piece * W4_GROUPS / 8;
        u32 scale = *(const u32*)(from + W4_CODE_BYTES + group * 32 + r * 4);
        W4Zeros zeros = w4_zeros(from[W4_CODE_BYTES + W4_SCALE_BYTES + group * 8 + r]);
        u32 low_scale = __byte_perm(scale, 0, 0x1010), high_scale = __byte_perm(scale, 0, 0x3232);
        u32 a[4], b[4];
        w4_expand(a, piece % 2 ? codes[piece / 2].z : codes[piece / 2].x, zeros);
        w4_expand(b, piece % 2 ? codes[piece / 2].w : codes[piece / 2].y, zeros);
        if (column + piece * 32 >= in) break;
        if (low_row < rows) {
            *(uint4*)(to + low_row * in + column + piece * 32) =
                make_uint4(multiply_half2(a[0], low_scale), multiply_half2(a[2], low_scale), multiply_half2(b[0], low_scale),
                           multiply_half2(b[2], low_scale));
        }
        if (high_row < rows) {
            *(uint4*)(to + high_row * in + column + piece * 32) =
                make_uint4(multiply_half2(a[1], high_scale), multiply_half2(a[3], high_scale),
                           multiply_half2(b[1], high_scale), multiply_half2(b[3], high_scale));
        }
    }
}
