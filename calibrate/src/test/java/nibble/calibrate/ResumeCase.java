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
import nibble.convert.RandomCheckpoint;
import nibble.datasets.TokenBlocks;
import nibble.engine.Backends;
import nibble.engine.backend.Backend;
import nibble.engine.backend.QuantizationDevices;
import nibble.files.output.StopSignal;
import nibble.files.output.StoppedException;
import nibble.pack.QuantizationSpec;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/** A small model, whose quantization is stopped and resumed. */
abstract class ResumeCase {
    static final int LAYERS = 4;

    static final QuantizeOptions OPTIONS = options(Method.AWQ, 32, 20_000);

    static final Map<String, String> undisturbed = new TreeMap<>();

    @TempDir
    Path temp;

    Path source;

    Path out;

    Path state;

    final List<String> notes = new ArrayList<>();

    @BeforeEach
    void writeSource() throws IOException {
        source = RandomCheckpoint.write(
                temp.resolve("in"),
                Map.of(),
                RandomCheckpoint.config().replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": " + LAYERS));
        out = temp.resolve("out");
        state = temp.resolve(".out.unfinished");
    }

    static QuantizeOptions options(Method method, int groupSize, long maxShardBytes) {
        return new QuantizeOptions(method, new QuantizationSpec(4, groupSize), maxShardBytes, 2);
    }

    static TokenBlocks blocks(long seed) {
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
    final class StopAfter implements ProgressListener {
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

    QuantizationReport run(QuantizeOptions options, TokenBlocks blocks, boolean resume, int stopAfter) {
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

    QuantizationReport resume() {
        return run(OPTIONS, blocks(3), true, -1);
    }

    void stopAfter(int layers) {
        assertThatThrownBy(() -> run(OPTIONS, blocks(3), Files.exists(state), layers))
                .isInstanceOf(StoppedException.class);
    }

    /** What all runs with the usual options make; made once. */
    Map<String, String> undisturbed() throws IOException {
        if (undisturbed.isEmpty()) {
            Path kept = out;
            out = temp.resolve("undisturbed");
            run(OPTIONS, blocks(3), false, -1);
            undisturbed.putAll(contents(out));
            out = kept;
        }
        return undisturbed;
    }

    void rewriteStart(String from, String to) throws IOException {
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
    Path shardOf(String tensor) throws IOException {
        try (Stream<Path> files = Files.list(state.resolve("output"))) {
            for (Path file : files.toList()) {
                if (text(file).contains("\"" + tensor + "\"")) {
                    return file;
                }
            }
        }
        throw new AssertionError("no shard with " + tensor);
    }

    /** A file's bytes as text of one byte a character. */
    static String text(Path file) {
        try {
            return new String(Files.readAllBytes(file), StandardCharsets.ISO_8859_1);
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    /** Flips a bit in the middle of a shard's data. */
    static void flip(Path file) throws IOException {
        try (RandomAccessFile bytes = new RandomAccessFile(file.toFile(), "rw")) {
            long header = Long.reverseBytes(bytes.readLong()) + 8;
            long at = header + (bytes.length() - header) / 2;
            bytes.seek(at);
            int old = bytes.read();
            bytes.seek(at);
            bytes.write(old ^ 1);
        }
    }

    void change(String tensor) throws IOException {
        change(tensor, Float.floatToFloat16(0.25f));
    }

    /** Puts another number into a tensor of the source, its file's length and header unchanged. */
    void change(String tensor, short bits) throws IOException {
        RandomCheckpoint.write(source, Map.of(tensor, bits), Files.readString(source.resolve("config.json")));
    }

    static void truncate(Path file, long bytes) throws IOException {
        try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
            open.setLength(bytes);
        }
    }

    static List<String> names(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(path -> path.getFileName().toString()).sorted().toList();
        }
    }

    static Map<String, String> contents(Path folder) throws IOException {
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
