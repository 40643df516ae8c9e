package nibble.files.digest;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Hashes what is read through it: a stream that {@link HashedOutput} wrote. Does not close what it reads. */
public final class HashedInput extends InputStream {
    private final InputStream from;
    private final Sha256 sha256 = new Sha256();

    public HashedInput(InputStream from) {
        this.from = from;
    }

    @Override
    public int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] bytes, int at, int count) throws IOException {
        int read = from.read(bytes, at, count);
        if (read > 0) {
            sha256.add(Arrays.copyOfRange(bytes, at, at + read));
        }
        return read;
    }

    /**
     * Reads the hash at the end.
     *
     * @throws IOException if it is not that of what was read, or is not the end
     */
    public void end() throws IOException {
        String found = sha256.hex();
        String expected = new String(from.readNBytes(found.length()), StandardCharsets.US_ASCII);
        if (!found.equals(expected) || from.read() >= 0) {
            throw new IOException("content with sha256 " + found + ", expected " + expected);
        }
    }
}
