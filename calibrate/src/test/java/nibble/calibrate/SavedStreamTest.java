package nibble.calibrate;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import nibble.calibrate.job.Method;
import nibble.calibrate.job.ProgressListener;
import nibble.calibrate.job.QuantizationJob;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.job.QuantizeOptions;
import nibble.calibrate.journal.FinishedLayer;
import nibble.calibrate.journal.LayerJournal;
import nibble.calibrate.stream.StreamFile;
import nibble.checkpoint.Checkpoint;
import nibble.convert.RandomCheckpoint;
import nibble.datasets.TokenBlocks;
import nibble.engine.Backends;
import nibble.engine.backend.Backend;
import nibble.engine.backend.QuantizationDevices;
import nibble.files.output.StopSignal;
import nibble.pack.QuantizationSpec;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SavedStreamTest {
    @TempDir
    Path temp;

    /** Keeps reports, and the stream into layer 1 in a file. */
    private final class Memory implements LayerJournal {
        private final List<Durable> durable = new ArrayList<>();
        private Optional<SavedStream> stream = Optional.empty();

        @Override
        public List<Durable> durable() {
            return List.copyOf(durable);
        }

        @Override
        public void append(FinishedLayer layer) {
            durable.add(new Durable(layer.layer(), layer.sourceSha256(), layer.report()));
        }

        @Override
        public Optional<SavedStream> savedStream() {
            return stream;
        }

        @Override
        public Optional<Path> fileForStream(int layer, long bytes, double forwardSeconds) {
            assertThat(bytes).isEqualTo(3 * 16 * 64 * Float.BYTES);
            return Optional.of(temp.resolve("stream"));
        }

        @Override
        public void streamSaved(SavedStream saved) {
            assertThat(durable).as("durable when the stream is saved").hasSize(saved.layer());
            stream = Optional.of(saved);
        }
    }

    private QuantizationReport run(Checkpoint source, LayerJournal journal, List<Integer> forwarded) {
        Random random = new Random(5);
        int[][] blocks = new int[3][16];
        for (int[] block : blocks) {
            for (int i = 0; i < block.length; i++) {
                block[i] = random.nextInt(48);
            }
        }
        QuantizeOptions options = new QuantizeOptions(Method.AWQ, new QuantizationSpec(4, 32), 1_000_000, 1);
        try (Backend backend = Backends.open("cpu", 1)) {
            return Quantizer.run(
                    new QuantizationJob(source, Optional.of(new TokenBlocks(blocks, 48, "random ids")), options),
                    QuantizationDevices.of(backend),
                    (_, _) -> List.of(),
                    journal,
                    new ProgressListener() {
                        @Override
                        public void stageStarted(int layer, Stage stage) {
                            if (stage == Stage.FORWARD && !forwarded.contains(layer)) {
                                forwarded.add(layer);
                            }
                        }
                    },
                    new StopSignal());
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void a_run_goes_on_from_the_stream_or_if_that_is_damaged_from_the_embeddings(boolean damaged) throws IOException {
        try (Checkpoint source = RandomCheckpoint.open(temp.resolve("in"))) {
            Memory journal = new Memory();
            List<Integer> forwarded = new ArrayList<>();
            QuantizationReport whole = run(source, journal, forwarded);
            assertThat(forwarded).containsExactly(0, 1);
            assertThat(journal.stream).isPresent();
            assertThat(Files.size(temp.resolve("stream"))).isEqualTo(3 * 16 * 64 * Float.BYTES);
            if (damaged) {
                byte[] bytes = Files.readAllBytes(temp.resolve("stream"));
                bytes[bytes.length / 2] ^= 1;
                Files.write(temp.resolve("stream"), bytes);
            }

            journal.durable.removeLast();
            forwarded.clear();
            QuantizationReport resumed = run(source, journal, forwarded);
            assertThat(resumed.layers()).isEqualTo(whole.layers());
            if (damaged) {
                assertThat(forwarded).containsExactly(0, 1);
            } else {
                assertThat(forwarded).containsExactly(1);
            }
        }
    }

    @Test
    void a_lost_file_is_no_stream() throws IOException {
        assertThat(StreamFile.read(temp.resolve("absent"), new int[] {4}, 8, "", (_, _) -> {}))
                .isFalse();
    }
}
