package nibble.calibrate.tune;

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.OptionalInt;
import java.util.zip.CRC32C;
import java.util.zip.CheckedInputStream;
import java.util.zip.CheckedOutputStream;
import nibble.files.output.Durable;
import nibble.files.output.FreeSpace;
import nibble.files.output.OutputException;

/** The file that a tuning continues from: the number of steps done, what {@link Adam} writes, and a checksum. */
final class TuningState {
    private static final String NAME = "tuning.state";
    private static final int BUFFER = 1 << 16;
    /** One part in so many stays free: the tensors that tuning changes are smaller than that. */
    private static final int SPARE = 8;

    private final Path file;

    TuningState(Path folder) {
        this.file = folder.resolve(NAME);
    }

    /**
     * Saves, durably; the one before stays until this one is whole.
     *
     * @return whether it did; not on a disk that would be full after it, which the output needs first
     */
    boolean save(int steps, Adam adam) {
        if (FreeSpace.of(file) < adam.bytes() + adam.bytes() / SPARE) {
            return false;
        }
        Path partial = file.resolveSibling(NAME + ".partial");
        CRC32C checksum = new CRC32C();
        try {
            try (DataOutputStream out = new DataOutputStream(new CheckedOutputStream(
                    new BufferedOutputStream(Files.newOutputStream(partial), BUFFER), checksum))) {
                out.writeInt(steps);
                adam.write(out);
                out.writeLong(checksum.getValue());
            }
            Durable.sync(partial);
            Files.move(partial, file, StandardCopyOption.ATOMIC_MOVE);
            Durable.sync(file.resolveSibling("."));
            return true;
        } catch (IOException e) {
            throw OutputException.of(file, "saving the state of tuning", e);
        }
    }

    /**
     * Takes up what was saved.
     *
     * @param adam as it begins; becomes as it was saved
     * @return steps done; nothing if there is no whole file
     */
    OptionalInt read(Adam adam) {
        if (!isWhole()) {
            return OptionalInt.empty();
        }
        try (DataInputStream in = new DataInputStream(new BufferedInputStream(Files.newInputStream(file), BUFFER))) {
            int steps = in.readInt();
            adam.read(in);
            return OptionalInt.of(steps);
        } catch (IOException e) {
            throw OutputException.of(file, "reading the state of tuning", e);
        }
    }

    private boolean isWhole() {
        if (!Files.exists(file)) {
            return false;
        }
        CRC32C checksum = new CRC32C();
        try (DataInputStream in = new DataInputStream(
                new CheckedInputStream(new BufferedInputStream(Files.newInputStream(file), BUFFER), checksum))) {
            long rest = Files.size(file) - Long.BYTES;
            while (rest > 0) {
                rest -= in.readNBytes((int) Math.min(BUFFER, rest)).length;
            }
            long expected = checksum.getValue();
            return rest == 0 && in.readLong() == expected;
        } catch (IOException e) {
            return false;
        }
    }
}
