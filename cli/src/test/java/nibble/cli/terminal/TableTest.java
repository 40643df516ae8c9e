package nibble.cli.terminal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.junit.jupiter.api.Test;

class TableTest {
    @Test
    void columns_are_aligned_names_left_figures_right() {
        Table table = new Table(List.of("name", "size"), List.of(List.of("a", "1"), List.of("longer", "123456")));

        assertThat(table.lines())
                .containsExactly("name      size", "--------------", "a            1", "longer  123456");
    }

    @Test
    void a_row_of_another_length_is_refused() {
        assertThatThrownBy(() -> new Table(List.of("name", "size"), List.of(List.of("a"))))
                .isInstanceOf(IllegalArgumentException.class);
    }
}
