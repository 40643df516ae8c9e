package nibble.engine.host.natives;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Objects;
import java.util.Random;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.model.layer.Activation;
import nibble.engine.host.vector.Addition;
import nibble.engine.host.vector.ClampedSwiglu;
import nibble.engine.host.vector.Geglu;
import nibble.engine.host.vector.Lanes;
import nibble.engine.host.vector.PanelKernel;
import nibble.engine.host.vector.PanelKernel.Rows;
import nibble.engine.host.vector.RmsNorm;
import nibble.engine.host.vector.Rotation;
import nibble.engine.host.vector.RowSource;
import nibble.engine.host.vector.Swiglu;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The library's operations between products, and its panels, have the bits of the Vector API's. */
class ElementsTest {
    private static final int N = 16 * 21;

    private Kernels kernels;
    private Elements elements;

    @BeforeEach
    void kernelsOfTheSameLanesExist() {
        Kernels best = Kernels.ofMachine();
        assumeTrue(best != null, "no native kernels here: " + Kernels.whyNone());
        kernels = Objects.requireNonNull(best);
        int lanes = kernels.name().equals("AVX-512") ? 16 : kernels.name().equals("AVX2") ? 8 : 4;
        assumeTrue(Lanes.COUNT == lanes, "vectors of " + Lanes.COUNT + " lanes, the library's have " + lanes);
        elements = kernels.elements();
    }

    private static float[] values(long seed, int n, double spread) {
        Random random = new Random(seed);
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            values[i] = (float) (spread * random.nextGaussian());
        }
        return values;
    }

    @Test
    void norms_of_any_length() {
        for (int n : new int[] {1, 7, 8, 40, 64, N, N + 5}) {
            float[] x = values(1, 3 * n, 2);
            float[] gain = values(2, n, 1);
            float[] expected = new float[3 * n];
            float[] found = new float[3 * n];
            for (int row = 0; row < 3; row++) {
                RmsNorm.row(x, row * n, n, gain, 1e-5, expected);
            }
            elements.norm(x, 0, 3, gain, 1e-5, found);
            assertThat(found).as("%d elements", n).isEqualTo(expected);
        }
    }

    @Test
    void heads_turn_by_whole_vectors_and_singly() {
        for (int half : new int[] {1, 8, 13, 32}) {
            int d = 2 * half + 3;
            float[] x = values(3, 4 * d, 1);
            float[] expected = x.clone();
            float[] cos = values(4, 5 * half, 1);
            float[] sin = values(5, 5 * half, 1);
            for (int head = 0; head < 4; head++) {
                Rotation.head(expected, head * d, half, cos, sin, 3 * half);
            }
            elements.turn(x, 0, 4 * d, d, half, cos, sin, 3 * half);
            assertThat(x).as("%d pairs", half).isEqualTo(expected);
        }
    }

    @ParameterizedTest
    @EnumSource
    void gates_of_numbers_of_any_size(Activation activation) {
        float[] gate = values(6, N, 30);
        gate[0] = 1e4f;
        gate[1] = -1e4f;
        gate[2] = Float.NaN;
        gate[3] = Float.NEGATIVE_INFINITY;
        gate[4] = -0f;
        float[] up = values(7, N, 5);
        float[] expected = new float[N];
        switch (activation) {
            case SILU -> Swiglu.run(gate, up, expected, 0, N);
            case GELU_TANH -> Geglu.run(gate, up, expected, 0, N);
            case CLAMPED_SWIGLU -> ClampedSwiglu.run(gate, up, expected, 0, N);
        }
        float[] found = new float[N];
        elements.gate(activation, gate, up, found, 0, N);
        assertThat(found).isEqualTo(expected);

        // What is left over of a run has another exp here, and a library's there.
        float[] few = new float[N];
        elements.gate(activation, gate, up, few, 16, 21);
        assertThat(few[15]).isZero();
        assertThat(few[21]).isZero();
        for (int i = 16; i < 21; i++) {
            assertThat(few[i]).isCloseTo(expected[i], within(1e-6f * Math.abs(expected[i])));
        }
    }

    @Test
    void sums_of_any_length() {
        float[] x = values(8, N + 3, 1);
        float[] expected = values(9, N + 3, 1);
        float[] found = expected.clone();
        Addition.run(x, 2, expected, 1, N + 1);
        elements.add(x, 2, found, 1, N + 1);
        assertThat(found).isEqualTo(expected);
    }

    @Test
    void products_with_a_panel_for_any_number_of_rows() {
        PanelKernel panels = kernels.panels();
        for (int rows = 1; rows <= 17; rows++) {
            for (boolean accumulate : new boolean[] {false, true}) {
                int depth = 37;
                float[] a = values(rows, rows * (depth + 2) + 5, 1);
                float[] b = values(100 + rows, depth * PanelKernel.COLUMNS + 3, 1);
                float[] expected = values(200 + rows, rows * 50 + 9, 1);
                float[] found = expected.clone();
                PanelKernel.vectors()
                        .multiply(rows, new Rows(a, 5, depth + 2), b, 3, depth, new Rows(expected, 9, 50), accumulate);
                panels.multiply(rows, new Rows(a, 5, depth + 2), b, 3, depth, new Rows(found, 9, 50), accumulate);
                assertThat(found).as("%d rows", rows).isEqualTo(expected);
            }
        }
        assertThatThrownBy(() -> panels.multiply(
                        2, new Rows(new float[9], 0, 8), new float[256], 0, 8, new Rows(new float[64], 0, 32), false))
                .isInstanceOf(IndexOutOfBoundsException.class);
        assertThatThrownBy(() -> panels.multiply(
                        2, new Rows(new float[16], 0, 8), new float[256], 0, 8, new Rows(new float[63], 0, 32), false))
                .isInstanceOf(IndexOutOfBoundsException.class);
    }

    @Test
    void softmax_in_steps_shrinks_what_came_before() {
        float[] state = {Float.NEGATIVE_INFINITY, 0};
        float[] expectedState = state.clone();
        float[] sums = values(10, 64, 1);
        float[] expectedSums = sums.clone();
        for (int chunk = 0; chunk < 4; chunk++) {
            float[] scores = values(20 + chunk, 48, 3 * (chunk + 1));
            scores[5] = Float.NEGATIVE_INFINITY;
            float[] expected = scores.clone();
            PanelKernel.vectors().soften(expected, 16, 32, expectedState, 0, expectedSums, 0, 64);
            kernels.panels().soften(scores, 16, 32, state, 0, sums, 0, 64);
            assertThat(scores).isEqualTo(expected);
            assertThat(state).isEqualTo(expectedState);
            assertThat(sums).isEqualTo(expectedSums);
        }
        assertThat(state[1]).isGreaterThan(1);
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "F16", "BF16"})
    void rows_of_plain_numbers_side_by_side(GgufType type) {
        int columns = 75;
        int headDim = 16;
        MemorySegment data = Arena.ofAuto().allocate(type.bytes(64L * columns), 64);
        byte[] bytes = new byte[(int) data.byteSize()];
        new Random(11).nextBytes(bytes);
        data.copyFrom(MemorySegment.ofArray(bytes));
        for (int head : new int[] {0, headDim}) {
            GgufBlocks blocks = new GgufBlocks(type, data, 64, columns, head);
            RowSource rows = (row, column, count, into, offset) -> {
                for (int i = 0; i < count; i++) {
                    into[offset + i] = number(blocks, row, column + i);
                }
            };
            for (int count : new int[] {1, 8, 13, 32}) {
                float[] expected = new float[70 * 32 + 2];
                float[] found = values(12, expected.length, 1);
                System.arraycopy(found, 0, expected, 0, 2);
                rows.fill(7, count, 5, 70, expected, 2);
                kernels.fill(blocks, 7, count, 5, 70, found, 2);
                assertThat(found).as("%d rows", count).isEqualTo(expected);
            }
        }
    }

    private static float number(GgufBlocks blocks, int row, int column) {
        long at = blocks.offset(row);
        return switch (blocks.type()) {
            case F32 -> blocks.data().get(ValueLayout.JAVA_FLOAT_UNALIGNED, at + 4L * column);
            case F16 -> Float.float16ToFloat(half(blocks, at + 2L * column));
            default -> Float.intBitsToFloat(half(blocks, at + 2L * column) << 16);
        };
    }

    private static short half(GgufBlocks blocks, long at) {
        return blocks.data().get(ValueLayout.JAVA_SHORT_UNALIGNED, at);
    }
}
