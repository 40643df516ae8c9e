package nibble.checkpoint;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.TensorSpec;

/**
 * Writes PyTorch zip files as torch.save does: a protocol 2 pickle of a state dict, a stored entry for each storage.
 */
public final class TorchZip {
    private final ByteArrayOutputStream pickle = new ByteArrayOutputStream();

    private TorchZip() {}

    /** A file of these tensors. */
    public static Path write(Path file, SequencedMap<TensorSpec, byte[]> tensors) throws IOException {
        return write(file, pickle(tensors), tensors);
    }

    /**
     * The same as a training script saves it: the tensors in dicts inside one another, with a number and a tensor
     * beside them in each.
     *
     * @param keys where they lie, outermost first
     */
    public static Path writeUnder(Path file, List<String> keys, SequencedMap<TensorSpec, byte[]> tensors)
            throws IOException {
        TorchZip writer = new TorchZip();
        writer.code("\u0080\u0002");
        for (String key : keys) {
            writer.code("}(");
            writer.text("epoch");
            writer.code("K\u0003");
            TensorSpec first = tensors.firstEntry().getKey();
            writer.tensor(new TensorSpec("step", first.dtype(), first.shape()), 0);
            writer.text(key);
        }
        byte[] inner = pickle(tensors);
        writer.pickle.write(inner, 2, inner.length - 3);
        writer.code("u".repeat(keys.size()) + ".");
        return write(file, writer.pickle.toByteArray(), tensors);
    }

    private static Path write(Path file, byte[] pickle, SequencedMap<TensorSpec, byte[]> tensors) throws IOException {
        try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(file))) {
            store(zip, "archive/data.pkl", pickle);
            store(zip, "archive/byteorder", "little".getBytes(StandardCharsets.US_ASCII));
            int key = 0;
            for (Map.Entry<TensorSpec, byte[]> tensor : tensors.entrySet()) {
                store(zip, "archive/data/" + key++, tensor.getValue());
            }
            store(zip, "archive/version", "3\n".getBytes(StandardCharsets.US_ASCII));
        }
        return file;
    }

    /** A file of any pickle, with one storage of 64 zero bytes. */
    public static Path write(Path file, byte[] pickle) throws IOException {
        try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(file))) {
            store(zip, "archive/data.pkl", pickle);
            store(zip, "archive/data/0", new byte[64]);
        }
        return file;
    }

    private static void store(ZipOutputStream zip, String name, byte[] content) throws IOException {
        ZipEntry entry = new ZipEntry(name);
        entry.setMethod(ZipEntry.STORED);
        entry.setSize(content.length);
        CRC32 crc = new CRC32();
        crc.update(content);
        entry.setCrc(crc.getValue());
        zip.putNextEntry(entry);
        zip.write(content);
        zip.closeEntry();
    }

    public static byte[] pickle(SequencedMap<TensorSpec, byte[]> tensors) {
        TorchZip writer = new TorchZip();
        writer.code("\u0080\u0002ccollections\nOrderedDict\n)Rq\u0000(");
        int key = 0;
        for (TensorSpec spec : tensors.keySet()) {
            writer.tensor(spec, key++);
        }
        writer.code("u}X\t\u0000\u0000\u0000_metadata}sb.");
        return writer.pickle.toByteArray();
    }

    private void tensor(TensorSpec spec, int key) {
        text(spec.name());
        code("ctorch._utils\n_rebuild_tensor_v2\n((");
        text("storage");
        code("ctorch\n" + storage(spec.dtype()) + "\n");
        text(String.valueOf(key));
        text("cpu");
        number(spec.shape().elements());
        code("tQK\u0000(");
        spec.shape().dims().forEach(this::number);
        code("t(");
        for (int axis = 0; axis < spec.shape().rank(); axis++) {
            long stride = 1;
            for (int inner = axis + 1; inner < spec.shape().rank(); inner++) {
                stride *= spec.shape().dim(inner);
            }
            number(stride);
        }
        code("t\u0089ccollections\nOrderedDict\n)RtR");
    }

    private static String storage(DType dtype) {
        return switch (dtype) {
            case F64 -> "DoubleStorage";
            case F32 -> "FloatStorage";
            case F16 -> "HalfStorage";
            case BF16 -> "BFloat16Storage";
            case I64 -> "LongStorage";
            case I32 -> "IntStorage";
            case I16 -> "ShortStorage";
            case I8 -> "CharStorage";
            case U8 -> "ByteStorage";
            case BOOL -> "BoolStorage";
            default -> throw new IllegalArgumentException("PyTorch has no storage of " + dtype + " here");
        };
    }

    private void text(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        code("X");
        pickle.writeBytes(ByteBuffer.allocate(4)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putInt(bytes.length)
                .array());
        pickle.writeBytes(bytes);
    }

    private void number(long value) {
        code("J");
        pickle.writeBytes(ByteBuffer.allocate(4)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putInt((int) value)
                .array());
    }

    private void code(String latin1) {
        pickle.writeBytes(latin1.getBytes(StandardCharsets.ISO_8859_1));
    }
}
