package nibble.engine.attention;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import nibble.engine.backend.Backend;
import nibble.engine.host.ReferenceBackend;
import nibble.engine.host.VectorBackend;
import nibble.engine.tensor.Matrix;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class HeadCodesTest {
    private static final int HEAD = 24;
    private static final int BLOCK = 16;

    private final Random random = new Random(5);

    @ParameterizedTest
    @ValueSource(floats = {1e-28f, 3e-5f, 1f, 700f, 65504f, 3e38f})
    void no_element_is_off_by_more_than_half_a_step(float size) {
        for (int round = 0; round < 200; round++) {
            float[] x = new float[HEAD];
            float largest = 0;
            for (int i = 0; i < HEAD; i++) {
                x[i] = size * (2 * random.nextFloat() - 1);
                largest = Math.max(largest, Math.abs(x[i]));
            }
            byte[] codes = new byte[HEAD];
            float scale = HeadCodes.encode(x, 0, HEAD, codes, 0);
            int most = 0;
            for (int i = 0; i < HEAD; i++) {
                most = Math.max(most, Math.abs(codes[i]));
                assertThat(Math.abs((double) x[i] - (double) codes[i] * scale))
                        .isLessThanOrEqualTo(HeadCodes.mostError(largest));
            }
            assertThat(most).isEqualTo(127);
        }
    }

    @Test
    void zeros_stay_zeros_and_what_is_not_finite_is_not_lost() {
        byte[] codes = new byte[3];
        assertThat(HeadCodes.encode(new float[3], 0, 3, codes, 0)).isZero();
        assertThat(codes).containsOnly(0);
        assertThat(HeadCodes.encode(new float[] {1, Float.NaN, 2}, 0, 3, codes, 0))
                .isNaN();
        assertThat(HeadCodes.encode(new float[] {1, Float.NEGATIVE_INFINITY, 2}, 0, 3, codes, 0))
                .isInfinite();
    }

    static Stream<Backend> backends() {
        return Stream.of(new ReferenceBackend(), new VectorBackend(2));
    }

    /** By the bound that the class derives: next tokens, which read codes, and longer parts. */
    @ParameterizedTest
    @MethodSource("backends")
    void attention_to_codes_is_off_by_no_more_than_the_bound(Backend backend) {
        int[][] cases = {{1, 30}, {1, 200}, {20, 45}, {2, 16}};
        AttentionShape shape = new AttentionShape(4, 2, HEAD, 150);
        try (backend) {
            for (int[] c : cases) {
                int rows = c[0];
                int seen = c[1] + rows;
                int blocks = Math.ceilDiv(seen, BLOCK);
                int[] order = new int[blocks];
                int[] places = new int[blocks * BLOCK];
                for (int i = 0; i < blocks; i++) {
                    order[i] = blocks - 1 - i;
                }
                for (int i = 0; i < places.length; i++) {
                    places[i] = order[i / BLOCK] * BLOCK + i % BLOCK;
                }
                float[] q = values(rows * shape.queryColumns());
                float[] k = values(places.length * shape.keyColumns());
                float[] v = values(k.length);
                List<SequencePart.InBlocks> parts = List.of(new SequencePart.InBlocks(0, rows, c[1], order, BLOCK));
                List<float[]> results = new ArrayList<>();
                for (boolean coded : new boolean[] {false, true}) {
                    try (Matrix query = backend.upload(q, rows, shape.queryColumns());
                            Matrix keys = cached(backend, coded, k, places, shape);
                            Matrix values = cached(backend, coded, v, places, shape);
                            Matrix out = backend.allocate(rows, shape.queryColumns())) {
                        backend.attention(shape, parts, query, keys, values, out);
                        results.add(backend.download(out));
                    }
                }
                double score = HEAD * largest(q) * HeadCodes.mostError(largest(k)) / Math.sqrt(HEAD);
                double bound = Math.expm1(2 * score) * largest(v) + HeadCodes.mostError(largest(v)) + 1e-5;
                double worst = 0;
                double squares = 0;
                for (int i = 0; i < rows * shape.queryColumns(); i++) {
                    double error = results.get(1)[i] - results.get(0)[i];
                    worst = Math.max(worst, Math.abs(error));
                    squares += error * error;
                }
                assertThat(worst).isGreaterThan(1e-5).isLessThan(bound);
                // Errors are independent: far below the bound together.
                assertThat(Math.sqrt(squares / (rows * shape.queryColumns()))).isLessThan(0.01);
            }
        }
    }

    private static Matrix cached(Backend backend, boolean coded, float[] x, int[] places, AttentionShape shape) {
        int columns = shape.keyColumns();
        Matrix cache =
                coded ? backend.allocateCodes(places.length, columns, HEAD) : backend.allocate(places.length, columns);
        try (Matrix source = backend.upload(x, places.length, columns)) {
            backend.scatterRows(source, places, cache);
        }
        return cache;
    }

    private float[] values(int n) {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    private static double largest(float[] x) {
        double largest = 0;
        for (float value : x) {
            largest = Math.max(largest, Math.abs(value));
        }
        return largest;
    }
}
