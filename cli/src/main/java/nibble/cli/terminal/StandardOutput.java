package nibble.cli.terminal;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Standard output that remembers why it refused, which a {@link PrintWriter} by itself keeps to itself. */
final class StandardOutput extends PrintWriter {
    private final Remembering stream;

    private StandardOutput(Remembering stream) {
        super(stream, true, StandardCharsets.UTF_8);
        this.stream = stream;
    }

    static StandardOutput ofProcess() {
        return new StandardOutput(new Remembering(new FileOutputStream(FileDescriptor.out)));
    }

    /** What the system said when it first refused a text; empty as long as it took all. */
    Optional<IOException> refusal() {
        flush();
        return Optional.ofNullable(stream.refusal);
    }

    private static final class Remembering extends OutputStream {
        private final OutputStream next;
        private volatile @Nullable IOException refusal;

        Remembering(OutputStream next) {
            this.next = next;
        }

        @Override
        public void write(int b) throws IOException {
            write(new byte[] {(byte) b}, 0, 1);
        }

        @Override
        public void write(byte[] bytes, int from, int count) throws IOException {
            try {
                next.write(bytes, from, count);
            } catch (IOException e) {
                if (refusal == null) {
                    refusal = e;
                }
                throw e;
            }
        }
    }
}
