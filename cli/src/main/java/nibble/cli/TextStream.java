package nibble.cli;

import java.util.Arrays;
import java.util.List;
import nibble.datasets.Tokenizer;

/**
 * Prints tokens as they come. A character of several byte tokens is held back until it is whole, and what a token means
 * may depend on the one before it, so each step decodes from the last printed token on. Text that may be the beginning of a
 * stop text is held back too.
 */
final class TextStream {
    private static final char REPLACEMENT = '\uFFFD';

    private final Tokenizer tokenizer;
    private final Terminal terminal;
    private final List<String> stops;
    private final StringBuilder held = new StringBuilder();
    private final StringBuilder shown = new StringBuilder();
    private int[] ids = new int[64];
    private int count;
    /** First token of the piece that is decoded anew at each step, and how many of its tokens are printed. */
    private int pieceStart;

    private int printed;
    private boolean stopped;

    /** @param stops texts that end the stream and are not printed */
    TextStream(Tokenizer tokenizer, Terminal terminal, List<String> stops) {
        this.tokenizer = tokenizer;
        this.terminal = terminal;
        this.stops = stops;
    }

    int tokens() {
        return count;
    }

    /** What was printed. */
    String text() {
        return shown.toString();
    }

    /**
     * Takes the next token.
     *
     * @return whether the text goes on: false once a stop text has come, or nothing more can be printed
     */
    boolean add(int id) {
        if (count == ids.length) {
            ids = Arrays.copyOf(ids, 2 * count);
        }
        ids[count++] = id;
        String before = tokenizer.decode(Arrays.copyOfRange(ids, pieceStart, printed));
        String now = tokenizer.decode(Arrays.copyOfRange(ids, pieceStart, count));
        if (now.length() > before.length() && now.charAt(now.length() - 1) != REPLACEMENT) {
            held.append(now, before.length(), now.length());
            pieceStart = printed;
            printed = count;
            printWhatIsSure();
        }
        return !stopped;
    }

    private void printWhatIsSure() {
        int sure = held.length();
        for (String stop : stops) {
            int at = held.indexOf(stop);
            if (at >= 0) {
                stopped = true;
                sure = Math.min(sure, at);
            }
        }
        if (stopped) {
            print(held.substring(0, sure));
            held.setLength(0);
            return;
        }
        for (String stop : stops) {
            for (int length = Math.min(stop.length() - 1, held.length()); length > 0; length--) {
                if (stop.startsWith(held.substring(held.length() - length))) {
                    sure = Math.min(sure, held.length() - length);
                    break;
                }
            }
        }
        print(held.substring(0, sure));
        held.delete(0, sure);
    }

    /** Prints what was held back in vain, and ends the line. */
    void end() {
        print(held.toString());
        held.setLength(0);
        terminal.out().println();
        terminal.out().flush();
    }

    private void print(String text) {
        shown.append(text);
        terminal.out().print(text);
        terminal.out().flush();
        // Nobody will read what comes next.
        stopped |= terminal.lostOutput().isPresent();
    }
}
