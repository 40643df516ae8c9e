package nibble.cli;

import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/** Runs a command of nibble that waits, once its journal has so many parts, as long as a file is there. */
final class HeldNibble {
    private HeldNibble() {}

    /**
     * @param arguments the journal, the number of parts, the file that is made and waited for, and nibble's arguments
     */
    public static void main(String[] arguments) {
        Path journal = Path.of(arguments[0]);
        int parts = Integer.parseInt(arguments[1]);
        Path held = Path.of(arguments[2]);
        System.setErr(new PrintStream(new Held(System.err, journal, parts, held), true));
        Nibble.main(Arrays.copyOfRange(arguments, 3, arguments.length));
    }

    /** Whoever writes a line of progress waits, and so does the work. */
    private static final class Held extends FilterOutputStream {
        private final Path journal;
        private final int parts;
        private final Path held;
        private boolean released;

        Held(OutputStream out, Path journal, int parts, Path held) {
            super(out);
            this.journal = journal;
            this.parts = parts;
            this.held = held;
        }

        @Override
        public void write(byte[] bytes, int offset, int length) throws IOException {
            out.write(bytes, offset, length);
            if (released || KilledCommand.journaled(journal) < parts) {
                return;
            }
            Files.createFile(held);
            while (Files.exists(held)) {
                try {
                    Thread.sleep(2);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                    break;
                }
            }
            released = true;
        }
    }
}
