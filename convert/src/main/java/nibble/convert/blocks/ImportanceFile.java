package nibble.convert.blocks;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.SortedMap;
import java.util.TreeMap;
import nibble.checkpoint.gguf.GgufFile;
import nibble.checkpoint.gguf.GgufPlan;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.gguf.GgufValue;
import nibble.checkpoint.safetensors.PlannedFile;
import nibble.checkpoint.safetensors.ShardedWriter;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.SourceFile;
import nibble.checkpoint.tensor.Shape;
import nibble.convert.blocks.Importance.Entry;
import nibble.files.Content;
import nibble.files.Reasons;
import nibble.files.output.OutputException;
import org.jspecify.annotations.Nullable;

/**
 * Reads and writes importance on disk, as llama.cpp has it. Written: a GGUF file with two F32 tensors for each linear,
 * {@code NAME.in_sum2} (Σx² of each input feature) and {@code NAME.counts} (tokens); for the stacked tensor of all
 * routed experts both have a row for each expert. Read: that, and the older {@code .dat} files:
 *
 * <pre>
 * entries i32
 * each: length i32, name, calls i32, features i32, features f32 (mean of x² times calls)
 * perhaps: chunks i32, length i32, name of the text
 * </pre>
 */
public final class ImportanceFile {
    private static final String SUMS = ".in_sum2";
    private static final String COUNTS = ".counts";
    private static final int MAX_ENTRIES = 1 << 20;

    private static final ValueLayout.OfFloat FLOAT =
            ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private ImportanceFile() {}

    /**
     * Reads a file.
     *
     * @throws BadCheckpointException if the file is absent, damaged or no importance matrix
     */
    public static Importance read(Path file) {
        SourceFile.require(file, Content.GGUF);
        try (var in = Files.newInputStream(file)) {
            boolean gguf = new String(in.readNBytes(4), StandardCharsets.ISO_8859_1).equals("GGUF");
            return gguf ? readGguf(file) : readDat(file);
        } catch (IOException e) {
            throw new BadCheckpointException(file, "cannot be read: " + Reasons.of(e), e);
        }
    }

    private static Importance readGguf(Path path) {
        try (Arena arena = Arena.ofConfined()) {
            GgufFile file = GgufFile.open(path, arena);
            SortedMap<String, Entry> entries = new TreeMap<>();
            for (GgufFile.Tensor tensor : file.tensors().values()) {
                if (!tensor.name().endsWith(SUMS)) {
                    continue;
                }
                String name = tensor.name().substring(0, tensor.name().length() - SUMS.length());
                GgufFile.@Nullable Tensor counts = file.tensors().get(name + COUNTS);
                long sums = tensor.shape().elements();
                long numbers = counts == null ? 0 : counts.shape().elements();
                if (counts == null || numbers < 1 || numbers > sums || sums % numbers != 0) {
                    throw new BadCheckpointException(
                            path,
                            "tensor " + name + COUNTS + " is missing, or has " + numbers + " numbers beside " + sums
                                    + " sums, expected 1 or one for each expert; measure it again");
                }
                add(path, entries, name, new Entry(floats(path, tensor), floats(path, counts)));
            }
            if (entries.isEmpty()) {
                throw new BadCheckpointException(
                        path, "is a GGUF file without a tensor NAME" + SUMS + ", so no importance matrix; give one");
            }
            return new Importance(
                    path,
                    file.texts("imatrix.datasets"),
                    file.integer("imatrix.chunk_count").orElse(0L),
                    file.integer("imatrix.chunk_size").orElse(0L),
                    entries);
        }
    }

    private static float[] floats(Path path, GgufFile.Tensor tensor) {
        if (tensor.type() != GgufType.F32 || tensor.shape().elements() > 1 << 28) {
            throw new BadCheckpointException(
                    path,
                    "tensor " + tensor.name() + " is " + tensor.type() + " " + tensor.shape()
                            + ", expected F32 of a row");
        }
        float[] values = new float[Math.toIntExact(tensor.shape().elements())];
        MemorySegment.copy(tensor.data(), FLOAT, 0, values, 0, values.length);
        return values;
    }

    private static void add(Path path, SortedMap<String, Entry> entries, String name, Entry entry) {
        int bad = entry.firstBad();
        if (bad >= 0) {
            throw new BadCheckpointException(
                    path,
                    name + " feature " + bad + " has importance " + entry.squares()[bad]
                            + ", expected a finite number of at least 0; measure it again");
        }
        if (entries.put(name, entry) != null) {
            throw new BadCheckpointException(path, name + " comes twice; measure it again");
        }
    }

    private static Importance readDat(Path path) throws IOException {
        ByteBuffer in = ByteBuffer.wrap(Files.readAllBytes(path)).order(ByteOrder.LITTLE_ENDIAN);
        SortedMap<String, Entry> entries = new TreeMap<>();
        int count = number(path, in, "entries", MAX_ENTRIES, 12);
        for (int i = 0; i < count; i++) {
            String name = text(path, in);
            int calls = number(path, in, "calls", Integer.MAX_VALUE, 0);
            float[] values = new float[number(path, in, "features", 1 << 28, 4)];
            in.asFloatBuffer().get(values);
            in.position(in.position() + 4 * values.length);
            add(path, entries, name, new Entry(values, Math.max(1, calls)));
        }
        if (entries.isEmpty()) {
            throw new BadCheckpointException(path, "holds no importance; measure it again");
        }
        boolean named = in.remaining() >= 8;
        int chunks = named ? number(path, in, "chunks", Integer.MAX_VALUE, 0) : 0;
        return new Importance(path, named ? List.of(text(path, in)) : List.of(), chunks, 0, entries);
    }

    private static String text(Path path, ByteBuffer in) {
        byte[] text = new byte[number(path, in, "bytes of a name", 1 << 16, 1)];
        in.get(text);
        return new String(text, StandardCharsets.UTF_8);
    }

    /** A count of things of at least {@code leastBytes} each, which the rest of the file must be able to hold. */
    private static int number(Path path, ByteBuffer in, String what, int most, int leastBytes) {
        int at = in.position();
        int found = in.remaining() >= 4 ? in.getInt() : -1;
        if (found < 0 || found > most || (long) found * leastBytes > in.remaining()) {
            throw new BadCheckpointException(
                    path,
                    "byte " + at + ": " + (found < 0 ? "no number" : found) + " of " + what
                            + "; this is no importance matrix of llama.cpp, or it was cut short");
        }
        return found;
    }

    /**
     * Writes {@code file}, replacing one that is there; it appears whole or not at all.
     *
     * @throws OutputException if the disk is full or refuses
     */
    public static void write(Path file, Importance importance) {
        List<GgufPlan.Entry> tensors = new ArrayList<>();
        importance.entries().forEach((name, entry) -> {
            int experts = entry.counts().length;
            int features = entry.squares().length / experts;
            tensors.add(new GgufPlan.Entry(
                    name + SUMS, GgufType.F32, experts == 1 ? Shape.of(features) : Shape.of(experts, features)));
            tensors.add(
                    new GgufPlan.Entry(name + COUNTS, GgufType.F32, experts == 1 ? Shape.of(1) : Shape.of(experts, 1)));
        });
        Path target = file.toAbsolutePath();
        PlannedFile planned = GgufPlan.file(String.valueOf(target.getFileName()), metadata(importance), tensors);
        try (ShardedWriter writer = ShardedWriter.replacing(target.resolveSibling("."), planned)) {
            importance.entries().forEach((name, entry) -> {
                writer.write(name + SUMS, segment(entry.squares()));
                writer.write(name + COUNTS, segment(entry.counts()));
            });
            writer.finish();
        }
    }

    private static SequencedMap<String, GgufValue> metadata(Importance importance) {
        SequencedMap<String, GgufValue> pairs = new LinkedHashMap<>();
        pairs.put("general.type", new GgufValue.Text("imatrix"));
        pairs.put("imatrix.datasets", new GgufValue.Texts(importance.datasets()));
        pairs.put("imatrix.chunk_count", new GgufValue.U32(importance.chunks()));
        pairs.put("imatrix.chunk_size", new GgufValue.U32(importance.chunkTokens()));
        return pairs;
    }

    private static MemorySegment segment(float... values) {
        ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asFloatBuffer().put(values);
        return MemorySegment.ofBuffer(bytes);
    }
}
