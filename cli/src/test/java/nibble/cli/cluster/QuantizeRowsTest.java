package nibble.cli.cluster;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import nibble.cli.TerminalCapture;
import nibble.cli.option.InputException;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.ExitCode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The file of {@code nibble cluster quantize} is hostile input: all of it is checked before any work. */
class QuantizeRowsTest {
    @TempDir
    Path folder;

    private Path jobs(String text) throws IOException {
        return Files.writeString(folder.resolve("jobs.json"), text);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "null                                                        | null found",
                "{'model': 'm', 'out': 'o'}                                  | a list of",
                "[{'model': 'm', 'out': 'o'}] []                             | a list of",
                "[{'model': 'm', 'out': 'o', 'device': 'cpu'}]               | device",
                "[{'model': 'm', 'model': 'n', 'out': 'o'}]                  | model",
                "[{'model': 5, 'out': 'o'}]                                  | a list of",
                "[{'model': 'm', 'out': ['o']}]                              | a list of",
                "[{'model': 'm', 'out': 'o', 'options': '--method rtn'}]     | a list of",
                "[{'model': 'm', 'out': 'o', 'options': [null]}]             | a list of",
                "[{'model': 'm', 'out': 'o', 'options': [4]}]                | a list of",
                "[{'model': 'm'}]                                            | row 0 (counted from 0) lacks model or"
                        + " out",
                "[{'model': 'm', 'out': 'o'}, null]                          | row 1 (counted from 0) lacks model or"
                        + " out",
                "[{'model': 'm', 'out': ''}]                                 | a path is expected",
                "[{'model': 'm', 'out': '/'}]                                | no folder that can be made",
                "[{'model': 'm', 'out': 'a\\u0000b'}]                        | no path",
                "[{'model': '--help', 'out': 'o'}]                           | as ./--help",
                "[{'model': '@/etc/hostname', 'out': 'o'}]                   | as ./@/etc/hostname",
                "[{'model': 'm', 'out': 'o'}, {'model': 'n', 'out': 'o'}]    | row 1 (counted from 0) has the out of"
                        + " row 0",
                "[{'model': 'm', 'out': 'o'}, {'model': 'n', 'out': 'p/../o/'}] | has the out of row 0, p/../o/",
                "[{'model': 'm', 'out': 'o/p/q'}, {'model': 'n', 'out': 'o'}] | row 0 (counted from 0) has an out"
                        + " inside that of row 1",
                "[{'model': 'm', 'out': 'o.attempt-app-1-0007-3'}]           | unfinished attempt's name",
                "[{'model': 'm', 'out': 'o', 'options': ['--bits', 'many']}] | row 0",
                "[{'model': 'm', 'out': 'o', 'options': ['another']}]        | another",
                "[{'model': 'm', 'out': 'o', 'options': ['@/etc/hostname']}] | @/etc/hostname",
                "[{'model': 'm', 'out': 'o', 'options': ['--json=/tmp/x']}]  | --json is not for rows",
                "[{'model': 'm', 'out': 'o', 'options': ['--resume']}]       | --resume is not for rows",
                "[{'model': 'm', 'out': 'o', 'options': ['--help']}]         | --help is not for rows",
            })
    void a_row_that_cannot_be_done_is_refused_and_named(String text, String said) throws IOException {
        Path file = jobs(text.replace('\'', '"'));

        assertThatThrownBy(() -> QuantizeRows.read(file))
                .isInstanceOfAny(InputException.class, UsageException.class)
                .hasMessageContaining(said);
    }

    @Test
    void a_bad_row_is_an_end_of_the_command_before_a_cluster_is_asked() throws IOException {
        Path file = jobs("[{\"model\": \"m\", \"out\": \"/\"}]");
        TerminalCapture terminal = new TerminalCapture();

        assertThat(terminal.run("cluster", "quantize", file.toString(), "--master", "spark://nowhere:1"))
                .isEqualTo(ExitCode.BAD_INPUT);
        assertThat(terminal.err()).contains(file + ": row 0").doesNotContain("cluster:", "\tat ");
    }

    @Test
    void bytes_that_are_no_text_are_refused() throws IOException {
        Path file = Files.write(folder.resolve("jobs.json"), new byte[] {'[', (byte) 0xff, ']'});

        assertThatThrownBy(() -> QuantizeRows.read(file)).hasMessageContaining("cannot be read");
    }

    @Test
    void paths_are_made_absolute_and_a_name_on_the_hub_stays_one() throws IOException {
        Files.createDirectory(folder.resolve("model"));
        String there = folder + "/./model";
        Path file = jobs(new ObjectMapper()
                .writeValueAsString(List.of(
                        new QuantizeRow(there, folder + "/./a", List.of("--method", "rtn")),
                        new QuantizeRow("org/name", "b", List.of()))));

        assertThat(QuantizeRows.read(file))
                .containsExactly(
                        new QuantizeRow(
                                folder.resolve("model").toString(),
                                folder.resolve("a").toString(),
                                List.of("--method", "rtn")),
                        new QuantizeRow(
                                "org/name", Path.of("b").toAbsolutePath().toString(), List.of()));
    }
}
