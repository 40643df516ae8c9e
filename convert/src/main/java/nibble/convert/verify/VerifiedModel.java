package nibble.convert.verify;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Consumer;
import nibble.checkpoint.GgufLocation;
import nibble.checkpoint.gguf.GgufSplit;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.RepositoryFiles;

/**
 * What there is to verify under a path.
 *
 * @param path a folder, or a GGUF file
 * @param files all files of a folder by their path in it, or the one file by its name
 * @param gguf the GGUF models: a file each, of several parts the first that is there
 * @param hasCheckpoint whether the folder is, or should be, a checkpoint with weights of another kind
 */
record VerifiedModel(Path path, SortedMap<String, Path> files, List<Path> gguf, boolean hasCheckpoint) {
    VerifiedModel {
        files = Collections.unmodifiableSortedMap(new TreeMap<>(files));
        gguf = List.copyOf(gguf);
    }

    /**
     * @param refused told of each folder in it that cannot be read
     * @throws BadCheckpointException if there is nothing, or a file that is no GGUF
     */
    static VerifiedModel of(Path path, Consumer<BadCheckpointException> refused) {
        if (Files.isRegularFile(path)) {
            if (!GgufLocation.isGguf(path)) {
                throw new BadCheckpointException(path, "is a file; give the checkpoint's folder, or a GGUF file");
            }
            TreeMap<String, Path> one = new TreeMap<>();
            one.put(String.valueOf(path.getFileName()), path);
            return new VerifiedModel(path, one, List.of(path), false);
        }
        if (!Files.isDirectory(path)) {
            throw new BadCheckpointException(path, "no such folder; check the path");
        }
        SortedMap<String, Path> files = RepositoryFiles.list(path, refused);
        SortedMap<String, Path> models = new TreeMap<>();
        files.forEach((name, file) -> {
            if (GgufLocation.isModel(file)) {
                models.putIfAbsent(GgufSplit.set(name), file);
            }
        });
        boolean other = models.isEmpty()
                || files.entrySet().stream()
                        .anyMatch(file -> hasWeightsName(file.getKey()) && !GgufLocation.isModel(file.getValue()));
        return new VerifiedModel(path, files, new ArrayList<>(models.values()), other);
    }

    private static boolean hasWeightsName(String name) {
        return name.endsWith(".safetensors") || name.endsWith(".bin") || name.endsWith(".pth");
    }

    boolean isFolder() {
        return !gguf.contains(path);
    }

    /** What a file is called in the list of files. */
    String name(Path file) {
        return isFolder() ? path.relativize(file).toString().replace('\\', '/') : String.valueOf(file.getFileName());
    }
}
