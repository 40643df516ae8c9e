package nibble.datasets.evaluation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import nibble.datasets.BadDatasetException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The values are those of the library datasets 4.4 for the same files. */
class CsvRowsTest {
    private static List<String> rows(String text) {
        return CsvRows.of("file.csv", text).stream()
                .map(row -> row.value().toString())
                .toList();
    }

    @Test
    void columns_have_the_types_of_all_their_values() {
        String text = """
            q,n,f,b,e,m,z
            "a, ""b""
            c",1,1.5,True,,1,NA
            d,2,2,False,x,,007

            " e ",-3,1e3,True,"",2,n/a
            """;
        assertThat(rows(text))
                .containsExactly(
                        "{\"q\":\"a, \\\"b\\\"\\nc\",\"n\":1,\"f\":1.5,\"b\":true,\"e\":null,\"m\":1.0,\"z\":null}",
                        "{\"q\":\"d\",\"n\":2,\"f\":2.0,\"b\":false,\"e\":\"x\",\"m\":null,\"z\":7.0}",
                        "{\"q\":\" e \",\"n\":-3,\"f\":1000.0,\"b\":true,\"e\":null,\"m\":2.0,\"z\":null}");
        assertThat(rows(text.replace("\n", "\r\n").replace("\r\nc", "\nc"))).isEqualTo(rows(text));
    }

    @Test
    void a_short_line_lacks_values() {
        assertThat(rows("a,b\n1\n")).containsExactly("{\"a\":1,\"b\":null}");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = ';',
            value = {"'a,b\n1,2,3\n'; row 0: 3 fields, expected 2", "'a,b\n\"1,2\n'; not a CSV file", "'a,b\n'; no rows"
            })
    void what_is_no_table_is_refused(String text, String words) {
        assertThatThrownBy(() -> rows(text))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("file.csv")
                .hasMessageContaining(words);
    }
}
