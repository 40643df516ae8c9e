package nibble.checkpoint.safetensors;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.StrictJson;

/**
 * Holds the index of a sharded checkpoint: {@code model.safetensors.index.json}, or {@code
 * pytorch_model.bin.index.json}, which has the same form.
 *
 * @param path where it was read
 * @param weightMap file name of each tensor, sorted by tensor name; every file name is plain: no folders, no {@code ..}
 */
public record SafetensorsIndex(Path path, SortedMap<String, String> weightMap) {
    public static final String FILE_NAME = "model.safetensors.index.json";

    /** The index of PyTorch shards. */
    public static final String TORCH_FILE_NAME = "pytorch_model.bin.index.json";

    public SafetensorsIndex {
        weightMap = Collections.unmodifiableSortedMap(new TreeMap<>(weightMap));
    }

    /**
     * Reads an index.
     *
     * @throws BadCheckpointException if it is malformed or names a file outside its folder
     */
    public static SafetensorsIndex read(Path path) {
        return read(path, ".safetensors");
    }

    /** Returns an index of files whose names end so. */
    public static SafetensorsIndex read(Path path, String extension) {
        ObjectNode json = StrictJson.readObject(path);
        if (!(json.get("weight_map") instanceof ObjectNode map)) {
            throw new BadCheckpointException(
                    path, "no object \"weight_map\" (tensor name to file name); get the file again");
        }
        SortedMap<String, String> files = new TreeMap<>();
        for (Map.Entry<String, JsonNode> entry : map.properties()) {
            if (!entry.getValue().isTextual()) {
                throw new BadCheckpointException(
                        path,
                        "tensor " + entry.getKey() + ": found a file name of JSON type "
                                + entry.getValue().getNodeType() + ", expected a string; get the file again");
            }
            String file = entry.getValue().textValue();
            checkPlain(path, entry.getKey(), file, extension);
            files.put(entry.getKey(), file);
        }
        if (files.isEmpty()) {
            throw new BadCheckpointException(
                    path, "weight_map is empty, expected the model's tensors; get the file again");
        }
        return new SafetensorsIndex(path, files);
    }

    /** Whether this system can have a file of this name at all. */
    private static boolean isPath(String file) {
        try {
            Path _ = Path.of(file);
            return true;
        } catch (InvalidPathException e) {
            return false;
        }
    }

    private static void checkPlain(Path path, String tensor, String file, String extension) {
        boolean leaves = file.isEmpty()
                || file.startsWith(".")
                || file.chars().anyMatch(c -> c == '/' || c == '\\' || c == ':' || c < ' ')
                || !isPath(file);
        if (leaves) {
            throw new BadCheckpointException(
                    path,
                    "tensor " + tensor + ": file name " + StrictJson.quoted(file)
                            + " is not a plain name inside the checkpoint's folder; do not use this checkpoint unless"
                            + " you trust its source, and correct the name");
        }
        if (!file.endsWith(extension)) {
            throw new BadCheckpointException(
                    path,
                    "tensor " + tensor + ": file " + StrictJson.quoted(file) + " is not a " + extension + " file");
        }
    }
}
