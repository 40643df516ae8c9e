package nibble.calibrate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import nibble.calibrate.job.Method;
import nibble.calibrate.job.ProgressListener;
import nibble.calibrate.job.QuantizationJob;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.job.QuantizeOptions;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.convert.TinyCheckpoint;
import nibble.datasets.TokenBlocks;
import nibble.engine.Backends;
import nibble.engine.backend.Backend;
import nibble.engine.backend.QuantizationDevices;
import nibble.files.output.OutputException;
import nibble.files.output.ResumeException;
import nibble.files.output.StopSignal;
import nibble.files.output.StoppedException;
import nibble.files.output.UnfinishedOutput;
import nibble.pack.QuantizationSpec;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Runs that end early, with whatever a crash leaves, and go on to the bytes of an undisturbed one. */
class ResumeTest {
    private static final int LAYERS = 4;
    private static final QuantizeOptions OPTIONS = options(Method.AWQ, 32, 20_000);

    private static final Map<String, String> undisturbed = new TreeMap<>();

    @TempDir
    Path temp;

    private Path source;
    private Path out;
    private Path state;
    private final List<String> notes = new ArrayList<>();

    @BeforeEach
    void writeSource() throws IOException {
        source = TinyCheckpoint.write(
                temp.resolve("in"),
                Map.of(),
                TinyCheckpoint.config().replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": " + LAYERS));
        out = temp.resolve("out");
        state = temp.resolve(".out.unfinished");
    }

    private static QuantizeOptions options(Method method, int groupSize, long maxShardBytes) {
        return new QuantizeOptions(method, new QuantizationSpec(4, groupSize), maxShardBytes, 2);
    }

    private static TokenBlocks blocks(long seed) {
        Random random = new Random(seed);
        int[][] blocks = new int[3][16];
        for (int[] block : blocks) {
            for (int i = 0; i < block.length; i++) {
                block[i] = random.nextInt(48);
            }
        }
        return new TokenBlocks(blocks, 200, "random ids");
    }

    /** Raises the signal when so many layers are computed; those are durable then. */
    private final class StopAfter implements ProgressListener {
        private final StopSignal stop = new StopSignal();
        private final int layers;
        private int computed;

        StopAfter(int layers) {
            this.layers = layers;
            if (layers == 0) {
                stop.raise();
            }
        }

        @Override
        public void note(String text) {
            notes.add(text);
        }

        @Override
        public void layerFinished(int layer, QuantizationReport.Layer report, double seconds) {
            if (++computed == layers) {
                stop.raise();
            }
        }
    }

    private QuantizationReport run(QuantizeOptions options, TokenBlocks blocks, boolean resume, int stopAfter) {
        StopAfter listener = new StopAfter(stopAfter);
        try (Checkpoint checkpoint = Checkpoint.open(source);
                Backend backend = Backends.open("cpu", options.threads())) {
            return CheckpointQuantizer.quantize(
                    new QuantizationJob(checkpoint, Optional.of(blocks), options),
                    out,
                    resume,
                    QuantizationDevices.of(backend),
                    listener,
                    listener.stop);
        }
    }

    private QuantizationReport resume() {
        return run(OPTIONS, blocks(3), true, -1);
    }

    private void stopAfter(int layers) {
        assertThatThrownBy(() -> run(OPTIONS, blocks(3), Files.exists(state), layers))
                .isInstanceOf(StoppedException.class);
    }

    /** What all runs with the usual options make; made once. */
    private Map<String, String> undisturbed() throws IOException {
        if (undisturbed.isEmpty()) {
            Path kept = out;
            out = temp.resolve("undisturbed");
            run(OPTIONS, blocks(3), false, -1);
            undisturbed.putAll(contents(out));
            out = kept;
        }
        return undisturbed;
    }

    @ParameterizedTest
    @EnumSource(Method.class)
    void aRunStoppedAfterEachLayerEndsInTheSameBytes(Method method) throws IOException {
        QuantizeOptions options = options(method, 32, 20_000);
        Path whole = temp.resolve("whole");
        out = whole;
        QuantizationReport expected = run(options, blocks(3), false, -1);
        out = temp.resolve("out");
        for (int layer = 0; layer < LAYERS - 1; layer++) {
            int done = layer + 1;
            boolean resumed = layer > 0;
            assertThatThrownBy(() -> run(options, blocks(3), resumed, 1))
                    .isInstanceOf(StoppedException.class)
                    .hasMessageContaining(done + " of " + LAYERS + " layers are safe")
                    .hasMessageContaining("--resume")
                    .hasMessageContaining(state.toString());
            assertThat(out).doesNotExist();
        }
        QuantizationReport report = run(options, blocks(3), true, -1);
        assertThat(contents(out)).isEqualTo(contents(whole));
        assertThat(report.layers()).isEqualTo(expected.layers());
        assertThat(report.times().resumedLayers()).isEqualTo(LAYERS - 1);
        assertThat(state).doesNotExist();
    }

    @Test
    void theNumberOfThreadsMayChange() throws IOException {
        stopAfter(2);
        run(new QuantizeOptions(OPTIONS.method(), OPTIONS.spec(), OPTIONS.maxShardBytes(), 1), blocks(3), true, -1);
        assertThat(contents(out)).isEqualTo(undisturbed());
    }

    @Test
    void whatIsStoppedBeforeAnyLayerLeavesNothing() throws IOException {
        out = temp.resolve("made/too/out");
        assertThatThrownBy(() -> run(OPTIONS, blocks(3), false, 0))
                .isInstanceOf(StoppedException.class)
                .hasMessageContaining("nothing is kept");
        assertThat(names(temp)).containsExactly("in");
    }

    @Test
    void withNothingToResumeTheRunBeginsFromTheBeginning() throws IOException {
        resume();
        assertThat(notes).contains("nothing to resume; starting from the beginning");
        assertThat(contents(out)).isEqualTo(undisturbed());
    }

    @Test
    void leftoversAreRefusedWithoutResumeAndLeftAlone() throws IOException {
        stopAfter(2);
        Map<String, String> before = contents(state);
        assertThatThrownBy(() -> run(OPTIONS, blocks(3), false, -1))
                .isInstanceOf(OutputException.class)
                .hasMessageContaining("--resume")
                .hasMessageContaining("delete " + state);
        assertThat(contents(state)).isEqualTo(before);
        resume();
        assertThat(contents(out)).isEqualTo(undisturbed());
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 30, 400})
    void aTornLastLineIsDoneAnew(int bytes) throws IOException {
        stopAfter(3);
        Path journal = state.resolve("journal.jsonl");
        truncate(journal, Files.size(journal) - bytes);
        assertThat(resume().times().resumedLayers()).isEqualTo(2);
        assertThat(notes).anySatisfy(note -> assertThat(note).contains("was not finished"));
        assertThat(contents(out)).isEqualTo(undisturbed());
    }

    @Test
    void dataWithoutTheirLineAreDoneAnew() throws IOException {
        stopAfter(3);
        Path journal = state.resolve("journal.jsonl");
        List<String> lines = Files.readAllLines(journal);
        Files.writeString(journal, String.join("\n", lines.subList(0, 3)) + "\n");
        assertThat(resume().times().resumedLayers()).isEqualTo(1);
        assertThat(contents(out)).isEqualTo(undisturbed());
    }

    @Test
    void aLineWhoseDataAreDamagedIsDoneAnewWithAllAfterIt() throws IOException {
        QuantizeOptions manyShards = options(Method.AWQ, 32, 1);
        assertThatThrownBy(() -> run(manyShards, blocks(3), false, 3)).isInstanceOf(StoppedException.class);
        Path shard = shardOf("model.layers.1.self_attn.o_proj.qweight");
        byte[] good = Files.readAllBytes(shard);
        flip(shard);
        assertThat(run(manyShards, blocks(3), true, -1).times().resumedLayers()).isEqualTo(1);
        assertThat(notes).anySatisfy(note -> assertThat(note).contains("layer 1 is damaged"));
        String hidden = shard.getFileName().toString();
        assertThat(out.resolve(hidden.substring(1, hidden.length() - ".partial".length())))
                .hasBinaryContent(good);
    }

    @Test
    void aFlippedBitInTheJournalEndsWhatIsBelieved() throws IOException {
        stopAfter(3);
        Path journal = state.resolve("journal.jsonl");
        String text = Files.readString(journal);
        int at = text.indexOf("\"layer\":1");
        Files.writeString(journal, text.substring(0, at) + "\"layer\":2" + text.substring(at + 9));
        assertThat(resume().times().resumedLayers()).isEqualTo(1);
        assertThat(contents(out)).isEqualTo(undisturbed());
    }

    @ParameterizedTest
    @ValueSource(strings = {"lost", "short", "long"})
    void aShardOfTheWrongLengthIsMadeAnew(String fault) throws IOException {
        stopAfter(3);
        Path shard = shardOf("model.layers.2.mlp.down_proj.qweight");
        switch (fault) {
            case "lost" -> Files.delete(shard);
            case "short" -> truncate(shard, Files.size(shard) - 7);
            default -> Files.write(shard, new byte[1], java.nio.file.StandardOpenOption.APPEND);
        }
        assertThat(resume().times().resumedLayers()).isEqualTo(2);
        assertThat(contents(out)).isEqualTo(undisturbed());
    }

    @Test
    void aDamagedEmbeddingIsCarriedOverAnewAndNoLayerIsLost() throws IOException {
        QuantizeOptions manyShards = options(Method.AWQ, 32, 1);
        assertThatThrownBy(() -> run(manyShards, blocks(3), false, 3)).isInstanceOf(StoppedException.class);
        flip(shardOf("model.embed_tokens.weight"));
        assertThat(run(manyShards, blocks(3), true, -1).times().resumedLayers()).isEqualTo(3);
        try (Checkpoint written = Checkpoint.open(out);
                Checkpoint original = Checkpoint.open(source)) {
            assertThat(written.tensor("model.embed_tokens.weight")
                            .data()
                            .mismatch(
                                    original.tensor("model.embed_tokens.weight").data()))
                    .isEqualTo(-1);
        }
    }

    @Test
    void aRunEndedWhileItsFilesGotTheirNamesGoesOn() throws IOException {
        stopAfter(3);
        // As if all four layers were there and the first shard had its name already.
        Path shard = shardOf("model.embed_tokens.weight");
        String hidden = shard.getFileName().toString();
        Files.move(shard, shard.resolveSibling(hidden.substring(1, hidden.length() - ".partial".length())));
        Files.writeString(state.resolve("output/config.json"), "{\"half\":");
        Files.writeString(state.resolve("output/tokenizer_config.json"), "");
        assertThat(resume().times().resumedLayers()).isEqualTo(3);
        assertThat(contents(out)).isEqualTo(undisturbed());
    }

    @Test
    void theRestOfAFinishedRunIsRemoved() throws IOException {
        QuantizationReport finished = run(OPTIONS, blocks(3), false, -1);
        Files.createDirectory(state);
        Files.writeString(state.resolve("journal.jsonl"), "whatever\n");
        assertThat(resume().layers()).isEqualTo(finished.layers());
        assertThat(state).doesNotExist();
        assertThat(notes).contains("the output was finished already");
    }

    @Test
    void aChangedOptionIsNamedWithFoundAndExpected() throws IOException {
        stopAfter(2);
        Map<String, String> before = contents(state);
        assertThatThrownBy(() -> run(options(Method.AWQ, 64, 30_000), blocks(3), true, -1))
                .isInstanceOf(ResumeException.class)
                .hasMessageContaining("--group-size: found 64, expected 32")
                .hasMessageContaining("--max-shard-size: found 30000 bytes, expected 20000 bytes")
                .hasMessageContaining("delete that folder")
                .hasMessageNotContaining("--method");
        assertThatThrownBy(() -> run(options(Method.RTN, 32, 20_000), blocks(3), true, -1))
                .isInstanceOf(ResumeException.class)
                .hasMessageContaining("--method: found rtn, expected awq");
        assertThat(contents(state)).isEqualTo(before);
    }

    @Test
    void anotherCalibrationTextIsRefused() throws IOException {
        stopAfter(2);
        assertThatThrownBy(() -> run(OPTIONS, blocks(4), true, -1))
                .isInstanceOf(ResumeException.class)
                .hasMessageContaining("calibration: found 3 blocks, 48 of 200 tokens, sha256");
    }

    @Test
    void anotherVersionIsRefused() throws IOException {
        stopAfter(2);
        rewriteStart("\"Nibble's version\":\"0.1.0\"", "\"Nibble's version\":\"0.0.9\"");
        assertThatThrownBy(this::resume)
                .isInstanceOf(ResumeException.class)
                .hasMessageContaining("Nibble's version: found 0.1.0, expected 0.0.9");
    }

    @Test
    void anotherFormatOfTheJournalIsRefused() throws IOException {
        stopAfter(2);
        rewriteStart("\"journal_format\":1", "\"journal_format\":2");
        assertThatThrownBy(this::resume)
                .isInstanceOf(ResumeException.class)
                .hasMessageContaining("format of the journal");
    }

    @Test
    void aChangedConfigOrSideFileIsNamed() throws IOException {
        stopAfter(2);
        Files.writeString(source.resolve("config.json"), Files.readString(source.resolve("config.json")) + "\n");
        Files.writeString(source.resolve("tokenizer_config.json"), "{}");
        assertThatThrownBy(this::resume)
                .isInstanceOf(ResumeException.class)
                .hasMessageContaining("config.json: found ")
                .hasMessageContaining("tokenizer_config.json: found 2 bytes, sha256");
    }

    @Test
    void changedWeightsOfALayerThatIsDoneAreNamed() throws IOException {
        stopAfter(2);
        change("model.layers.1.mlp.up_proj.weight");
        assertThatThrownBy(this::resume)
                .isInstanceOf(ResumeException.class)
                .hasMessageContaining("weights of layer 1: found sha256")
                .hasMessageContaining(state.toString());
        assertThat(state).exists();
    }

    @Test
    void changedWeightsBesideTheLayersAreNamed() throws IOException {
        stopAfter(2);
        change("lm_head.weight");
        assertThatThrownBy(this::resume).isInstanceOf(ResumeException.class).hasMessageContaining("lm_head.weight");
        assertThat(state).exists();
    }

    @Test
    void aSecondRunOnTheSameOutputIsRefusedWhileOneIsAtWork() throws IOException {
        try (UnfinishedOutput _ = UnfinishedOutput.open(out, false)) {
            assertThatThrownBy(() -> run(OPTIONS, blocks(3), true, -1))
                    .isInstanceOf(OutputException.class)
                    .hasMessageContaining("another run of nibble");
        }
        resume();
        assertThat(contents(out)).isEqualTo(undisturbed());
    }

    @Test
    void anInputThatTurnsOutBadLeavesNothing() throws IOException {
        change("model.layers.3.mlp.up_proj.weight", Float.floatToFloat16(Float.NaN));
        assertThatThrownBy(() -> run(OPTIONS, blocks(3), false, -1)).isInstanceOf(BadCheckpointException.class);
        assertThat(names(temp)).containsExactly("in");
    }

    @Test
    void aFailingWriterEndsTheRunAndKeepsTheLayersBefore() {
        List<Integer> written = new ArrayList<>();
        OutputException full = new OutputException(temp, "No space left on device");
        try (Checkpoint checkpoint = Checkpoint.open(source);
                Backend backend = Backends.open("cpu", 1)) {
            assertThatThrownBy(() -> Quantizer.run(
                            new QuantizationJob(checkpoint, Optional.of(blocks(3)), OPTIONS),
                            QuantizationDevices.of(backend),
                            (_, _) -> List.of(),
                            layer -> {
                                if (layer.layer() == 1) {
                                    throw full;
                                }
                                written.add(layer.layer());
                            },
                            ProgressListener.NONE,
                            new StopSignal()))
                    .isSameAs(full);
        }
        assertThat(written).containsExactly(0);
    }

    private void rewriteStart(String from, String to) throws IOException {
        Path journal = state.resolve("journal.jsonl");
        List<String> lines = new ArrayList<>(Files.readAllLines(journal));
        String entry = lines.getFirst().substring(29, lines.getFirst().length() - 1);
        assertThat(entry).startsWith("{\"start\"").contains(from);
        entry = entry.replace(from, to);
        java.util.zip.CRC32C crc = new java.util.zip.CRC32C();
        crc.update(entry.getBytes(StandardCharsets.UTF_8));
        lines.set(0, "{\"crc32c\":\"%08x\",\"entry\":%s}".formatted(crc.getValue(), entry));
        Files.writeString(journal, String.join("\n", lines) + "\n");
    }

    /** The file of an unfinished output that holds a tensor. */
    private Path shardOf(String tensor) throws IOException {
        try (Stream<Path> files = Files.list(state.resolve("output"))) {
            for (Path file : files.toList()) {
                if (new String(Files.readAllBytes(file), StandardCharsets.ISO_8859_1).contains("\"" + tensor + "\"")) {
                    return file;
                }
            }
        }
        throw new AssertionError("no shard with " + tensor);
    }

    /** Flips a bit in the middle of a shard's data. */
    private static void flip(Path file) throws IOException {
        try (RandomAccessFile bytes = new RandomAccessFile(file.toFile(), "rw")) {
            long header = Long.reverseBytes(bytes.readLong()) + 8;
            long at = header + (bytes.length() - header) / 2;
            bytes.seek(at);
            int old = bytes.read();
            bytes.seek(at);
            bytes.write(old ^ 1);
        }
    }

    private void change(String tensor) throws IOException {
        change(tensor, Float.floatToFloat16(0.25f));
    }

    /** Puts another number into a tensor of the source, its file's length and header unchanged. */
    private void change(String tensor, short bits) throws IOException {
        TinyCheckpoint.write(source, Map.of(tensor, bits), Files.readString(source.resolve("config.json")));
    }

    private static void truncate(Path file, long bytes) throws IOException {
        try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
            open.setLength(bytes);
        }
    }

    private static List<String> names(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(path -> path.getFileName().toString()).sorted().toList();
        }
    }

    private static Map<String, String> contents(Path folder) throws IOException {
        Map<String, String> contents = new TreeMap<>();
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                contents.put(folder.relativize(file).toString(), HexFormat.of().formatHex(Files.readAllBytes(file)));
            }
        }
        assertThat(contents).hasSizeGreaterThan(4);
        return contents;
    }
}
