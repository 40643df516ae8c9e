package nibble.checkpoint.safetensors;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
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
import nibble.checkpoint.source.StrictJson;
import nibble.checkpoint.tensor.TensorView;
import nibble.files.Reasons;
import nibble.files.digest.Sha256;

/**
 * Reads one safetensors file of any size, mapped read-only. Borrows its memory from the arena it was opened with.
 *
 * <pre>
 *  byte 0      8                8+n                             end of file
 *  | n, u64 LE | JSON header, n | tensors, back to back, no holes |
 * </pre>
 *
 * <p>All rules of the format's reference reader hold after {@link #open}: header of at most 100 MB inside the file,
 * valid UTF-8, a JSON object without duplicate names; tensors contiguous from the header to the end of the file; the
 * bytes of each equal to what its shape and type take.
 */
public final class SafetensorsFile {
    /** Limit of the reference implementation. */
    static final long MAX_HEADER_BYTES = 100_000_000;

    private static final ValueLayout.OfLong LENGTH = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final Path path;
    private final long dataStart;
    private final SequencedMap<String, TensorView> tensors;
    private final Map<String, String> metadata;

    private SafetensorsFile(
            Path path, long dataStart, SequencedMap<String, TensorView> tensors, Map<String, String> metadata) {
        this.path = path;
        this.dataStart = dataStart;
        this.tensors = tensors;
        this.metadata = metadata;
    }

    /**
     * Maps and checks a file; its tensors live as long as {@code arena}.
     *
     * @throws BadCheckpointException if it is absent, cut short, or breaks a rule of the format
     */
    public static SafetensorsFile open(Path path, Arena arena) {
        SourceFile.require(path);
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
            long size = channel.size();
            if (size < Long.BYTES) {
                throw new BadCheckpointException(
                        path, size + " bytes, a safetensors file has at least 8; it was cut short, get it again");
            }
            return read(path, channel.map(FileChannel.MapMode.READ_ONLY, 0, size, arena));
        } catch (NoSuchFileException e) {
            throw new BadCheckpointException(path, "no such file; get the whole checkpoint again", e);
        } catch (IOException e) {
            throw new BadCheckpointException(path, "cannot be read: " + Reasons.of(e), e);
        }
    }

    private static SafetensorsFile read(Path path, MemorySegment file) {
        long length = file.get(LENGTH, 0);
        if (length < 0 || length > MAX_HEADER_BYTES) {
            throw new BadCheckpointException(
                    path,
                    "byte 0: header length " + Long.toUnsignedString(length) + ", at most " + MAX_HEADER_BYTES
                            + " allowed; this is not a safetensors file or it is damaged, get it again");
        }
        long available = file.byteSize() - Long.BYTES;
        if (length > available) {
            throw new BadCheckpointException(
                    path,
                    "byte 0: header length " + length + ", only " + available
                            + " bytes follow; the file was cut short, get it again");
        }
        String json = StrictJson.decode(path, file.asSlice(Long.BYTES, length).asByteBuffer(), Long.BYTES);
        SafetensorsHeader header = SafetensorsHeader.parse(path, json);
        MemorySegment data = file.asSlice(Long.BYTES + length);
        SequencedMap<String, TensorView> tensors = new LinkedHashMap<>();
        for (SafetensorsHeader.Entry entry :
                checkedLayout(path, header.entries(), Long.BYTES + length, data.byteSize())) {
            MemorySegment slice = data.asSlice(entry.begin(), entry.end() - entry.begin());
            tensors.put(entry.name(), new TensorView(entry.name(), entry.dtype(), entry.shape(), slice));
        }
        return new SafetensorsFile(path, Long.BYTES + length, tensors, header.metadata());
    }

    /** The entries in order of their data, which is checked to be contiguous from 0 to {@code dataBytes}. */
    private static List<SafetensorsHeader.Entry> checkedLayout(
            Path path, List<SafetensorsHeader.Entry> entries, long dataStart, long dataBytes) {
        List<SafetensorsHeader.Entry> ordered = new ArrayList<>(entries);
        ordered.sort(
                (a, b) -> a.begin() != b.begin() ? Long.compare(a.begin(), b.begin()) : Long.compare(a.end(), b.end()));
        long next = 0;
        for (SafetensorsHeader.Entry entry : ordered) {
            if (entry.begin() != next) {
                throw new BadCheckpointException(
                        path,
                        "tensor " + entry.name() + ": starts at data byte " + entry.begin() + ", expected " + next
                                + " ("
                                + (entry.begin() < next ? "it overlaps the tensor before" : "there is a hole before it")
                                + "); the file is damaged, get it again");
            }
            if (entry.end() > dataBytes) {
                throw new BadCheckpointException(
                        path,
                        "tensor " + entry.name() + ": ends at data byte " + entry.end() + ", the file has " + dataBytes
                                + " after its header of " + dataStart + "; it was cut short, get it again");
            }
            next = entry.end();
        }
        if (next != dataBytes) {
            throw new BadCheckpointException(
                    path,
                    "the last tensor ends at file byte " + (dataStart + next) + ", the file has "
                            + (dataStart + dataBytes)
                            + "; bytes that belong to no tensor are not allowed, get it again");
        }
        return ordered;
    }

    /**
     * Returns the SHA-256 of the header, its length included: of all that a file says of its tensors but their data.
     *
     * @throws IOException if the file cannot be read
     */
    public static String headerSha256(Path path) throws IOException {
        try (InputStream in = Files.newInputStream(path)) {
            byte[] length = in.readNBytes(Long.BYTES);
            long bytes = length.length < Long.BYTES
                    ? -1
                    : MemorySegment.ofArray(length).get(LENGTH, 0);
            if (bytes < 0 || bytes > MAX_HEADER_BYTES) {
                throw new IOException("not a safetensors file");
            }
            return new Sha256().add(length).add(in.readNBytes((int) bytes)).hex();
        }
    }

    public Path path() {
        return path;
    }

    /** Returns the byte of the file at which the first tensor's data starts. */
    public long dataStart() {
        return dataStart;
    }

    /** Returns the names of the tensors in the order of their data. */
    public List<String> names() {
        return List.copyOf(tensors.keySet());
    }

    public Optional<TensorView> find(String name) {
        return Optional.ofNullable(tensors.get(name));
    }

    /**
     * Returns a tensor of the file.
     *
     * @throws BadCheckpointException if the file has no tensor of this name
     */
    public TensorView tensor(String name) {
        return find(name)
                .orElseThrow(() -> new BadCheckpointException(
                        path, "tensor " + name + " is not in this file, which has " + tensors.size() + " others"));
    }

    /** Returns the header's {@code __metadata__}; empty where it has none. */
    public Map<String, String> metadata() {
        return Collections.unmodifiableMap(metadata);
    }
}
