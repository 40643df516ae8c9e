package nibble.cli.terminal;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class FiguresTest {
    @Test
    void bytes_are_in_decimal_units() {
        assertThat(Figures.bytes(999)).isEqualTo("999 B");
        assertThat(Figures.bytes(1000)).isEqualTo("1.00 kB");
        assertThat(Figures.bytes(36_609_999_999L)).isEqualTo("36.61 GB");
    }

    @Test
    void durations_are_in_the_unit_one_would_say() {
        assertThat(Figures.duration(0.4242)).isEqualTo("0.42 s");
        assertThat(Figures.duration(59.4)).isEqualTo("59 s");
        assertThat(Figures.duration(425)).isEqualTo("7 min 05 s");
        assertThat(Figures.duration(12_000)).isEqualTo("3 h 20 min");
    }
}
