package nibble.checkpoint.source;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import nibble.files.Content;
import nibble.files.Reasons;

/** Lists the kinds of files that hold tensors, told apart by how they begin. */
public enum FileKind {
    SAFETENSORS("safetensors"),
    TORCH("PyTorch"),
    GGUF("GGUF");

    private static final byte[] GGUF_START = {'G', 'G', 'U', 'F'};
    private static final byte[] ZIP_START = {'P', 'K', 3, 4};

    private final String label;

    FileKind(String label) {
        this.label = label;
    }

    /** Returns the name that people use. */
    public String label() {
        return label;
    }

    /**
     * Returns the kind of a file.
     *
     * @throws BadCheckpointException if it is none of these
     */
    public static FileKind of(Path file) {
        SourceFile.require(file, Content.GGUF, Content.ZIP, Content.EMPTY_ZIP, Content.PICKLE);
        byte[] start;
        try (InputStream in = Files.newInputStream(file)) {
            start = in.readNBytes(9);
        } catch (IOException e) {
            throw new BadCheckpointException(file, "cannot be read: " + Reasons.of(e), e);
        }
        if (startsWith(start, GGUF_START)) {
            return GGUF;
        }
        String name = String.valueOf(file.getFileName());
        if (startsWith(start, ZIP_START) || name.endsWith(".bin") || name.endsWith(".pt") || name.endsWith(".pth")) {
            return TORCH;
        }
        // The header's length, then its JSON.
        if (name.endsWith(".safetensors") || start.length == 9 && start[8] == '{' && start[7] == 0) {
            return SAFETENSORS;
        }
        throw new BadCheckpointException(
                file, "is no safetensors, GGUF or PyTorch file; give one of these, or a checkpoint's folder");
    }

    private static boolean startsWith(byte[] bytes, byte[] start) {
        return bytes.length >= start.length && Arrays.equals(bytes, 0, start.length, start, 0, start.length);
    }
}
