package nibble.engine.attention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import nibble.checkpoint.model.layer.Rope;
import org.junit.jupiter.api.Test;

class RotaryTableTest {
    @Test
    void plain_frequencies_are_powers_of_theta() {
        double[] f = RotaryTable.frequencies(new Rope(10000, new Rope.None()), 8, 100, 50);
        assertThat(f).containsExactly(new double[] {1, 0.1, 0.01, 0.001}, within(1e-15));
    }

    @Test
    void linear_scaling_divides_them() {
        double[] f = RotaryTable.frequencies(new Rope(10000, new Rope.Linear(4)), 8, 100, 50);
        assertThat(f).containsExactly(new double[] {0.25, 0.025, 0.0025, 0.00025}, within(1e-15));
    }

    @Test
    void dynamic_ntk_raises_the_base_only_beyond_the_trained_length() {
        Rope rope = new Rope(10000, new Rope.DynamicNtk(2));
        assertThat(RotaryTable.frequencies(rope, 8, 100, 100)[1]).isCloseTo(0.1, within(1e-15));
        // base = 10000 * (2 * 200 / 100 - 1)^(8 / 6)
        double base = 10000 * Math.pow(3, 8.0 / 6);
        assertThat(RotaryTable.frequencies(rope, 8, 100, 200)[1]).isCloseTo(Math.pow(base, -0.25), within(1e-15));
    }

    @Test
    void llama3_keeps_short_wavelengths_and_stretches_long_ones() {
        Rope rope = new Rope(500000, new Rope.Llama3(8, 1, 4, 8192));
        double[] f = RotaryTable.frequencies(rope, 128, 131072, 10);
        double[] plain = RotaryTable.frequencies(new Rope(500000, new Rope.None()), 128, 131072, 10);
        assertThat(f[0]).isEqualTo(1);
        assertThat(f[28]).isEqualTo(plain[28]); // wavelength 1956 < 8192 / 4
        assertThat(f[63]).isCloseTo(plain[63] / 8, within(1e-20)); // wavelength 2.6 million > 8192
        double wavelength = 2 * Math.PI / plain[32]; // 4443, between
        double smooth = (8192 / wavelength - 1) / 3;
        assertThat(f[32]).isCloseTo((1 - smooth) * plain[32] / 8 + smooth * plain[32], within(1e-18));
    }
}
