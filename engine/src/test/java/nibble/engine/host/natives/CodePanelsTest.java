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
import nibble.pack.layout.AwqLayout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Products of many rows in bytes with codes, whose sums are integers here, so that they are exact. */
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
            int[] nibbles = random.ints((long) outputs * columns, 0, 16).toArray();
            Arrays.fill(nibbles, 0, columns, 15);
            int[] zeros = random.ints((long) outputs * groups, 0, 16).toArray();
            if (!withZeros) {
                Arrays.fill(zeros, 8);
            }
            MemorySegment codes = Arena.global().allocate((long) outputs * columns / 2);
            MemorySegment packedZeros = Arena.global().allocate((long) outputs * groups / 2);
            MemorySegment scales = Arena.global().allocate(2L * outputs * groups);
            int[] weights = new int[nibbles.length];
            for (int n = 0; n < outputs; n++) {
                for (int g = 0; g < groups; g++) {
                    int scale = 1 + random.nextInt(2);
                    long at = layout == Layout.BY_ROWS ? (long) n * groups + g : (long) g * outputs + n;
                    scales.set(ValueLayout.JAVA_SHORT_UNALIGNED, 2 * at, (short) (ONE + (scale - 1 << 10)));
                    int zero = zeros[n * groups + g];
                    switch (layout) {
                        case AWQ -> put(packedZeros, (long) g * outputs + n / 8 * 8 + awqNibble(n), zero);
                        case GPTQ -> put(packedZeros, (long) g * outputs + n, zero);
                        case BY_ROWS -> put(packedZeros, 8L * (n / 8 * groups + g) + n % 8, zero);
                    }
                    for (int k = g * size; k < (g + 1) * size; k++) {
                        int code = nibbles[n * columns + k];
                        weights[n * columns + k] = (code - zero) * scale;
                        switch (layout) {
                            case AWQ -> put(codes, (long) k * outputs + n / 8 * 8 + awqNibble(n), code);
                            case GPTQ -> put(codes, 8 * ((long) (k / 8) * outputs + n) + k % 8, code);
                            case BY_ROWS -> put(codes, (long) n * columns + k, code);
                        }
                    }
                }
            }
            CodeMatrix matrix = new CodeMatrix(
                    layout,
                    codes.address(),
                    withZeros ? packedZeros.address() : 0,
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

        private static void put(MemorySegment to, long nibble, int value) {
            byte before = to.get(ValueLayout.JAVA_BYTE, nibble / 2);
            to.set(ValueLayout.JAVA_BYTE, nibble / 2, (byte) (before | value << 4 * (nibble % 2)));
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

    @ParameterizedTest
    @MethodSource("kernels")
    void codes_of_every_layout_give_exact_products_and_touch_nothing_else(Kernels kernels) {
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

                        for (int i = 0; i < m * n; i++) {
                            int sum = 0;
                            for (int l = 0; l < k; l++) {
                                sum += (int) a[i / n * k + l] * codes.weights[i % n * k + l];
                            }
                            assertThat(c[i])
                                    .as("%d of %s, %d rows, %s", i, codes.matrix, m, kernels.name())
                                    .isEqualTo(sum);
                        }
                        assertThat(c[m * n]).isNaN();
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
                Codes codes = Codes.of(layout, 136, 3, 96, true, random);
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
