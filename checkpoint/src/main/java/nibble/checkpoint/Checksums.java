package nibble.checkpoint;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.FileDigest;
import nibble.checkpoint.source.Finding;
import nibble.checkpoint.source.SourceFile;
import nibble.files.Reasons;
import nibble.files.WholeFile;
import nibble.files.output.OutputException;

/**
 * Reads what a folder says of its own files' SHA-256: a {@code SHA256SUMS} as {@code sha256sum} writes and checks it,
 * and the names of a hub cache's blobs, which are the hashes of large files.
 */
public final class Checksums {
    public static final String FILE_NAME = "SHA256SUMS";

    private static final String CHECK = "sha256";
    private static final Pattern LINE = Pattern.compile("([0-9a-fA-F]{64}) [ *](.+)");
    private static final Pattern SHA256 = Pattern.compile("[0-9a-f]{64}");

    private Checksums() {}

    /** Compares what was read with what the folder states, if it states anything. */
    public static void check(Path folder, List<FileDigest> found, Consumer<Finding> findings) {
        Map<String, FileDigest> byPath = new HashMap<>();
        for (FileDigest file : found) {
            byPath.put(file.path(), file);
            blobName(folder.resolve(file.path()))
                    .ifPresent(expected -> compare(folder, file, expected, "its blob", findings));
        }
        Path sums = folder.resolve(FILE_NAME);
        // One that cannot be read is an unreadable file of the folder, which is said where all are read.
        if (!byPath.containsKey(FILE_NAME)) {
            return;
        }
        for (String line : lines(sums)) {
            Matcher form = LINE.matcher(line);
            if (!form.matches()) {
                findings.accept(Finding.error(
                        CHECK,
                        sums + ": line \"" + line
                                + "\" is not a SHA-256, two blanks and a name; write the file again"));
                continue;
            }
            FileDigest file = byPath.get(form.group(2));
            if (file == null && SourceFile.isNamed(folder.resolve(form.group(2)))) {
                continue;
            }
            if (file == null) {
                findings.accept(Finding.error(
                        CHECK, sums + ": names " + form.group(2) + ", which does not exist; get the missing file"));
            } else {
                compare(folder, file, form.group(1).toLowerCase(Locale.ROOT), FILE_NAME, findings);
            }
        }
    }

    private static void compare(Path folder, FileDigest file, String expected, String by, Consumer<Finding> findings) {
        if (!file.sha256().equals(expected)) {
            findings.accept(Finding.error(
                    CHECK,
                    folder.resolve(file.path()) + ": SHA-256 is " + file.sha256() + ", by " + by + " it was " + expected
                            + "; the file has changed since, get it again"));
        }
    }

    /**
     * The hash that a cache's link states: large files' blobs are named by it, small ones' by a git hash of 40 digits.
     */
    private static Optional<String> blobName(Path file) {
        try {
            if (Files.isSymbolicLink(file)) {
                String blob = String.valueOf(file.toRealPath().getFileName());
                return Optional.of(blob).filter(name -> SHA256.matcher(name).matches());
            }
        } catch (IOException e) {
            throw new BadCheckpointException(file, "the link cannot be followed: " + Reasons.of(e), e);
        }
        return Optional.empty();
    }

    private static List<String> lines(Path sums) {
        try {
            return Files.readAllLines(sums, StandardCharsets.UTF_8).stream()
                    .filter(line -> !line.isBlank())
                    .toList();
        } catch (IOException e) {
            throw new BadCheckpointException(sums, "cannot be read: " + Reasons.of(e), e);
        }
    }

    /**
     * Writes {@code SHA256SUMS} for the given files, without itself.
     *
     * @throws OutputException if the folder refuses
     */
    public static void write(Path folder, List<FileDigest> files) {
        List<String> lines = new ArrayList<>();
        for (FileDigest file : files) {
            if (!file.path().equals(FILE_NAME)) {
                lines.add(file.sha256() + "  " + file.path());
            }
        }
        Path sums = folder.resolve(FILE_NAME);
        try {
            WholeFile.write(sums, String.join("\n", lines) + "\n");
        } catch (IOException e) {
            throw OutputException.of(sums, "writing", e);
        }
    }
}
