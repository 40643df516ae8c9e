package nibble.checkpoint;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import nibble.checkpoint.gguf.GgufSplit;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.FolderNames;

/** Finds the GGUF file that a path means. A file is one by its first bytes, whatever its name. */
public final class GgufLocation {
    private static final byte[] MAGIC = {'G', 'G', 'U', 'F'};
    private static final String SUFFIX = ".gguf";

    /**
     * Beginnings of the names of GGUF files that lie beside a model: of what it sees, and of what weighs its columns.
     */
    private static final List<String> BESIDE = List.of("mmproj", "imatrix");

    private GgufLocation() {}

    /** Returns whether a file is GGUF, by its first bytes, or at least is named as one. */
    public static boolean isGguf(Path file) {
        return Files.isRegularFile(file) && (isNamed(file.toString()) || hasMagic(file));
    }

    /** Returns whether it is a GGUF file and by its name none that lies beside a model. */
    public static boolean isModel(Path file) {
        String name = String.valueOf(file.getFileName()).toLowerCase(Locale.ROOT);
        return BESIDE.stream().noneMatch(name::startsWith) && isGguf(file);
    }

    private static boolean isNamed(String name) {
        return name.toLowerCase(Locale.ROOT).endsWith(SUFFIX);
    }

    private static boolean hasMagic(Path file) {
        try (InputStream in = Files.newInputStream(file)) {
            return Arrays.equals(in.readNBytes(MAGIC.length), MAGIC);
        } catch (IOException e) {
            // Who opens it will say why it cannot be read.
            return false;
        }
    }

    /**
     * Returns the file itself where {@code path} is one, else the only one of a folder whose weights lie in no other
     * format. A config.json beside it does not matter: GGUF says all by itself.
     *
     * @throws BadCheckpointException if a folder holds several that are not one model
     */
    public static Optional<Path> of(Path path) {
        if (!Files.isDirectory(path)) {
            return Optional.of(path).filter(GgufLocation::isGguf);
        }
        List<String> found = models(path);
        Optional<String> split = GgufSplit.first(found);
        if (split.isPresent()) {
            return split.map(path::resolve);
        }
        if (found.size() > 1) {
            throw new BadCheckpointException(
                    path, found.size() + " GGUF files (" + found.getFirst() + ", ...); give the path of one");
        }
        return found.stream().map(path::resolve).findFirst();
    }

    /**
     * Returns the first GGUF model of a folder that holds no other weights, however many there are. For what all of
     * them have in common, as a chat template.
     */
    public static Optional<Path> first(Path folder) {
        return Files.isDirectory(folder)
                ? models(folder).stream().map(folder::resolve).findFirst()
                : Optional.empty();
    }

    /** Names of the GGUF models of a folder that holds no other weights. */
    private static List<String> models(Path folder) {
        List<String> names = FolderNames.of(folder);
        if (WeightFiles.areAmong(names) || names.contains(MetaFolder.PARAMS)) {
            return List.of();
        }
        List<String> models =
                names.stream().filter(name -> isModel(folder.resolve(name))).toList();
        List<String> named = models.stream().filter(GgufLocation::isNamed).toList();
        // A download that was not finished has the first bytes, but another name.
        return named.isEmpty() ? models : named;
    }
}
