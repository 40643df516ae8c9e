package nibble.engine.host.natives;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import nibble.engine.backend.Workers;
import nibble.engine.host.natives.CodeMatrix.Layout;
import nibble.engine.host.natives.Kernels.Range;
import nibble.pack.layout.AwqLayout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Products with codes whose sums are integers here, so that they are exact. */
class CodePanelsTest {
    private static final int ONE = 0x3c00;

    static List<Kernels> kernels() {
        List<Kernels> all = Kernels.all();
        assumeFalse(all.isEmpty(), "no native kernels here: " + Kernels.whyNone());
        return all;
    }

    /**
     * A matrix of random codes with scales of 1 or 2.
     *
     * @param weights [outputs, columns], what it stands for
     */
    private record Codes(CodeMatrix matrix, int[] weights) {
        static Codes of(Layout layout, int outputs, int groups, int size, boolean withZeros, Random random) {
            int columns = groups * size;
            int bits = layout == Layout.GPTQ_BYTES || layout == Layout.BYTES_BY_ROWS ? 8 : 4;
            int perWord = 32 / bits;
            int[] all = random.ints((long) outputs * columns, 0, 1 << bits).toArray();
            Arrays.fill(all, 0, columns, (1 << bits) - 1);
            Arrays.fill(all, columns, 2 * columns, 0);
            int[] zeros = random.ints((long) outputs * groups, 0, 1 << bits).toArray();
            if (!withZeros) {
                Arrays.fill(zeros, 1 << bits - 1);
            }
            Packed codes = new Packed(bits, outputs * columns);
            Packed packedZeros = new Packed(bits, outputs * groups);
            MemorySegment scales = Arena.global().allocate(2L * outputs * groups);
            int[] weights = new int[all.length];
            for (int n = 0; n < outputs; n++) {
                for (int g = 0; g < groups; g++) {
                    int scale = 1 + random.nextInt(2);
                    int at = layout == Layout.BY_ROWS || layout == Layout.BYTES_BY_ROWS
                            ? n * groups + g
                            : g * outputs + n;
                    scales.set(ValueLayout.JAVA_SHORT_UNALIGNED, 2L * at, (short) (ONE + (scale - 1 << 10)));
                    int zero = zeros[n * groups + g];
                    switch (layout) {
                        case AWQ -> packedZeros.put(g * outputs + n / 8 * 8 + awqNibble(n), zero);
                        case GPTQ, GPTQ_BYTES -> packedZeros.put(at, zero);
                        case BY_ROWS, BYTES_BY_ROWS ->
                            packedZeros.put(perWord * (n / perWord * groups + g) + n % perWord, zero);
                    }
                    for (int k = g * size; k < (g + 1) * size; k++) {
                        int code = all[n * columns + k];
                        weights[n * columns + k] = (code - zero) * scale;
                        switch (layout) {
                            case AWQ -> codes.put(k * outputs + n / 8 * 8 + awqNibble(n), code);
                            case GPTQ, GPTQ_BYTES ->
                                codes.put(perWord * (k / perWord * outputs + n) + k % perWord, code);
                            case BY_ROWS, BYTES_BY_ROWS -> codes.put(n * columns + k, code);
                        }
                    }
                }
            }
            CodeMatrix matrix = new CodeMatrix(
                    layout,
                    codes.data.address(),
                    withZeros ? packedZeros.data.address() : 0,
                    scales.address(),
                    false,
                    outputs,
                    groups,
                    size);
            return new Codes(matrix, weights);
        }

        private static int awqNibble(int n) {
            int nibble = 0;
            while (AwqLayout.output(nibble) != n % 8) {
                nibble++;
            }
            return nibble;
        }
    }

    /** Holds numbers of some bits, the first in the lowest. */
    private record Packed(int bits, MemorySegment data) {
        Packed(int bits, int count) {
            this(bits, Arena.global().allocate((long) count * bits / 8));
        }

        void put(int at, int value) {
            int ofByte = 8 / bits;
            byte before = data.get(ValueLayout.JAVA_BYTE, at / ofByte);
            data.set(ValueLayout.JAVA_BYTE, at / ofByte, (byte) (before | value << bits * (at % ofByte)));
        }
    }

    private static float[] integers(Random random, int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = i % 32 == 0 ? 127 : random.nextInt(-127, 128);
        }
        return values;
    }

    /** Outputs, groups, and columns of a group around those of a panel, a task and a part of the depth. */
    private static final int[][] SHAPES = {
        {8, 1, 32}, {40, 3, 96}, {72, 2, 160}, {136, 5, 64}, {168, 2, 128}, {32, 1, 512}, {264, 9, 32}
    };

    /** Both forms of activations: products and their sums are integers below 2^24. */
    @ParameterizedTest
    @MethodSource("kernels")
    void a_few_rows_give_exact_products_with_codes_of_every_layout(Kernels kernels) {
        Random random = new Random(17);
        for (Layout layout : Layout.values()) {
            for (int[] s : SHAPES) {
                Codes codes = Codes.of(layout, s[0], s[1], s[2], layout == Layout.AWQ || random.nextBoolean(), random);
                CodeMatrix matrix = codes.matrix;
                for (int m : new int[] {1, 3}) {
                    float[] x = integers(random, m * matrix.columns());
                    float[] out = new float[m * s[0] + 1];
                    Arrays.fill(out, Float.NaN);
                    try (Inputs inputs = new Inputs(x, m)) {
                        kernels.codes(
                                matrix,
                                new Range(0, s[0], 0, m),
                                CodeMatrix.Groups.all(matrix, matrix.groups()),
                                kernels.prepare(matrix, inputs),
                                MemorySegment.NULL,
                                out);
                    }
                    requireProducts(codes, x, m, out, kernels);
                }
            }
        }
    }

    private static void requireProducts(Codes codes, float[] x, int m, float[] out, Kernels kernels) {
        int n = codes.matrix.outputs();
        int k = codes.matrix.columns();
        for (int i = 0; i < m * n; i++) {
            int sum = 0;
            for (int l = 0; l < k; l++) {
                sum += (int) x[i / n * k + l] * codes.weights[i % n * k + l];
            }
            assertThat(out[i])
                    .as("%d of %s, %d rows, %s, %s", i, codes.matrix, m, kernels.name(), kernels.activations())
                    .isEqualTo(sum);
        }
        assertThat(out[m * n]).isNaN();
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void many_rows_of_bytes_give_exact_products_with_codes_of_every_layout(Kernels kernels) {
        assumeTrue(kernels.multipliesManyBytes(), "AMX or AVX2");
        Random random = new Random(11);
        ByteGemm gemm = new ByteGemm(kernels);
        try (Workers workers = new Workers(3)) {
            for (Layout layout : Layout.values()) {
                for (int[] s : SHAPES) {
                    boolean withZeros = layout == Layout.AWQ || random.nextBoolean();
                    Codes codes = Codes.of(layout, s[0], s[1], s[2], withZeros, random);
                    int n = s[0];
                    int k = codes.matrix.columns();
                    for (int m : new int[] {1, 16, 37}) {
                        float[] a = integers(random, m * k);
                        float[] c = new float[m * n + 1];
                        Arrays.fill(c, Float.NaN);

                        gemm.multiply(workers, a, m, k, List.of(new ByteGemm.Product(codes.matrix, c)));

                        requireProducts(codes, a, m, c, kernels);
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void a_row_has_the_same_bits_in_any_number_of_many_rows(Kernels kernels) {
        assumeTrue(kernels.multipliesManyBytes(), "AMX or AVX2");
        Random random = new Random(13);
        ByteGemm gemm = new ByteGemm(kernels);
        try (Workers workers = new Workers(2)) {
            for (Layout layout : Layout.values()) {
                Codes codes = Codes.of(layout, 136, 3, 96, layout != Layout.BYTES_BY_ROWS, random);
                int n = codes.matrix.outputs();
                int k = codes.matrix.columns();
                float[] a = new float[70 * k];
                for (int i = 0; i < a.length; i++) {
                    a[i] = (float) random.nextGaussian();
                }
                float[] all = new float[70 * n];
                gemm.multiply(workers, a, 70, k, List.of(new ByteGemm.Product(codes.matrix, all)));
                for (int m : new int[] {1, 17, 33}) {
                    float[] c = new float[m * n];
                    gemm.multiply(workers, a, m, k, List.of(new ByteGemm.Product(codes.matrix, c)));
                    assertThat(c).as("%d rows of %s", m, layout).isEqualTo(Arrays.copyOf(all, m * n));
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void groups_that_are_not_whole_32_columns_are_refused_before_the_call(Kernels kernels) {
        assumeTrue(kernels.multipliesManyBytes(), "AMX or AVX2");
        CodeMatrix matrix = Codes.of(Layout.GPTQ, 8, 4, 40, true, new Random(1)).matrix;
        try (Workers workers = new Workers(1)) {
            assertThatThrownBy(() -> new ByteGemm(kernels)
                            .multiply(
                                    workers,
                                    new float[160],
                                    1,
                                    160,
                                    List.of(new ByteGemm.Product(matrix, new float[8]))))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("groupSize=40")
                    .hasMessageContaining("a matrix of 160 columns in whole 32 expected");
        }
    }
}
