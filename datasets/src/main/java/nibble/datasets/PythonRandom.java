package nibble.datasets;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Computes what CPython's {@code random.Random} computes: the same numbers for the same integer seed, so that few-shot
 * examples are those that the evaluation harnesses written in Python draw. Mersenne Twister MT19937 (Matsumoto and
 * Nishimura, 1998) seeded by an array, with CPython's ways (3.2 to 3.14) to a bounded number, a shuffle and a sample.
 */
public final class PythonRandom {
    private static final int N = 624;
    private static final int M = 397;

    private final int[] state = new int[N];
    private int index = N;

    /**
     * Starts the generator.
     *
     * @param seed as {@code random.Random(seed)}; its absolute value counts
     */
    public PythonRandom(long seed) {
        long magnitude = Math.abs(seed);
        int high = (int) (magnitude >>> 32);
        seed(high == 0 ? new int[] {(int) magnitude} : new int[] {(int) magnitude, high});
    }

    /** The reference implementation's {@code init_by_array}. */
    private void seed(int[] key) {
        state[0] = 19650218;
        for (int i = 1; i < N; i++) {
            state[i] = 1812433253 * (state[i - 1] ^ (state[i - 1] >>> 30)) + i;
        }
        int i = 1;
        int j = 0;
        for (int k = Math.max(N, key.length); k > 0; k--) {
            state[i] = (state[i] ^ ((state[i - 1] ^ (state[i - 1] >>> 30)) * 1664525)) + key[j] + j;
            i = next(i);
            j = (j + 1) % key.length;
        }
        for (int k = N - 1; k > 0; k--) {
            state[i] = (state[i] ^ ((state[i - 1] ^ (state[i - 1] >>> 30)) * 1566083941)) - i;
            i = next(i);
        }
        state[0] = 0x80000000;
    }

    /** The place after {@code i}; from the last one to 1, with its word to 0. */
    private int next(int i) {
        if (i + 1 < N) {
            return i + 1;
        }
        state[0] = state[N - 1];
        return 1;
    }

    private int word() {
        if (index == N) {
            twist();
        }
        int y = state[index++];
        y ^= y >>> 11;
        y ^= (y << 7) & 0x9d2c5680;
        y ^= (y << 15) & 0xefc60000;
        return y ^ (y >>> 18);
    }

    private void twist() {
        for (int k = 0; k < N; k++) {
            int y = (state[k] & 0x80000000) | (state[(k + 1) % N] & 0x7fffffff);
            state[k] = state[(k + M) % N] ^ (y >>> 1) ^ ((y & 1) * 0x9908b0df);
        }
        index = 0;
    }

    /** Returns {@code getrandbits(bits)}, 1 to 32 bits. */
    public long bits(int bits) {
        if (bits < 1 || bits > 32) {
            throw new IllegalArgumentException(bits + " bits asked, 1 to 32 expected");
        }
        return Integer.toUnsignedLong(word()) >>> (32 - bits);
    }

    /** Returns {@code random()}: 53 random bits, 0 to below 1. */
    public double real() {
        long a = bits(32) >>> 5;
        long b = bits(32) >>> 6;
        return (a * 67108864.0 + b) / 9007199254740992.0;
    }

    /** Returns {@code randrange(bound)}. */
    public int below(int bound) {
        if (bound < 1) {
            throw new IllegalArgumentException("a number below " + bound + " asked");
        }
        int bits = 32 - Integer.numberOfLeadingZeros(bound);
        while (true) {
            long value = bits(bits);
            if (value < bound) {
                return (int) value;
            }
        }
    }

    /** Returns {@code choice(items)}. */
    public <T> T choice(List<T> items) {
        return items.get(below(items.size()));
    }

    /** Does {@code shuffle(items)}, in place. */
    public void shuffle(List<?> items) {
        for (int i = items.size() - 1; i > 0; i--) {
            Collections.swap(items, i, below(i + 1));
        }
    }

    /**
     * Returns {@code sample(items, count)}.
     *
     * @throws IllegalArgumentException if there are fewer items
     */
    public <T> List<T> sample(List<T> items, int count) {
        int n = items.size();
        if (count < 0 || count > n) {
            throw new IllegalArgumentException("a sample of " + count + " out of " + n);
        }
        List<T> sample = new ArrayList<>(count);
        if (n <= poolLimit(count)) {
            List<T> pool = new ArrayList<>(items);
            for (int i = 0; i < count; i++) {
                int j = below(n - i);
                sample.add(pool.get(j));
                pool.set(j, pool.get(n - i - 1));
            }
            return sample;
        }
        Set<Integer> chosen = new HashSet<>();
        for (int i = 0; i < count; i++) {
            int j = below(n);
            while (!chosen.add(j)) {
                j = below(n);
            }
            sample.add(items.get(j));
        }
        return sample;
    }

    /**
     * Up to here CPython draws from a copy of the list, beyond it draws again what it has already: as memory costs it.
     */
    private static long poolLimit(int count) {
        long limit = 21;
        if (count > 5) {
            limit += Math.round(Math.pow(4, Math.ceil(Math.log(count * 3.0) / Math.log(4))));
        }
        return limit;
    }
}
