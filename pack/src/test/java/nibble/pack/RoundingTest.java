package nibble.pack;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.pack.layout.AwqLayout;
import nibble.pack.layout.Layout;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RoundingTest {
    private static final Path FILE = Path.of("model.safetensors");
    private static final int OUT = 16;
    private static final int IN = 256;

    private static QuantizedLinear round(float[] weights, int groupSize) {
        return Rounding.round(FILE, "w", weights, OUT, IN, new QuantizationSpec(4, groupSize), null);
    }

    private static float[] random(float scale, float shift) {
        Random random = new Random(7);
        float[] weights = new float[OUT * IN];
        for (int i = 0; i < weights.length; i++) {
            weights[i] = Half.round((float) random.nextGaussian() * scale + shift);
        }
        return weights;
    }

    private static void assertWithinHalfAStep(float[] weights, QuantizedLinear linear) {
        float[] read = linear.dequantize();
        for (int i = 0; i < weights.length; i++) {
            int row = i / IN;
            float scale = Float.float16ToFloat(linear.scales()[row * linear.groups() + (i % IN) / linear.groupSize()]);
            // Half a step, and what rounding the scale and the value to fp16 adds.
            assertThat(Math.abs(read[i] - weights[i])).as("element %d", i).isLessThanOrEqualTo(scale * 0.51f + 1e-7f);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {32, 64, 128, -1})
    void every_weight_is_within_half_a_step_and_survives_the_layout(int groupSize) {
        float[] weights = random(0.02f, 0f);
        QuantizedLinear linear = round(weights, groupSize);
        assertWithinHalfAStep(weights, linear);

        QuantizationSpec spec = new QuantizationSpec(4, groupSize);
        QuantizedLinear again = AwqLayout.unpack(AwqLayout.pack(linear), OUT, IN, spec);
        assertThat(again.codes()).isEqualTo(linear.codes());
        assertThat(again.zeros()).isEqualTo(linear.zeros());
        assertThat(again.scales()).isEqualTo(linear.scales());
        assertThat(Layout.of(QuantizedFormat.AWQ_GEMM)
                        .tensors("m", OUT, IN, spec)
                        .get(2)
                        .shape()
                        .dim(0))
                .isEqualTo(spec.groups(IN));
    }

    @Test
    void groups_of_one_sign_keep_zero_on_the_grid_and_their_top_in_reach() {
        for (float shift : new float[] {1f, -1f}) {
            float[] weights = random(0.05f, shift);
            QuantizedLinear linear = round(weights, 32);
            for (byte zero : linear.zeros()) {
                assertThat(zero).isEqualTo((byte) (shift > 0 ? 0 : 15));
            }
            assertWithinHalfAStep(weights, linear);
        }
    }

    @Test
    void constant_and_tiny_and_zero_groups_stay_finite_and_close() {
        for (float value : new float[] {0f, 0.5f, -0.5f, 65504f, -65504f, 1e-6f, 6e-8f, -3e-5f}) {
            float[] weights = new float[OUT * IN];
            Arrays.fill(weights, Half.round(value));
            QuantizedLinear linear = round(weights, 128);
            for (float read : linear.dequantize()) {
                assertThat(read).isFinite();
                // Subnormal scales come in steps of 2^-24, so fifteen of them miss the end by up to 15/2 of those.
                assertThat(Math.abs(read - weights[0])).isLessThanOrEqualTo(Math.abs(weights[0]) * 0.002f + 4.5e-7f);
            }
            for (short scale : linear.scales()) {
                assertThat(Float.float16ToFloat(scale)).isPositive().isFinite();
            }
        }
        assertThat(round(new float[OUT * IN], 128).scales()[0]).isEqualTo(Float.floatToFloat16(Half.MIN_NORMAL));
    }

    @Test
    void the_widest_fp16_group_is_still_finite() {
        float[] weights = random(1f, 0f);
        weights[0] = 65504f;
        weights[1] = -65504f;
        float[] read = round(weights, 128).dequantize();
        for (float value : read) {
            assertThat(value).isFinite();
        }
    }

    /** As GPTQModel's {@code 2 max / 15} and zero of 8, and compressed-tensors' {@code max / 7.5}. */
    @Test
    void symmetric_codes_have_one_zero_and_a_scale_of_the_largest_magnitude() {
        assertThat(Grid.symmetric(7.5f, 15)).isEqualTo(new Grid(1f, 8, 15));
        assertThat(Grid.symmetric(7.5f, 15).code(7.5f)).isEqualTo(15);
        assertThat(Grid.symmetric(7.5f, 15).code(-7.5f)).isEqualTo(0);
        assertThat(Grid.symmetric(0f, 15)).isEqualTo(new Grid(Half.MIN_NORMAL, 8, 15));
        assertThat(Grid.symmetric(1e6f, 15).isFinite()).isFalse();
        assertThat(Grid.symmetric(65504f, 15).value(0)).isGreaterThanOrEqualTo(-Half.MAX);

        QuantizationSpec spec = new QuantizationSpec(4, 32, true);
        float[] weights = random(0.05f, 0.02f);
        QuantizedLinear linear = Rounding.round(Path.of("x"), "w", weights, OUT, IN, spec, null);
        assertThat(linear.zeros()).containsOnly(8);
        for (int at = 0; at < weights.length; at += 32) {
            float largest = 0;
            for (int i = at; i < at + 32; i++) {
                largest = Math.max(largest, Math.abs(weights[i]));
            }
            assertThat(Float.float16ToFloat(linear.scales()[at / 32])).isEqualTo(Half.round(largest / 7.5f));
        }
    }

    @Test
    void halves_go_to_even() {
        Grid grid = Grid.spanning(0f, 15f, 15);
        assertThat(grid).isEqualTo(new Grid(1f, 0, 15));
        assertThat(grid.code(2.5f)).isEqualTo(2);
        assertThat(grid.code(3.5f)).isEqualTo(4);
    }

    @Test
    void nearest_is_the_value_of_the_code() {
        float[] weights = random(0.02f, 0.01f);
        float[] nearest = new float[weights.length];
        for (float limit : new float[] {Float.POSITIVE_INFINITY, 0.03f}) {
            for (QuantizationSpec spec :
                    new QuantizationSpec[] {new QuantizationSpec(4, 64), new QuantizationSpec(4, 64, true)}) {
                for (int at = 0; at < weights.length; at += 64) {
                    Grid grid = Rounding.grid(spec, weights, at, 64, limit);
                    grid.nearest(weights, at, 64, nearest, at);
                    for (int i = at; i < at + 64; i++) {
                        assertThat(nearest[i]).isEqualTo(grid.value(grid.code(weights[i])));
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @ValueSource(floats = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY})
    void a_weight_that_is_not_finite_is_named(float bad) {
        float[] weights = random(1f, 0f);
        weights[3 * IN + 70] = bad;
        assertThatThrownBy(() -> round(weights, 64))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("model.safetensors")
                .hasMessageContaining("tensor w")
                .hasMessageContaining("[3, 70]");
    }

    @Test
    void a_range_beyond_fp16_is_named() {
        float[] weights = random(1f, 0f);
        weights[5] = 2e6f;
        assertThatThrownBy(() -> round(weights, 64))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("fp16");
    }

    @Test
    void shapes_that_do_not_fit_are_refused_with_the_reason() {
        QuantizationSpec spec = new QuantizationSpec(4, 128);
        assertThatThrownBy(() -> spec.check("t", 8, 192))
                .hasMessageContaining("group size 128")
                .hasMessageContaining("t:");
        assertThatThrownBy(() -> spec.check("t", 12, 128)).hasMessageContaining("multiple of 8");
        assertThatThrownBy(() -> new QuantizationSpec(3, 128)).hasMessageContaining("bits 3");
        assertThatThrownBy(() -> new QuantizationSpec(4, 100)).hasMessageContaining("group size 100");
    }
}
