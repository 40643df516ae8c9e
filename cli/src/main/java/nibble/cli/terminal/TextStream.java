package nibble.cli.terminal;

import java.util.Arrays;
import java.util.List;
import nibble.datasets.Tokenizer;

/**
 * Prints tokens as they come. A character of several byte tokens is held back until it is whole, and what a token means
 * may depend on the one before it, so each step decodes from the last printed token on. Text that may be the beginning of a
 * stop text is held back too.
 */
public final class TextStream {
    private static final char REPLACEMENT = '\uFFFD';

    /** No character has more tokens before the one that ends it, and none changes what a token further behind means. */
    private static final int CONTEXT = 16;

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
    private final int given;
    private boolean stopped;

    /**
     * @param stops texts that end the stream and are not printed
     * @param before ids that the stream goes on from: what its first tokens mean depends on them
     */
    public TextStream(Tokenizer tokenizer, Terminal terminal, List<String> stops, int[] before) {
        this.tokenizer = tokenizer;
        this.terminal = terminal;
        this.stops = stops;
        count = Math.min(before.length, CONTEXT);
        System.arraycopy(before, before.length - count, ids, 0, count);
        printed = count;
        given = count;
    }

    public int tokens() {
        return count - given;
    }

    /** What was printed. */
    public String text() {
        return shown.toString();
    }

    /**
     * Takes the next token.
     *
     * @return whether the text goes on: false once a stop text has come, or nothing more can be printed
     */
    public boolean add(int id) {
        if (count == ids.length) {
            ids = Arrays.copyOf(ids, 2 * count);
        }
        ids[count++] = id;
        String text = unprinted();
        if (!text.isEmpty() && text.charAt(text.length() - 1) != REPLACEMENT) {
            held.append(text);
            pieceStart = printed;
            printed = count;
            printWhatIsSure();
        }
        return !stopped;
    }

    /** What the tokens since the last printed one mean behind those before them. */
    private String unprinted() {
        String before = tokenizer.decode(Arrays.copyOfRange(ids, pieceStart, printed));
        String now = tokenizer.decode(Arrays.copyOfRange(ids, pieceStart, count));
        return now.length() > before.length() ? now.substring(before.length()) : "";
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

    /** Prints what was held back in vain, and ends the line. Bytes that came to no character are shown as the replacement one. */
    public void end() {
        if (!stopped) {
            held.append(unprinted());
        }
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
