package nibble.checkpoint.gguf;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.SourceFile;
import nibble.checkpoint.tensor.Shape;
import nibble.files.Content;
import nibble.files.Reasons;

/**
 * Reads one GGUF file of any size, version 2 or 3, mapped read-only. Borrows its memory from the arena it was opened
 * with.
 *
 * <pre>
 * "GGUF"  version u32  tensors u64  pairs u64
 * pairs   key (u64 length, UTF-8)  type u32  value
 * tensors name  dims u32  extents u64 each, innermost first  type u32  offset u64
 * padding to general.alignment (32), then the tensors' data at their offsets
 * </pre>
 */
public final class GgufFile {
    /** ggml's own limit. */
    private static final int MAX_DIMS = 4;

    private static final long MAX_TENSORS = 1 << 20;

    /** llama.cpp's numbers of mixes ({@code llama_ftype}). */
    private static final Map<Integer, String> FORMAT_NAMES = Map.ofEntries(
            Map.entry(0, "F32"),
            Map.entry(1, "F16"),
            Map.entry(2, "Q4_0"),
            Map.entry(3, "Q4_1"),
            Map.entry(7, "Q8_0"),
            Map.entry(8, "Q5_0"),
            Map.entry(9, "Q5_1"),
            Map.entry(10, "Q2_K"),
            Map.entry(11, "Q3_K_S"),
            Map.entry(12, "Q3_K_M"),
            Map.entry(13, "Q3_K_L"),
            Map.entry(14, "Q4_K_S"),
            Map.entry(15, "Q4_K_M"),
            Map.entry(16, "Q5_K_S"),
            Map.entry(17, "Q5_K_M"),
            Map.entry(18, "Q6_K"),
            Map.entry(19, "IQ2_XXS"),
            Map.entry(20, "IQ2_XS"),
            Map.entry(21, "Q2_K_S"),
            Map.entry(22, "IQ3_XS"),
            Map.entry(23, "IQ3_XXS"),
            Map.entry(24, "IQ1_S"),
            Map.entry(25, "IQ4_NL"),
            Map.entry(26, "IQ3_S"),
            Map.entry(27, "IQ3_M"),
            Map.entry(28, "IQ2_S"),
            Map.entry(29, "IQ2_M"),
            Map.entry(30, "IQ4_XS"),
            Map.entry(31, "IQ1_M"),
            Map.entry(32, "BF16"),
            Map.entry(36, "TQ1_0"),
            Map.entry(37, "TQ2_0"),
            Map.entry(38, "MXFP4"),
            Map.entry(39, "NVFP4"),
            Map.entry(40, "Q1_0"));

    private final Path path;
    private final GgufMetadata metadata;
    private final SequencedMap<String, Tensor> tensors;

    /**
     * Describes a tensor as it lies in the file.
     *
     * @param shape outermost first
     * @param offset of its data in the file's data
     * @param data whole blocks
     */
    public record Tensor(String name, GgufType type, Shape shape, long offset, MemorySegment data) {}

    private final long trailingBytes;

    private GgufFile(Path path, GgufMetadata metadata, SequencedMap<String, Tensor> tensors, long trailingBytes) {
        this.trailingBytes = trailingBytes;
        this.path = path;
        this.metadata = metadata;
        this.tensors = Collections.unmodifiableSequencedMap(tensors);
    }

    /**
     * Maps and checks a file; its tensors live as long as {@code arena}.
     *
     * @throws BadCheckpointException if it is absent, cut short, of another version, or has tensors of a type that is
     *     not read
     */
    public static GgufFile open(Path path, Arena arena) {
        SourceFile.require(path, Content.GGUF);
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
            return read(path, channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena));
        } catch (NoSuchFileException e) {
            throw new BadCheckpointException(path, "no such file; check the path", e);
        } catch (IOException e) {
            throw new BadCheckpointException(path, "cannot be read: " + Reasons.of(e), e);
        }
    }

    private static GgufFile read(Path path, MemorySegment bytes) {
        GgufReader in = new GgufReader(path, bytes);
        if (in.u32() != 0x46554747) {
            throw in.bad("found no \"GGUF\", this is another kind of file");
        }
        int version = in.u32();
        if (version != 2 && version != 3) {
            throw in.bad("GGUF version " + Integer.toUnsignedString(version) + ", expected 2 or 3, little-endian");
        }
        long tensorCount = in.count("tensors", MAX_TENSORS, 24);
        long pairs = in.count("metadata pairs", MAX_TENSORS, 13);
        SequencedMap<String, Object> values = new LinkedHashMap<>();
        for (long i = 0; i < pairs; i++) {
            String key = in.text();
            if (values.put(key, in.value()) != null) {
                throw in.bad("metadata key " + key + " comes twice");
            }
        }
        GgufMetadata metadata = new GgufMetadata(path, values);
        List<Entry> entries = new ArrayList<>();
        for (long i = 0; i < tensorCount; i++) {
            entries.add(entry(in));
        }
        long alignment = metadata.integer("general.alignment").orElse(32L);
        if (alignment < 1 || alignment > 1 << 20 || Long.bitCount(alignment) != 1) {
            throw in.bad("general.alignment " + alignment + ", expected a power of two");
        }
        long start = (in.position() + alignment - 1) / alignment * alignment;
        SequencedMap<String, Tensor> tensors = new LinkedHashMap<>();
        for (Entry entry : entries) {
            if (tensors.put(entry.name(), tensor(in, entry, start, alignment, bytes)) != null) {
                throw in.bad("tensor " + entry.name() + " comes twice");
            }
        }
        long end = start;
        for (Tensor tensor : tensors.values()) {
            end = Math.max(end, start + tensor.offset() + tensor.data().byteSize());
        }
        return new GgufFile(path, metadata, tensors, Math.max(0, bytes.byteSize() - end));
    }

    private record Entry(String name, Shape shape, GgufType type, long offset) {}

    private static Entry entry(GgufReader in) {
        String name = in.text();
        int dims = in.u32();
        if (dims < 1 || dims > MAX_DIMS) {
            throw in.bad("tensor " + name + " has " + Integer.toUnsignedString(dims) + " dimensions, expected 1 to "
                    + MAX_DIMS);
        }
        List<Long> extents = new ArrayList<>();
        for (int i = 0; i < dims; i++) {
            extents.addFirst(in.u64());
        }
        int id = in.u32();
        GgufType type = GgufType.of(id)
                .orElseThrow(() -> in.bad("tensor " + name + " is of type " + Integer.toUnsignedString(id)
                        + ", which is not known; known: " + List.of(GgufType.values())));
        long offset = in.u64();
        try {
            return new Entry(name, new Shape(extents), type, offset);
        } catch (IllegalArgumentException | ArithmeticException e) {
            throw in.bad("tensor " + name + " has extents " + extents);
        }
    }

    private static Tensor tensor(GgufReader in, Entry entry, long start, long alignment, MemorySegment bytes) {
        Shape shape = entry.shape();
        if (shape.dim(shape.rank() - 1) % entry.type().blockElements() != 0) {
            throw in.bad(
                    "tensor " + entry.name() + ": rows of " + shape.dim(shape.rank() - 1) + " are no whole blocks of "
                            + entry.type() + " (" + entry.type().blockElements() + ")");
        }
        long size;
        try {
            size = entry.type().bytes(shape.elements());
        } catch (ArithmeticException e) {
            throw in.bad("tensor " + entry.name() + " has more than 2^63 bytes");
        }
        long available = Math.max(0, bytes.byteSize() - start);
        if (entry.offset() < 0
                || entry.offset() % alignment != 0
                || entry.offset() > available
                || size > available - entry.offset()) {
            throw in.bad("tensor " + entry.name() + ": " + size + " bytes from data byte "
                    + Long.toUnsignedString(entry.offset())
                    + " on, the file has " + available + " after its header (aligned to " + alignment
                    + "); it was cut short or damaged, get it again");
        }
        return new Tensor(
                entry.name(), entry.type(), shape, entry.offset(), bytes.asSlice(start + entry.offset(), size));
    }

    public Path path() {
        return path;
    }

    /** Counts the bytes behind the last tensor; padding or what does not belong to the file. */
    public long trailingBytes() {
        return trailingBytes;
    }

    public GgufMetadata metadata() {
        return metadata;
    }

    /**
     * Returns the metadata: a {@link Long}, {@link Double}, {@link Boolean}, {@link String} or {@link List} of these
     * for each key.
     */
    public SequencedMap<String, Object> values() {
        return Collections.unmodifiableSequencedMap(new LinkedHashMap<>(metadata.values()));
    }

    /** Returns the mix of types by the name that people give it, as {@code Q4_K_M}, if the metadata say it. */
    public static Optional<String> formatName(SequencedMap<String, Object> metadata) {
        return metadata.get("general.file_type") instanceof Long number
                ? Optional.ofNullable(FORMAT_NAMES.get(number.intValue()))
                : Optional.empty();
    }

    /** Returns a whole number of the metadata; empty where the key is absent. */
    public Optional<Long> integer(String key) {
        return metadata.integer(key);
    }

    /** Returns a text of the metadata; empty where the key is absent. */
    public Optional<String> text(String key) {
        return metadata.text(key);
    }

    /** Returns a list of texts of the metadata; empty where the key is absent. */
    public List<String> texts(String key) {
        return metadata.list(key, String.class);
    }

    /** Returns the tensors in the order of the header. */
    public SequencedMap<String, Tensor> tensors() {
        return tensors;
    }
}
