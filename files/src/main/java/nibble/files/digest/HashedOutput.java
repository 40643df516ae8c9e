package nibble.files.digest;

import java.io.IOException;
import java.io.OutputStream;
import java.util.Arrays;

/** Hashes what is written through it. Does not close what it writes to. */
public final class HashedOutput extends OutputStream {
    private final OutputStream to;
    private final Sha256 sha256 = new Sha256();

    public HashedOutput(OutputStream to) {
        this.to = to;
    }

    @Override
    public void write(int one) throws IOException {
        write(new byte[] {(byte) one}, 0, 1);
    }

    @Override
    public void write(byte[] bytes, int from, int count) throws IOException {
        sha256.add(Arrays.copyOfRange(bytes, from, from + count));
        to.write(bytes, from, count);
    }

    @Override
    public void flush() throws IOException {
        to.flush();
    }

    /** Ends the stream with the hash of all that was written, as text. */
    public void end() throws IOException {
        to.write(sha256.hex().getBytes(java.nio.charset.StandardCharsets.US_ASCII));
        to.flush();
    }
}
