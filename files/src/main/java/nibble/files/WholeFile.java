package nibble.files;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Objects;
import java.util.UUID;

/**
 * Writes small files whole or not at all: under another name first, which takes the file's place. What cannot be
 * replaced (a device, a pipe, a file that is a mount point) is written in place. Nothing else is left, whatever fails.
 */
public final class WholeFile {
    private static final int SHORT_NAME = 40;

    private WholeFile() {}

    /** Writes a file as UTF-8, in the place of one that is there; links are followed. */
    public static void write(Path file, String text) throws IOException {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        Path target = target(file);
        if (inPlace(target)) {
            Files.write(target, bytes, StandardOpenOption.WRITE);
            return;
        }
        Path temporary = temporary(target);
        try {
            Files.write(temporary, bytes, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
            try {
                Files.move(temporary, target, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
            } catch (FileSystemException e) {
                if (!Files.isRegularFile(target)) {
                    throw e;
                }
                // A mount point of a single file, as a container's volume may be.
                Files.write(target, bytes, StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING);
            }
        } finally {
            Files.deleteIfExists(temporary);
        }
    }

    /**
     * Tries, before work that takes long, whether {@link #write} could write a file: makes and removes one beside it.
     *
     * @throws IOException as {@link #write} would throw
     */
    public static void probe(Path file) throws IOException {
        Path target = target(file);
        if (Files.isDirectory(target)) {
            throw new FileSystemException(target.toString(), null, "it is a folder; give a file's name");
        }
        if (inPlace(target)) {
            if (!Files.isWritable(target)) {
                throw new AccessDeniedException(target.toString());
            }
            return;
        }
        Path parent = Objects.requireNonNull(target.getParent());
        if (!Files.isDirectory(parent)) {
            throw new FileSystemException(target.toString(), null, "no folder " + parent + "; make it first");
        }
        // By its own name, so that one too long is found; a file that is there is left alone.
        Path probe = Files.exists(target, LinkOption.NOFOLLOW_LINKS) ? temporary(target) : target;
        Files.write(probe, new byte[0], StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
        Files.deleteIfExists(probe);
    }

    /** Where links lead: the file they name is replaced, not they. */
    private static Path target(Path file) throws IOException {
        Path target = file.toAbsolutePath();
        return Files.exists(target) ? target.toRealPath() : target;
    }

    private static boolean inPlace(Path target) throws IOException {
        return Files.exists(target)
                && Files.readAttributes(target, BasicFileAttributes.class).isOther();
    }

    private static Path temporary(Path target) {
        String name = String.valueOf(target.getFileName());
        String shown = name.length() > SHORT_NAME ? name.substring(0, SHORT_NAME) : name;
        return target.resolveSibling(
                "." + shown + "." + UUID.randomUUID().toString().substring(0, 8) + ".tmp");
    }
}
