package nibble.convert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.tensor.DType;
import nibble.convert.CheckpointConverter.Target;
import nibble.files.output.OutputException;
import nibble.files.output.StopSignal;
import nibble.files.output.StoppedException;
import nibble.files.output.UnfinishedOutput;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Outputs end whole, and leave nothing, where deleted files that are open stay in their folders: on NFS. */
class OutputOnNfsTest {
    @TempDir
    private Path temp;

    private final SillyRenames nfs = new SillyRenames();

    private Path out() {
        return nfs.of(temp).resolve("made/out");
    }

    @Test
    void a_deleted_file_that_is_open_keeps_its_folder() throws IOException {
        Path folder = Files.createDirectory(nfs.of(temp).resolve("folder"));
        try (var _ =
                Files.newByteChannel(folder.resolve("file"), StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            Files.delete(folder.resolve("file"));
            assertThatThrownBy(() -> Files.delete(folder)).isInstanceOf(DirectoryNotEmptyException.class);
        }
        Files.delete(folder);
        assertThat(temp).isEmptyDirectory();
    }

    @Test
    void an_output_gets_its_name_and_the_rest_goes() throws IOException {
        try (UnfinishedOutput output = UnfinishedOutput.open(out(), false)) {
            Files.writeString(output.path().resolve("weights"), "1");
            Files.writeString(output.journal(), "");
            output.commit();
        }

        assertThat(temp.resolve("made").toFile().list()).containsExactly("out");
        assertThat(temp.resolve("made/out").toFile().list()).containsExactly("weights");
    }

    @Test
    void an_output_is_tried_and_discarded_and_leaves_nothing() throws IOException {
        UnfinishedOutput.require(out(), false);
        assertThat(temp).isEmptyDirectory();

        UnfinishedOutput output = UnfinishedOutput.open(out(), false);
        Files.writeString(output.path().resolve("weights"), "1");
        output.discard();

        assertThat(temp).isEmptyDirectory();
    }

    @Test
    void the_rest_of_a_finished_run_goes() throws IOException {
        UnfinishedOutput output = UnfinishedOutput.open(out(), false);
        Files.move(output.path(), out());
        Files.writeString(out().resolve("weights"), "1");
        output.close();

        assertThat(UnfinishedOutput.removeRestOfFinished(out())).isTrue();

        assertThat(temp.resolve("made").toFile().list()).containsExactly("out");
    }

    @Test
    void a_conversion_that_is_stopped_and_resumed_leaves_only_its_output() throws IOException {
        Target target = new Target.Safetensors(Optional.of(DType.BF16));
        StopSignal stop = new StopSignal();
        try (Checkpoint source = Checkpoint.open(BundledModel.FOLDER)) {
            assertThatThrownBy(() -> CheckpointConverter.convert(
                            source, target, new ConversionOptions(out(), 4_000_000, 1, false, stop, _ -> {}, done -> {
                                if (done > 0.5) {
                                    stop.raise();
                                }
                            })))
                    .isInstanceOf(StoppedException.class);
            assertThatThrownBy(() -> UnfinishedOutput.open(out(), false)).isInstanceOf(OutputException.class);
            CheckpointConverter.convert(
                    source,
                    target,
                    new ConversionOptions(out(), 4_000_000, 1, true, new StopSignal(), _ -> {}, _ -> {}));
        }

        assertThat(temp.resolve("made").toFile().list()).containsExactly("out");
        assertThat(temp.resolve("made/out").toFile().list()).contains("config.json");
    }
}
