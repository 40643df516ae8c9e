package nibble.cli.cluster;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import nibble.cli.SmallModel;
import nibble.cli.TerminalCapture;
import nibble.cli.option.UsageException;
import nibble.cluster.quantize.TaskFolder;
import nibble.cluster.spark.TaskPlace;
import nibble.files.digest.Sha256;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A row of the file of {@code nibble cluster quantize}, as an executor does it. */
class QuantizeRowTest {
    private static final TaskPlace PLACE = new TaskPlace("app-7", 1, -1);

    @TempDir
    Path folder;

    private QuantizeRow.Ended run(Path model) {
        return new QuantizeRow.Task("auto").run(row(model, "--method", "rtn"), PLACE);
    }

    private QuantizeRow row(Path model, String... options) {
        return new QuantizeRow(model.toString(), folder.resolve("out").toString(), List.of(options));
    }

    private Stream<String> found() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).toList().stream();
        }
    }

    @Test
    void its_folder_appears_whole_and_is_left_as_it_is_afterwards() throws Exception {
        Path model = SmallModel.ofLayers(folder.resolve("model"), 1, 128);

        assertThat(run(model)).isEqualTo(new QuantizeRow.Ended(false, "done"));

        assertThat(found()).containsExactlyInAnyOrder("model", "out");
        assertThat(folder.resolve("out/config.json")).exists();
        assertThat(run(folder.resolve("absent")).said()).isEqualTo("was there already");
    }

    @ParameterizedTest
    @ValueSource(strings = {"--method rtn", "--method awq --samples 2 --seq-len 64 --format gptq"})
    void its_bytes_are_those_of_the_command_and_of_a_second_attempt(String given) throws Exception {
        Path model = SmallModel.ofLayers(folder.resolve("model"), 1, 128);
        String[] options = given.split(" ");
        TerminalCapture terminal = new TerminalCapture();
        Path alone = folder.resolve("alone");
        assertThat(terminal.run(Stream.concat(
                                Stream.of("quantize", model.toString(), alone.toString(), "--device=cpu"),
                                Stream.of(options))
                        .toArray(String[]::new)))
                .as(terminal.err())
                .isZero();

        QuantizeRow row = row(model, options);
        try (TaskFolder second = TaskFolder.of(Path.of(row.out()), "app-8")) {
            QuantizeRow elsewhere = new QuantizeRow(row.model(), second.path().toString(), row.options());
            assertThat(new QuantizeRow.Task("auto").run(elsewhere, PLACE).failed())
                    .isFalse();
            assertThat(new QuantizeRow.Task("auto").run(row, PLACE).failed()).isFalse();
            second.commit();
        }

        assertThat(hashes(folder.resolve("out"))).isEqualTo(hashes(alone)).hasSizeGreaterThan(4);
        assertThat(found()).containsExactlyInAnyOrder("model", "alone", "out");
    }

    private static Map<String, String> hashes(Path of) throws IOException {
        Map<String, String> hashes = new TreeMap<>();
        try (Stream<Path> files = Files.list(of)) {
            for (Path file : files.toList()) {
                hashes.put(file.getFileName().toString(), Sha256.of(file));
            }
        }
        return hashes;
    }

    @Test
    void a_model_that_cannot_be_read_is_an_end_that_says_why_and_leaves_nothing() throws Exception {
        QuantizeRow.Ended ended = run(folder.resolve("absent"));

        assertThat(ended.failed()).isTrue();
        assertThat(ended.said()).contains("absent");
        assertThat(found()).isEmpty();
    }

    @Test
    void options_that_the_command_rejects_are_rejected_before_any_work() {
        assertThatThrownBy(() -> row(folder, "--bits", "many").check(3))
                .isInstanceOf(UsageException.class)
                .hasMessageContaining("row 3");
    }
}
