package nibble.engine.host.vector;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;

/** Holds rows of keys or of values, as a cache has them. */
public sealed interface CachedRows {
    /** Makes a reader of single heads, for one thread. */
    Heads heads(int headDim);

    /** Reads a head of a row at a time. */
    interface Heads {
        /** Computes the product of a query's head, from {@code at} on, with the head at a column of a row. */
        float dot(float[] query, int at, int row, int column);

        /** Adds the head times a factor to the sums. */
        void addScaled(int row, int column, float factor, float[] sums);
    }

    /**
     * Holds numbers.
     *
     * @param values [rows, columns]
     */
    record Floats(float[] values, int columns) implements CachedRows {
        @Override
        public Heads heads(int headDim) {
            return new Heads() {
                @Override
                public float dot(float[] query, int at, int row, int column) {
                    return Gemv.dot(query, at, values, row * columns + column, headDim);
                }

                @Override
                public void addScaled(int row, int column, float factor, float[] sums) {
                    CachedRows.addScaled(values, row * columns + column, factor, sums, headDim);
                }
            };
        }
    }

    /**
     * Holds 8-bit codes, of which those of a head share a scale.
     *
     * @param codes [rows, columns]
     * @param scales [rows, columns / head]
     */
    record Codes(byte[] codes, float[] scales, int columns, int head) implements CachedRows {
        @Override
        public Heads heads(int headDim) {
            float[] integers = new float[headDim];
            return new Heads() {
                private float scale(int row, int column) {
                    return scales[(row * columns + column) / head];
                }

                private void read(int row, int column) {
                    int from = row * columns + column;
                    for (int i = 0; i < integers.length; i++) {
                        integers[i] = codes[from + i];
                    }
                }

                @Override
                public float dot(float[] query, int at, int row, int column) {
                    read(row, column);
                    return Gemv.dot(query, at, integers, 0, headDim) * scale(row, column);
                }

                @Override
                public void addScaled(int row, int column, float factor, float[] sums) {
                    read(row, column);
                    CachedRows.addScaled(integers, 0, factor * scale(row, column), sums, headDim);
                }
            };
        }
    }

    private static void addScaled(float[] x, int offset, float factor, float[] sums, int n) {
        FloatVector f = FloatVector.broadcast(FLOATS, factor);
        int i = 0;
        for (; i <= n - COUNT; i += COUNT) {
            FloatVector.fromArray(FLOATS, x, offset + i)
                    .fma(f, FloatVector.fromArray(FLOATS, sums, i))
                    .intoArray(sums, i);
        }
        for (; i < n; i++) {
            sums[i] = Math.fma(x[offset + i], factor, sums[i]);
        }
    }
}
