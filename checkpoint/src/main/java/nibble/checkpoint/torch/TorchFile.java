package nibble.checkpoint.torch;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Collections;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.Set;
import java.util.zip.ZipEntry;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.SourceFile;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorView;
import nibble.checkpoint.torch.PickleValue.Dict;
import nibble.checkpoint.torch.PickleValue.Tensor;
import nibble.files.Content;
import nibble.files.Reasons;
import org.apache.commons.compress.archivers.zip.ZipArchiveEntry;
import org.apache.commons.compress.archivers.zip.ZipFile;

/**
 * Reads one PyTorch zip file of any size, mapped read-only: the tensors are views of its uncompressed entries. Borrows
 * its memory from the arena it was opened with.
 */
public final class TorchFile {
    /** A thousand times the pickle of a 70B checkpoint's shard. */
    private static final long MAX_PICKLE_BYTES = 64L << 20;

    /** First bytes of a zip file's first entry. */
    private static final byte[] ZIP = {'P', 'K', 3, 4};

    /** torch.save before 1.6 begins with a pickle of its magic number, 0x1950a86a20f9469cfc6c. */
    private static final byte[] LEGACY = {(byte) 0x80, 2, (byte) 0x8a, 10, 0x6c, (byte) 0xfc, (byte) 0x9c, 0x46};

    /** Where training scripts put the weights when they save more than these; one may hold another. */
    private static final List<String> NESTED =
            List.of("model", "state_dict", "module", "model_state_dict", "state", "weights", "params", "ema");

    private static final int MOST_NESTED = 20;

    private final Path path;
    private final SequencedMap<String, TensorView> tensors;

    private TorchFile(Path path, SequencedMap<String, TensorView> tensors) {
        this.path = path;
        this.tensors = Collections.unmodifiableSequencedMap(tensors);
    }

    /**
     * Maps and checks a file; its tensors live as long as {@code arena}. The pickle holds a dict of tensors by name, or
     * has one under {@code model}, {@code state_dict}, {@code module} or the like; of several the one with the most.
     *
     * @throws BadCheckpointException if it is absent, damaged, of the format before PyTorch 1.6, or asks for anything
     *     that is not a tensor
     */
    public static TorchFile open(Path path, Arena arena) {
        SourceFile.require(path, Content.ZIP, Content.EMPTY_ZIP, Content.PICKLE);
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
            MemorySegment bytes = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
            requireZip(path, bytes);
            Map<String, MemorySegment> entries = entries(path, bytes);
            return new TorchFile(path, tensors(path, entries));
        } catch (NoSuchFileException e) {
            throw new BadCheckpointException(path, "no such file; get the whole checkpoint again", e);
        } catch (IOException e) {
            throw new BadCheckpointException(path, "cannot be read: " + Reasons.of(e), e);
        }
    }

    private static void requireZip(Path path, MemorySegment bytes) {
        if (startsWith(bytes, LEGACY)) {
            throw new BadCheckpointException(
                    path,
                    "byte 0: this is PyTorch's format of before version 1.6, which is not read; use the model's"
                            + " safetensors version, or load the file in PyTorch and save it again");
        }
        if (!startsWith(bytes, ZIP)) {
            throw new BadCheckpointException(
                    path, "byte 0: found no zip file, as PyTorch writes it; the file is damaged or of another kind");
        }
    }

    private static boolean startsWith(MemorySegment bytes, byte[] start) {
        return bytes.byteSize() >= start.length
                && bytes.asSlice(0, start.length).mismatch(MemorySegment.ofArray(start)) == -1;
    }

    /** The entries, without the folder that they all lie in. */
    private static Map<String, MemorySegment> entries(Path path, MemorySegment bytes) {
        Map<String, MemorySegment> entries = new HashMap<>();
        String folder = null;
        try (ZipFile zip = ZipFile.builder().setPath(path).get()) {
            for (ZipArchiveEntry entry : Collections.list(zip.getEntries())) {
                String name = entry.getName();
                int slash = name.indexOf('/');
                if (slash < 0 || folder != null && !folder.equals(name.substring(0, slash))) {
                    throw new BadCheckpointException(
                            path, "zip entry " + name + " is not in the one folder of a PyTorch file");
                }
                folder = name.substring(0, slash);
                long begin = entry.getDataOffset();
                long size = entry.getSize();
                if (entry.getMethod() != ZipEntry.STORED || entry.getCompressedSize() != size) {
                    throw new BadCheckpointException(
                            path, "zip entry " + name + " is compressed; PyTorch stores its entries uncompressed");
                }
                if (begin < 0 || size < 0 || size > bytes.byteSize() - begin) {
                    throw new BadCheckpointException(
                            path,
                            "zip entry " + name + ": " + size + " bytes from byte " + begin + " on, the file has "
                                    + bytes.byteSize() + "; it was cut short, get it again");
                }
                if (entries.put(name.substring(slash + 1), bytes.asSlice(begin, size)) != null) {
                    throw new BadCheckpointException(path, "zip entry " + name + " comes twice; the file is damaged");
                }
            }
        } catch (IOException | IllegalArgumentException | ArithmeticException e) {
            throw new BadCheckpointException(
                    path,
                    "found no valid zip file (" + Reasons.of(e) + "); it was cut short or damaged, get it again",
                    e);
        }
        return entries;
    }

    private static SequencedMap<String, TensorView> tensors(Path path, Map<String, MemorySegment> entries) {
        MemorySegment order = entries.get("byteorder");
        if (order != null && !text(order).equals("little")) {
            throw new BadCheckpointException(
                    path, "byteorder \"" + text(order) + "\" is not supported; save it on a little-endian machine");
        }
        MemorySegment pickle = entries.get("data.pkl");
        if (pickle == null || entries.keySet().stream().anyMatch(name -> name.startsWith("code/"))) {
            throw new BadCheckpointException(
                    path,
                    "a zip file but not torch.save's of tensors ("
                            + (pickle == null ? "no data.pkl" : "it is TorchScript")
                            + "); use the model's safetensors version");
        }
        if (pickle.byteSize() > MAX_PICKLE_BYTES) {
            throw new BadCheckpointException(
                    path, "data.pkl of " + pickle.byteSize() + " bytes, at most " + MAX_PICKLE_BYTES + " are read");
        }
        PickleValue root = Unpickler.read(path, "data.pkl", pickle.asByteBuffer());
        SequencedMap<String, TensorView> tensors = new LinkedHashMap<>();
        stateDict(path, root).byText.forEach((name, value) -> {
            if (value instanceof Tensor tensor) {
                tensors.put(name, view(path, name, tensor, entries));
            }
        });
        return tensors;
    }

    private static String text(MemorySegment bytes) {
        byte[] start = bytes.asSlice(0, Math.min(20, bytes.byteSize())).toArray(ValueLayout.JAVA_BYTE);
        return new String(start, StandardCharsets.ISO_8859_1).strip();
    }

    private static Dict stateDict(Path path, PickleValue root) {
        Dict most =
                root instanceof Dict dict ? most(dict, Collections.newSetFromMap(new IdentityHashMap<>())) : new Dict();
        if (tensors(most) == 0) {
            throw new BadCheckpointException(
                    path,
                    "holds no dict of tensors, neither by itself nor under one of " + NESTED
                            + "; this is no checkpoint");
        }
        return most;
    }

    /** A counter or a seed beside the weights is a tensor too: the dict with the most of them is the model. */
    private static Dict most(Dict dict, Set<Dict> seen) {
        Dict best = dict;
        for (String key : NESTED) {
            // A pickle may hold one dict many times, or in itself.
            if (dict.byText.get(key) instanceof Dict inner && seen.size() < MOST_NESTED && seen.add(inner)) {
                Dict found = most(inner, seen);
                best = tensors(found) > tensors(best) ? found : best;
            }
        }
        return best;
    }

    private static long tensors(Dict dict) {
        return dict.byText.values().stream().filter(Tensor.class::isInstance).count();
    }

    private static TensorView view(Path path, String name, Tensor tensor, Map<String, MemorySegment> entries) {
        PickleValue.Storage storage = tensor.storage();
        MemorySegment data = entries.get("data/" + storage.key());
        if (data == null) {
            throw new BadCheckpointException(
                    path,
                    "tensor " + name + ": its data, zip entry data/" + storage.key() + ", is missing; get it again");
        }
        Shape shape;
        long end;
        try {
            shape = new Shape(tensor.size());
            end = Math.multiplyExact(Math.addExact(tensor.offset(), shape.elements()), (long)
                    storage.dtype().bytes());
        } catch (ArithmeticException e) {
            throw new BadCheckpointException(path, "tensor " + name + ": more elements than fit 2^63 bytes", e);
        }
        if (tensor.offset() < 0 || end > data.byteSize()) {
            throw new BadCheckpointException(
                    path,
                    "tensor " + name + ": " + shape + " from element " + tensor.offset() + " on ends at byte " + end
                            + " of zip entry data/" + storage.key() + ", which has " + data.byteSize()
                            + "; the file is damaged, get it again");
        }
        requireContiguous(path, name, tensor);
        long begin = tensor.offset() * storage.dtype().bytes();
        return new TensorView(name, storage.dtype(), shape, data.asSlice(begin, end - begin));
    }

    private static void requireContiguous(Path path, String name, Tensor tensor) {
        long expected = 1;
        for (int axis = tensor.size().size() - 1; axis >= 0; axis--) {
            long extent = tensor.size().get(axis);
            if (extent != 1 && tensor.stride().get(axis) != expected) {
                throw new BadCheckpointException(
                        path,
                        "tensor " + name + ": size " + tensor.size() + " with strides " + tensor.stride()
                                + " is not contiguous, which is not read; save it after .contiguous()");
            }
            expected *= Math.max(1, extent);
        }
    }

    public Path path() {
        return path;
    }

    /** Returns the tensors in the order of the pickle. */
    public SequencedMap<String, TensorView> tensors() {
        return tensors;
    }
}
