/*
 * A decoder layer, or the head, as a list of steps for one token: a token of a small model has some hundred calls of a
 * few microseconds, which Java would spend as much time on again. Several threads run one program: the one that leads
 * does what is serial and opens one phase after another; all of them take pieces of the open phase. Nobody waits for a
 * thread that is not in here, so none waits for Java.
 */

enum { NORM_STEP, PREPARE_STEP, ADD_STEP, GATE_STEP, TURN_STEP, KEEP_STEP, SHARED_STEPS, ROWS_STEP = SHARED_STEPS,
       CODES_STEP, PARTS_STEP, SUM_STEP, ATTEND_STEP };

/*
 * The function's numbers and addresses. Steps that threads share have `pieces` of `size` units of `units`; those of one
 * phase follow one another, and their pieces are counted from the first's on.
 */
typedef struct {
    i64 kind, phase, before, pieces, size, units;
    i64 n[20];
    u8 *p[5];
    i64 unused;
} step;

/* Numbers that threads change: each has lines of the cache of its own. */
#define APART 16
#define SPINS 20000

typedef struct {
    i64 steps, phases, threads;
    step *at;
    /* The number of open phases; then for each phase the pieces done, and the next piece of each thread's part. */
    i64 *open;
} program;

INLINE i64 *done_of(const program *of, i64 phase) { return of->open + APART * (1 + phase * (1 + of->threads)); }

/* Waits a little, and after some times lets another thread have the processor. */
INLINE void rest(i64 times) {
#if defined(__x86_64__)
    _mm_pause();
#else
    __asm__ volatile("yield");
#endif
#if defined(__linux__)
    if (times % 512 == 511) {
        system_call(SCHED_YIELD, 0, 0, 0, 0, 0, 0);
    }
#endif
}

/* Attention sees `window` positions up to the present one. */
static void attend_heads(const step *s, i64 from, i64 to, i64 position, const float *keys, const float *values) {
    i64 d = s->n[1], stride = s->n[2], heads = s->n[4], window = s->n[6], room = s->n[7];
    i64 first = position + 1 > window ? position + 1 - window : 0;
    for (i64 head = from; head < to; head++) {
        i64 n[6] = {s->n[0], d, stride, position + 1 - first, heads, s->n[5]};
        i64 at = first * stride + head * d, mine = 4 * head * heads * d;
        nibble_attend(n, s->p[0] + mine, (u8 *)(keys + at), (u8 *)(values + at), s->p[1] + 4 * head * room,
                s->p[2] + mine);
    }
}

static void run_pieces(const step *s, i64 from, i64 to, i64 position, const float *keys, const float *values) {
    i64 n[20], first = from * s->size, end = to * s->size < s->units ? to * s->size : s->units;
    for (int i = 0; i < 20; i++) {
        n[i] = s->n[i];
    }
    switch (s->kind) {
        case ROWS_STEP:
            n[5] = first;
            n[6] = end;
            nibble_rows(n, s->p[0], s->p[1], 0, 0, 0);
            break;
        case CODES_STEP:
            n[10] = first;
            n[11] = end;
            nibble_codes(n, s->p[0], 0, s->p[2], 0, 0);
            break;
        case PARTS_STEP:
            for (i64 part = from; part < to; part++) {
                n[12] = part * s->size;
                n[13] = (part + 1) * s->size < s->units ? (part + 1) * s->size : s->units;
                nibble_codes(n, s->p[0], 0, s->p[2] + 4 * part * n[17], 0, 0);
            }
            break;
        case SUM_STEP:
            n[3] = end - first;
            nibble_sum(n, s->p[0] + 4 * first, s->p[1] + 4 * first, 0, 0, 0);
            break;
        default: attend_heads(s, from, to, position, keys, values); break;
    }
}

/* Pieces from..to of a phase, which may belong to several steps. */
static i64 run_phase(const step *s, i64 from, i64 to, i64 position, const float *keys, const float *values) {
    for (i64 phase = s->phase; s->phase == phase && s->before < to; s++) {
        i64 first = from > s->before ? from - s->before : 0;
        i64 end = to - s->before < s->pieces ? to - s->before : s->pieces;
        if (first < end) {
            run_pieces(s, first, end, position, keys, values);
        }
    }
    return to - from;
}

/* A thread begins with its own part, half of what is left of it at a time, and then takes single pieces of others'. */
static void drain(const program *of, const step *s, i64 pieces, i64 thread, i64 position, const float *keys,
        const float *values) {
    i64 *done = done_of(of, s->phase), made = 0;
    for (i64 k = 0; k < of->threads; k++) {
        i64 part = (thread + k) % of->threads, end = pieces * (part + 1) / of->threads;
        i64 *next = done + APART * (1 + part);
        i64 at = __atomic_load_n(next, __ATOMIC_RELAXED);
        while (at < end) {
            i64 count = k == 0 ? (end - at + 1) / 2 : 1;
            if (__atomic_compare_exchange_n(next, &at, at + count, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
                made += run_phase(s, at, at + count, position, keys, values);
                at = __atomic_load_n(next, __ATOMIC_RELAXED);
            }
        }
    }
    if (made) {
        __atomic_fetch_add(done, made, __ATOMIC_RELEASE);
    }
}

/* The pieces of the phase that begins with a step, and the step behind it. */
INLINE i64 phase_pieces(const program *of, i64 *i) {
    i64 phase = of->at[*i].phase, pieces = 0;
    for (; *i < of->steps && of->at[*i].kind >= SHARED_STEPS && of->at[*i].phase == phase; ++*i) {
        pieces += of->at[*i].pieces;
    }
    return pieces;
}

static void run_serial(const step *s, i64 position, float *keys, float *values) {
    u8 *const *p = s->p;
    switch (s->kind) {
        case NORM_STEP: nibble_norm(s->n, p[0], p[1], p[2], 0, 0); break;
        case PREPARE_STEP: nibble_prepare(s->n, p[0], p[1], 0, 0, 0); break;
        case ADD_STEP: nibble_add(s->n, p[0], p[1], 0, 0, 0); break;
        case GATE_STEP: nibble_gate(s->n, p[0], p[1], p[2], 0, 0); break;
        case TURN_STEP: {
            i64 angle = 4 * position * s->n[3];
            nibble_turn(s->n, p[0] + angle, p[1] + angle, p[2], 0, 0);
            break;
        }
        default: {
            /* The token's keys and values. */
            i64 count = s->n[0];
            const float *key = FLOATS(p[0]), *value = FLOATS(p[1]);
            for (i64 i = 0; i < count; i++) {
                keys[position * count + i] = key[i];
                values[position * count + i] = value[i];
            }
        }
    }
}

/* Makes a program ready to run. Of: program. */
CALLED(program_ready) {
    const program *of = (const program *)n[0];
    for (i64 phase = 0; phase < of->phases; phase++) {
        *done_of(of, phase) = 0;
    }
    for (i64 i = 0; i < of->steps;) {
        const step *s = of->at + i;
        if (s->kind < SHARED_STEPS) {
            i++;
            continue;
        }
        i64 pieces = phase_pieces(of, &i);
        for (i64 part = 0; part < of->threads; part++) {
            done_of(of, s->phase)[APART * (1 + part)] = pieces * part / of->threads;
        }
    }
    __atomic_store_n(of->open, 0, __ATOMIC_RELEASE);
    return 0;
}

/* Runs a program as thread 0, which leads, or as another. Of: program, thread, position; keys, values. */
CALLED(program_run) {
    const program *of = (const program *)n[0];
    i64 thread = n[1], position = n[2];
    float *keys = FLOATS(a), *values = FLOATS(b);
    for (i64 i = 0; i < of->steps;) {
        const step *s = of->at + i;
        if (s->kind < SHARED_STEPS) {
            if (thread == 0) {
                run_serial(s, position, keys, values);
            }
            i++;
            continue;
        }
        i64 pieces = phase_pieces(of, &i);
        if (thread == 0) {
            __atomic_store_n(of->open, s->phase + 1, __ATOMIC_RELEASE);
        }
        for (i64 spins = 0; __atomic_load_n(of->open, __ATOMIC_ACQUIRE) <= s->phase; spins++) {
            if (spins == SPINS) {
                return 0;
            }
            rest(spins);
        }
        drain(of, s, pieces, thread, position, keys, values);
        for (i64 spins = 0; thread == 0 && __atomic_load_n(done_of(of, s->phase), __ATOMIC_ACQUIRE) < pieces; spins++) {
            rest(spins);
        }
    }
    return 0;
}
