package nibble.calibrate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import nibble.calibrate.job.QuantizationReport;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import nibble.pack.Rounding;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class UsualErrorTest {
    @ParameterizedTest
    @CsvSource({"32, 0.0513", "64, 0.0616", "128, 0.0719", "4096, 0.1232"})
    void the_bound_is_five_times_the_derived_size(int group, double expected) {
        assertThat(UsualError.bound(4, group)).isCloseTo(expected, within(5e-5));
    }

    /** The derivation's size is above what rounding really takes of normally distributed weights, by half at most. */
    @ParameterizedTest
    @CsvSource({"32", "64", "128", "-1"})
    void rounding_takes_less_of_normally_distributed_weights_than_the_derived_size(int groupSize) {
        int columns = 4096;
        int rows = 16;
        Random random = new Random(5);
        float[] weights = new float[rows * columns];
        for (int i = 0; i < weights.length; i++) {
            weights[i] = (float) random.nextGaussian();
        }
        QuantizedLinear rounded = Rounding.round(
                java.nio.file.Path.of("memory"), "w", weights, rows, columns, new QuantizationSpec(4, groupSize), null);
        double lost = 0;
        double all = 0;
        float[] row = new float[columns];
        for (int r = 0; r < rows; r++) {
            rounded.dequantize(r, row, 0);
            for (int c = 0; c < columns; c++) {
                double weight = weights[r * columns + c];
                lost += (row[c] - weight) * (row[c] - weight);
                all += weight * weight;
            }
        }
        double derived = UsualError.bound(4, groupSize < 0 ? columns : groupSize) / UsualError.MOST_TIMES;
        assertThat(lost / all).isBetween(derived / 2, derived);
    }

    @Test
    void only_linears_above_the_bound_are_named_and_not_a_number_is_above() {
        QuantizationReport.Layer layer = new QuantizationReport.Layer(
                0,
                java.util.List.of(linear("good", 0.071), linear("bad", 0.42), linear("worse", Double.NaN)),
                java.util.List.of());
        assertThat(UsualError.warnings(layer, 4, 128))
                .hasSize(2)
                .satisfiesExactly(
                        text -> assertThat(text).contains("bad: rounding loses 42.00 %", "7.2 %", "range of fp16"),
                        text -> assertThat(text).contains("worse"));
    }

    private static QuantizationReport.Linear linear(String name, double error) {
        return new QuantizationReport.Linear(name, 8, 256, null, null, error, 0, 1, null);
    }
}
