package nibble.engine.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import nibble.checkpoint.gguf.GgufType;
import nibble.engine.RandomModel;
import nibble.engine.backend.Backend;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.QuantizedWeight;
import nibble.engine.tensor.Weight;
import nibble.engine.tensor.WeightRows;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Products of several rows with quantized weights on a card: what a sequence in a batch is computed with. */
@Tag("gpu")
class CudaBatchRowsTest {
    private static final int ALL = 64;

    private final Random random = new Random(7);

    @BeforeEach
    void card() {
        String missing = CudaBackend.missing();
        Assumptions.assumeTrue(missing.isEmpty(), missing);
    }

    /** Shapes that several blocks share the columns of, rows and columns that fill no tile and no unit. */
    static Stream<Weight> weights() {
        Random random = new Random(3);
        return Stream.of(
                quantized(random, 1096, 2080, 32),
                quantized(random, 264, 4096, 128),
                quantized(random, 520, 1056, -1),
                quantized(random, 1096, 2048, 32),
                quantized(random, 88, 768, -1),
                RandomModel.blocks(random, GgufType.Q4_0, 520, 1056, 0),
                RandomModel.blocks(random, GgufType.Q8_0, 1096, 2080, 0),
                RandomModel.blocks(random, GgufType.Q4_K, 264, 4096, 0),
                RandomModel.blocks(random, GgufType.Q6_K, 1096, 2048, 0),
                RandomModel.blocks(random, GgufType.IQ4_XS, 264, 2048, 0));
    }

    @ParameterizedTest
    @MethodSource("weights")
    void a_row_has_the_same_bits_whatever_rows_are_beside_it(Weight weight) {
        int in = weight.inFeatures();
        float[] x = values(ALL * in);
        try (CudaBackend backend = CudaBackend.open(0, Long.MAX_VALUE, 2)) {
            float[] all = product(backend, weight, x);
            for (int rows : new int[] {2, 5, 8, 9, 16, 17, 31, 40, 63}) {
                for (int from : List.of(0, ALL - rows)) {
                    float[] some = product(backend, weight, Arrays.copyOfRange(x, from * in, (from + rows) * in));
                    int out = weight.outFeatures();
                    assertThat(some)
                            .as("%d rows from %d on", rows, from)
                            .isEqualTo(Arrays.copyOfRange(all, from * out, (from + rows) * out));
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("weights")
    void a_product_has_the_same_bits_each_time(Weight weight) {
        float[] x = values(ALL * weight.inFeatures());
        try (CudaBackend backend = CudaBackend.open(0, Long.MAX_VALUE, 2)) {
            float[] first = product(backend, weight, x);
            for (int i = 0; i < 20; i++) {
                assertThat(product(backend, weight, x)).isEqualTo(first);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("weights")
    void a_product_is_that_of_the_weights(Weight weight) {
        int in = weight.inFeatures();
        int rows = 19;
        float[] x = values(rows * in);
        float[] w = new float[in];
        try (CudaBackend backend = CudaBackend.open(0, Long.MAX_VALUE, 2)) {
            float[] found = product(backend, weight, x);
            for (int n = 0; n < weight.outFeatures(); n++) {
                WeightRows.read(weight, n, 0, in, w, 0);
                for (int row = 0; row < rows; row++) {
                    requireNear(found[row * weight.outFeatures() + n], x, row * in, w);
                }
            }
        }
    }

    /** More rows than a launch takes; a matrix that is cut in larger pieces for them. */
    @ParameterizedTest
    @CsvSource({"1096, 2080, 32", "1096, 2048, 64", "10768, 8192, 128"})
    void products_of_more_than_64_rows_are_those_of_the_weights(int out, int in, int groupSize) {
        Weight weight = quantized(random, out, in, groupSize);
        int most = 300;
        float[] x = values(most * in);
        float[] w = new float[in];
        try (CudaBackend backend = CudaBackend.open(0, Long.MAX_VALUE, 2)) {
            for (int rows : new int[] {65, 128, 130, 192, 257, most}) {
                float[] found = product(backend, weight, Arrays.copyOf(x, rows * in));
                for (int n = rows % 7; n < out; n += out / 20) {
                    WeightRows.read(weight, n, 0, in, w, 0);
                    for (int row = 0; row < rows; row++) {
                        requireNear(found[row * out + n], x, row * in, w);
                    }
                }
            }
        }
    }

    /** Outputs are fp16, weights of 4 bits too; sums are fp32. */
    private static void requireNear(float found, float[] x, int at, float[] w) {
        double sum = 0;
        double size = 0;
        for (int k = 0; k < w.length; k++) {
            sum += (double) x[at + k] * w[k];
            size += Math.abs((double) x[at + k] * w[k]);
        }
        double bound = 0x1p-11 * Math.abs(sum) + (0x1p-11 + (w.length + 3) * 0x1p-24) * size / 4 + 1e-6;
        assertThat(Math.abs(found - sum)).isLessThan(bound);
    }

    /** A large vocabulary: more tiles than there are tickets, and fewer chunks. */
    @Test
    void a_head_of_more_tiles_than_tickets_is_multiplied_as_any_other() {
        int out = 8193 * 16;
        QuantizedWeight weight = (QuantizedWeight) quantized(random, out, 64, 32);
        float[] w = weight.linear().dequantize();
        float[] x = values(3 * 64);
        try (CudaBackend backend = CudaBackend.open(0, Long.MAX_VALUE, 2)) {
            float[] found = product(backend, weight, x);
            float worst = 0;
            for (int i = 0; i < found.length; i++) {
                float sum = 0;
                for (int k = 0; k < 64; k++) {
                    sum += x[i / out * 64 + k] * w[i % out * 64 + k];
                }
                worst = Math.max(worst, Math.abs(found[i] - sum) / Math.max(1, Math.abs(sum)));
            }
            assertThat(worst).isLessThan(0.001f);
            assertThat(product(backend, weight, Arrays.copyOf(x, 2 * 64))).isEqualTo(Arrays.copyOf(found, 2 * out));
        }
    }

    private static float[] product(Backend backend, Weight weight, float[] x) {
        int rows = x.length / weight.inFeatures();
        float[] nothing = new float[rows * weight.outFeatures()];
        Arrays.fill(nothing, Float.NaN);
        try (Matrix in = backend.upload(x, rows, weight.inFeatures());
                Matrix out = backend.upload(nothing, rows, weight.outFeatures())) {
            backend.linear(weight, in, out);
            float[] values = backend.download(out);
            assertThat(IntStream.range(0, values.length).filter(i -> !Float.isFinite(values[i])))
                    .as("places of %d rows that are not finite", rows)
                    .isEmpty();
            return values;
        }
    }

    private float[] values(int n) {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            values[i] = Float.float16ToFloat(Float.floatToFloat16((float) random.nextGaussian()));
        }
        return values;
    }

    private static Weight quantized(Random random, int out, int in, int groupSize) {
        QuantizationSpec spec = new QuantizationSpec(4, groupSize);
        byte[] codes = new byte[out * in / 2];
        random.nextBytes(codes);
        byte[] zeros = new byte[out * spec.groups(in)];
        short[] scales = new short[zeros.length];
        for (int i = 0; i < zeros.length; i++) {
            zeros[i] = (byte) random.nextInt(16);
            scales[i] = Float.floatToFloat16(0.002f + random.nextFloat() / 64);
        }
        return new QuantizedWeight(new QuantizedLinear(out, in, spec, codes, zeros, scales));
    }
}
