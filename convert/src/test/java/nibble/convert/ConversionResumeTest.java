package nibble.convert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.Fingerprint;
import nibble.checkpoint.safetensors.ShardPlan;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.convert.ConversionReport.Underflow;
import nibble.convert.gguf.GgufExporter;
import nibble.convert.gguf.GgufMix;
import nibble.files.digest.Sha256;
import nibble.files.output.OutputException;
import nibble.files.output.ResumeException;
import nibble.files.output.StopSignal;
import nibble.files.output.StoppedException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Conversions that end early and are gone on with. */
class ConversionResumeTest {
    private static final Path WIKI = BundledModel.FOLDER;

    private static final CheckpointConverter.Target BF16 =
            new CheckpointConverter.Target.Safetensors(Optional.of(DType.BF16));

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path temp;

    private final List<String> notes = new ArrayList<>();

    private ConversionOptions options(Path out, boolean resume, double stopAt, long shard) {
        StopSignal stop = new StopSignal();
        return new ConversionOptions(out, shard, 2, resume, stop, notes::add, fraction -> {
            if (fraction >= stopAt) {
                stop.raise();
            }
        });
    }

    private static void convert(Path model, ConversionOptions options) {
        try (Checkpoint source = Checkpoint.open(model)) {
            CheckpointConverter.convert(source, BF16, options);
        }
    }

    private static void export(ConversionOptions options) {
        try (Checkpoint source = Checkpoint.open(WIKI)) {
            GgufExporter.export(source, GgufMix.Q5_K_M, Optional.empty(), options);
        }
    }

    @Test
    void stopped_twice_a_conversion_ends_in_the_bytes_of_an_undisturbed_one() throws IOException {
        Path model = RandomCheckpoint.write(temp.resolve("model"));
        convert(model, options(temp.resolve("whole"), false, 2, 9000));
        Path out = temp.resolve("out");
        for (double stopAt : new double[] {0.3, 0.7}) {
            assertThatThrownBy(() -> convert(model, options(out, true, stopAt, 9000)))
                    .isInstanceOf(StoppedException.class)
                    .hasMessageContaining("--resume");
            assertThat(out).doesNotExist();
        }
        convert(model, options(out, true, 2, 9000));
        assertThat(notes).anyMatch(note -> note.startsWith("resuming after"));
        assertThat(hashes(out)).isEqualTo(hashes(temp.resolve("whole")));
        assertThat(temp.resolve(".out.unfinished")).doesNotExist();
    }

    @ParameterizedTest
    @ValueSource(longs = {500_000, Long.MAX_VALUE})
    void a_gguf_export_goes_on_too_in_one_file_or_several(long shard) throws IOException {
        export(options(temp.resolve("whole"), false, 2, shard));
        Path out = temp.resolve("out");
        assertThatThrownBy(() -> export(options(out, false, 0.5, shard))).isInstanceOf(StoppedException.class);
        // One small file is one part: it begins anew.
        assertThat(Files.exists(temp.resolve(".out.unfinished"))).isEqualTo(shard == 500_000);
        export(options(out, true, 2, shard));
        assertThat(hashes(out)).isEqualTo(hashes(temp.resolve("whole")));
        try (Checkpoint source = Checkpoint.open(WIKI)) {
            assertThat(source.config().layers()).isEqualTo(6);
        }
    }

    @Test
    void what_differs_is_refused_by_name_and_nothing_is_lost() throws IOException {
        Path model = RandomCheckpoint.write(temp.resolve("model"));
        Path out = temp.resolve("out");
        assertThatThrownBy(() -> convert(model, options(out, false, 0.5, 9000))).isInstanceOf(StoppedException.class);
        assertThatThrownBy(() -> convert(model, options(out, false, 2, 9000)))
                .isInstanceOf(OutputException.class)
                .hasMessageContaining("--resume");
        assertThatThrownBy(() -> convert(model, options(out, true, 2, 10_000)))
                .isInstanceOf(ResumeException.class)
                .hasMessageContaining("--max-shard-size: found 10000 bytes, expected 9000 bytes");

        Path weights;
        try (Checkpoint source = Checkpoint.open(model)) {
            weights = source.fileOf("model.embed_tokens.weight");
        }
        byte[] original = Files.readAllBytes(weights);
        flip(weights, firstDataByte(weights));
        assertThatThrownBy(() -> convert(model, options(out, true, 2, 9000)))
                .isInstanceOf(ResumeException.class)
                .hasMessageContaining("weights of model.embed_tokens.weight")
                .hasMessageContaining("found CRC-32C");
        Files.write(weights, original);
        Files.writeString(model.resolve("generation_config.json"), "{}");
        assertThatThrownBy(() -> convert(model, options(out, true, 2, 9000)))
                .isInstanceOf(ResumeException.class)
                .hasMessageContaining("generation_config.json: found 2 bytes");
        Files.writeString(model.resolve("generation_config.json"), "{\"do_sample\":   true}");
        convert(model, options(out, true, 2, 9000));
        convert(model, options(temp.resolve("whole"), false, 2, 9000));
        assertThat(hashes(out)).isEqualTo(hashes(temp.resolve("whole")));
    }

    @Test
    void damage_in_what_was_written_is_found_and_made_anew() throws IOException {
        Path model = RandomCheckpoint.write(temp.resolve("model"));
        Path out = temp.resolve("out");
        assertThatThrownBy(() -> convert(model, options(out, false, 0.8, 9000))).isInstanceOf(StoppedException.class);
        Path state = temp.resolve(".out.unfinished");
        Path second;
        try (Stream<Path> files = Files.list(state.resolve("output"))) {
            second = files.sorted().skip(1).findFirst().orElseThrow();
        }
        flip(second, Files.size(second) - 1);
        // A line that a crash left unfinished.
        Files.writeString(state.resolve("journal.jsonl"), "{\"crc32c\":\"12", java.nio.file.StandardOpenOption.APPEND);
        convert(model, options(out, true, 2, 9000));
        assertThat(notes).anyMatch(note -> note.contains("is damaged from"));
        convert(model, options(temp.resolve("whole"), false, 2, 9000));
        assertThat(hashes(out)).isEqualTo(hashes(temp.resolve("whole")));
    }

    /** Killed after the rename and before the journal was gone, which goes last. */
    @Test
    void a_resume_of_a_finished_run_tells_what_the_run_had_noted() throws IOException {
        Path model = RandomCheckpoint.write(temp.resolve("model"));
        Path out = temp.resolve("out");
        Path saved = temp.resolve("saved");
        Underflow lost = new Underflow("a", 3, 2, "[0, 1]", 1e-6f);
        TensorSpec spec = new TensorSpec("a", DType.F32, Shape.of(2));
        ConversionRun.Output planned = new ConversionRun.Output(
                ShardPlan.of(List.of(spec), 100).files(),
                Optional.empty(),
                folder -> copy(folder.resolveSibling("journal.jsonl"), saved));
        List<ConversionRun.Item> items =
                List.of(new ConversionRun.Item(List.of("a"), List.of("model.norm.weight"), 8, sink -> {
                    sink.write("a", MemorySegment.ofArray(new byte[8]));
                    return List.of(lost);
                }));
        try (Checkpoint source = Checkpoint.open(model)) {
            Fingerprint fingerprint = Fingerprint.of(Map.of(), source);
            assertThat(ConversionRun.run(source, fingerprint, planned, items, options(out, false, 2, 9000)))
                    .containsExactly(lost);
            copy(saved, Files.createDirectory(temp.resolve(".out.unfinished")).resolve("journal.jsonl"));
            assertThat(ConversionRun.run(source, fingerprint, planned, items, options(out, true, 2, 9000)))
                    .containsExactly(lost);
        }
        assertThat(notes).contains("the output was finished already");
        assertThat(temp.resolve(".out.unfinished")).doesNotExist();
    }

    private static void copy(Path from, Path to) {
        try {
            Files.copy(from, to);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void bad_input_leaves_nothing() throws IOException {
        Path model = RandomCheckpoint.write(temp.resolve("model"), Map.of("model.norm.weight", (short) 0x7c00));
        Path out = temp.resolve("deep/out");
        assertThatThrownBy(() -> convert(model, options(out, false, 2, 9000)))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("model.norm.weight");
        assertThat(temp.resolve("deep")).doesNotExist();
    }

    private static long firstDataByte(Path safetensors) throws IOException {
        try (RandomAccessFile file = new RandomAccessFile(safetensors.toFile(), "r")) {
            return 8 + Long.reverseBytes(file.readLong());
        }
    }

    private static void flip(Path file, long at) throws IOException {
        try (RandomAccessFile data = new RandomAccessFile(file.toFile(), "rw")) {
            data.seek(at);
            int found = data.read();
            data.seek(at);
            data.write(found ^ 1);
        }
    }

    private static Map<String, String> hashes(Path folder) throws IOException {
        Map<String, String> hashes = new TreeMap<>();
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : files.toList()) {
                hashes.put(file.getFileName().toString(), Sha256.of(file));
            }
        }
        return hashes;
    }
}
