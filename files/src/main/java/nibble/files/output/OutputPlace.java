package nibble.files.output;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import nibble.files.digest.Sha256;

/**
 * Where an output folder grows, and how it gets its name at the end: beside OUT, to be renamed in one piece; or, where
 * OUT is a folder that nothing can be renamed over (a mount point, as a container's volume is, or in a parent that
 * cannot be written), inside OUT, to be moved up file by file with config.json last.
 */
final class OutputPlace {
    /** Hidden files of any purpose need room for their prefix and suffix in a name of at most 255 bytes. */
    private static final int MOST_NAME_BYTES = 200;

    private static final Path MOUNTS = Path.of("/proc/self/mountinfo");
    private static final Pattern OCTAL = Pattern.compile("\\\\([0-7]{3})");

    /** Loaders take a folder for a model by this file. */
    private static final String LAST = "config.json";

    private final Path target;
    private final boolean inside;

    private OutputPlace(Path target, boolean inside) {
        this.target = target;
        this.inside = inside;
    }

    /**
     * Looks where {@code out} can grow.
     *
     * @throws IOException if the system refuses a folder of this name
     * @throws OutputException if it is the root of a file system
     */
    static OutputPlace of(Path out) throws IOException {
        Path target = out.toAbsolutePath().normalize();
        requireName(target);
        if (!Files.isDirectory(target)) {
            return new OutputPlace(target, false);
        }
        // A link to an empty folder: the folder itself is replaced.
        target = target.toRealPath();
        requireName(target);
        return new OutputPlace(
                target, isMountPoint(target) || !Files.isWritable(Objects.requireNonNull(target.getParent())));
    }

    /** One that grows inside {@code folder}, mount point or not. */
    static OutputPlace inside(Path folder) {
        return new OutputPlace(folder.toAbsolutePath().normalize(), true);
    }

    private static void requireName(Path target) throws IOException {
        if (target.getParent() == null || target.getFileName() == null) {
            throw new OutputException(target, "is the root of a file system; choose a folder in it");
        }
        try {
            // The system tells a name that it cannot have from one that is not there yet.
            Files.readAttributes(target, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
        } catch (NoSuchFileException e) {
            // As it should be.
        }
    }

    private static boolean isMountPoint(Path folder) throws IOException {
        if (!Files.getFileStore(folder).equals(Files.getFileStore(Objects.requireNonNull(folder.getParent())))) {
            return true;
        }
        if (!Files.isReadable(MOUNTS)) {
            return false;
        }
        // A folder of the same file system can be mounted too; only this list tells.
        for (String line : new String(Files.readAllBytes(MOUNTS), StandardCharsets.UTF_8).split("\n", -1)) {
            String[] fields = line.split(" ", 6);
            if (fields.length > 5 && unescaped(fields[4]).equals(folder.toString())) {
                return true;
            }
        }
        return false;
    }

    private static String unescaped(String field) {
        return OCTAL.matcher(field)
                .replaceAll(
                        match -> Matcher.quoteReplacement(String.valueOf((char) Integer.parseInt(match.group(1), 8))));
    }

    Path target() {
        return target;
    }

    /** Whether the output grows in the folder whose content it becomes. */
    boolean inside() {
        return inside;
    }

    /** A hidden folder for what is not finished, on the file system where the output will be. */
    Path hidden(String suffix) {
        if (inside) {
            return target.resolve(".nibble" + suffix);
        }
        String name = String.valueOf(target.getFileName());
        if (name.getBytes(StandardCharsets.UTF_8).length > MOST_NAME_BYTES) {
            String hash =
                    new Sha256().add(name.getBytes(StandardCharsets.UTF_8)).hex();
            name = name.substring(0, MOST_NAME_BYTES / 4) + "." + hash.substring(0, 16);
        }
        return target.resolveSibling("." + name + suffix);
    }

    /**
     * Refuses a file, and a folder that holds anything.
     *
     * @param own what may be in it nevertheless
     * @throws OutputException if it is occupied
     */
    void refuseOccupied(Path own) throws IOException {
        if (Files.isDirectory(target)) {
            try (Stream<Path> entries = Files.list(target)) {
                // A new disk's file system has a folder for what repairs find.
                if (entries.anyMatch(entry -> !entry.equals(own) && !(inside && entry.endsWith("lost+found")))) {
                    throw new OutputException(
                            target, "the output folder exists and is not empty; choose another or empty it first");
                }
            }
        } else if (Files.exists(target, LinkOption.NOFOLLOW_LINKS)) {
            throw new OutputException(target, "exists and is not a folder; choose another name for the output folder");
        }
    }

    /** Gives what was made in {@code folder} its name, durably; a move that was cut short may be done again. */
    void take(Path folder) throws IOException {
        if (!inside) {
            Files.move(folder, target, StandardCopyOption.ATOMIC_MOVE);
            Durable.sync(target.resolveSibling("."));
            return;
        }
        List<Path> entries = new ArrayList<>();
        try (Stream<Path> found = Files.list(folder)) {
            found.forEach(entries::add);
        }
        entries.sort(
                Comparator.comparing((Path entry) -> entry.endsWith(LAST)).thenComparing(Comparator.naturalOrder()));
        for (Path entry : entries) {
            if (entry.endsWith(LAST)) {
                Durable.sync(target);
            }
            Files.move(
                    entry, target.resolve(Objects.requireNonNull(entry.getFileName())), StandardCopyOption.ATOMIC_MOVE);
        }
        Files.delete(folder);
        Durable.sync(target);
    }
}
