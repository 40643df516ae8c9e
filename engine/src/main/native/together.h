/* Sums of some rows of activations: each load of weights serves all of them, and what it gives each is the same. */
#if defined(__AVX512F__)
#define TOGETHER 4
#else
#define TOGETHER 2
#endif

typedef struct {
    row_sums of[TOGETHER];
} sums;

/* Where the same stands in row r. */
#define OF_ROW(r, at) ((__typeof__(at))((const u8 *)(at) + (r) * x->stride))
