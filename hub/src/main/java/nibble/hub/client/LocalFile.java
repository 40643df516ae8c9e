package nibble.hub.client;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.files.Reasons;

/**
 * Holds a file to publish, hashed.
 *
 * @param path path in the repository
 * @param file where it lies
 * @param bytes its length
 * @param modifiedMillis when it was last changed; it must still be so when it is sent
 * @param sha256 64 hexadecimal digits
 */
public record LocalFile(String path, Path file, long bytes, long modifiedMillis, String sha256) {
    private static final int SAMPLE_BYTES = 512;

    /** The first 512 bytes, from which the hub tells text from binary. */
    byte[] sample() {
        try (InputStream in = Files.newInputStream(file)) {
            return in.readNBytes(SAMPLE_BYTES);
        } catch (IOException e) {
            throw unreadable(e);
        }
    }

    public byte[] content() {
        try {
            return Files.readAllBytes(file);
        } catch (IOException e) {
            throw unreadable(e);
        }
    }

    String gitBlobId() {
        try {
            return GitBlobId.of(file, bytes);
        } catch (IOException e) {
            throw unreadable(e);
        }
    }

    /** Returns whether the repository's file, known by git's or LFS's name for it, is this one already. */
    public boolean sameAs(HubApi.Preupload remote) {
        if (remote.remoteOid().isEmpty()) {
            return false;
        }
        // By the name's own form: an empty file is in git although its like would be large.
        return remote.remoteOid().length() == sha256.length()
                ? remote.remoteOid().equals(sha256)
                : remote.remoteOid().equals(gitBlobId());
    }

    private BadCheckpointException unreadable(IOException e) {
        return new BadCheckpointException(
                file, "cannot be read: " + Reasons.of(e) + "; check the file and its permissions", e);
    }

    /**
     * Checks that the file is what was hashed.
     *
     * @throws BadCheckpointException if the file is not what was hashed
     */
    public void requireUnchanged() {
        try {
            if (Files.size(file) != bytes || Files.getLastModifiedTime(file).toMillis() != modifiedMillis) {
                throw new BadCheckpointException(file, "changed while it was being published; run again");
            }
        } catch (IOException e) {
            throw unreadable(e);
        }
    }
}
