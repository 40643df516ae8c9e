package nibble.files;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class FileSizeTest {
    @ParameterizedTest
    @CsvSource({
        "10GB, 10000000000",
        "10 gb, 10000000000",
        "10GiB, 10737418240",
        "1.5KiB, 1536",
        "500M, 500000000",
        "42, 42",
        "42B, 42",
        "2TB, 2000000000000",
        "1Ti, 1099511627776"
    })
    void sizes_are_read(String text, long bytes) {
        assertThat(FileSize.parse(text)).isEqualTo(bytes);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "GB", "-1GB", "0", "1.5B", "1e9", "10 iB", "10XB", "99999999999TB", "1,5GB"})
    void other_texts_are_refused_by_name(String text) {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> FileSize.parse(text))
                .withMessageContaining("\"" + text + "\"");
    }
}
