package nibble.cli.cluster;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import nibble.cli.SmallModel;
import nibble.cli.option.UsageException;
import nibble.cluster.spark.TaskPlace;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

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
        Path model = SmallModel.ofLayers(folder.resolve("model"), 1);

        assertThat(run(model)).isEqualTo(new QuantizeRow.Ended(false, "done"));

        assertThat(found()).containsExactlyInAnyOrder("model", "out");
        assertThat(folder.resolve("out/config.json")).exists();
        assertThat(run(folder.resolve("absent")).said()).isEqualTo("was there already");
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
