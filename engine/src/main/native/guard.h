/*
 * A read behind the end of a mapped file that was cut short since gets the signal SIGBUS, which would end the process.
 * A kernel's read gets a page of zeros instead, and is counted: Java looks after a call whether the count has grown.
 * Any other SIGBUS goes to the handler before, Java's own.
 */
#ifndef NIBBLE_GUARD_H
#define NIBBLE_GUARD_H
#include "vectors.h"

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

/*
 * All functions that Java calls have one signature, since Java makes an adapter for each one, which takes it some
 * milliseconds: numbers, then addresses, as many as the function names.
 */
#define CALLED(name) EXPORT i64 nibble_##name(const i64 *n, u8 *a, u8 *b, u8 *c, u8 *d, u8 *e)
#define FLOATS(at) ((float *)(at))

/* How many pages of zeros were given. */
EXPORT u64 nibble_faults = 0;

#if defined(__linux__)
#if defined(__x86_64__)
#define MMAP 9
#define SCHED_YIELD 24
#define SIGACTION 13
#define PC_OFFSET 168 /* of the instruction's address in the context of a signal */
#define PAGE_BYTES 4096ul
#else
#define MMAP 222
#define SCHED_YIELD 124
#define SIGACTION 134
#define PC_OFFSET 440
#define PAGE_BYTES getauxval(6)
/* From whichever C library the process has. */
unsigned long getauxval(unsigned long type);
#endif

#define BUS 7
#define NOTHING_THERE 2 /* BUS_ADRERR */
#define WITH_INFO 4ul   /* SA_SIGINFO */
#define RESTORES 0x04000000ul

INLINE long system_call(long number, long a, long b, long c, long d, long e, long f) {
#if defined(__x86_64__)
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return result;
#else
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
#endif
}

/* What the system takes: not what C libraries call by this name. */
typedef struct {
    void (*handler)(int, const u8 *, const u8 *);
    u64 flags;
    void *restorer;
    u64 mask;
} action;

static action action_before;

/* Where this library's code begins and ends; the linker says so. */
extern const u8 __executable_start[] __attribute__((visibility("hidden")));
extern const u8 etext[] __attribute__((visibility("hidden")));

static void on_bus(int signal, const u8 *info, const u8 *context) {
    u64 at = LOAD(u64, info + 16), pc = LOAD(u64, context + PC_OFFSET);
    if (LOAD(i32, info + 8) == NOTHING_THERE && pc >= (u64)__executable_start && pc < (u64)etext) {
        u64 page = at & -PAGE_BYTES;
        /* To be read only; private, without a file, at this address. */
        if (system_call(MMAP, (long)page, PAGE_BYTES, 1, 0x32, -1, 0) == (long)page) {
            __atomic_fetch_add(&nibble_faults, 1, __ATOMIC_RELAXED);
            return;
        }
    }
    if ((action_before.flags & WITH_INFO) && action_before.handler) {
        action_before.handler(signal, info, context);
    } else {
        system_call(SIGACTION, BUS, (long)&action_before, 0, 8, 0, 0);
    }
}

/* Takes the signal from now on. Returns whether it does. */
CALLED(guard) {
    if (system_call(SIGACTION, BUS, 0, (long)&action_before, 8, 0, 0) != 0) {
        return 0;
    }
    action mine = action_before;
#if defined(__x86_64__)
    /* A handler must return by a function of the C library, which is that of the handler before. */
    if (!(mine.flags & RESTORES)) {
        return 0;
    }
#endif
    mine.handler = on_bus;
    mine.flags |= WITH_INFO;
    return system_call(SIGACTION, BUS, (long)&mine, 0, 8, 0, 0) == 0;
}
#else
CALLED(guard) { return 0; }
#endif
#endif
