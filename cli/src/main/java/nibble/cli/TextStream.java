package nibble.cli;

import java.util.Arrays;
import nibble.datasets.Tokenizer;

/**
 * Prints tokens as they come. A character of several byte tokens is held back until it is whole, and what a token means
 * may depend on the one before it, so each step decodes from the last printed token on.
 */
final class TextStream {
    private static final char REPLACEMENT = '\uFFFD';

    private final Tokenizer tokenizer;
    private final Terminal terminal;
    private int[] ids = new int[64];
    private int count;
    /** First token of the piece that is decoded anew at each step, and how many of its tokens are printed. */
    private int pieceStart;

    private int printed;

    TextStream(Tokenizer tokenizer, Terminal terminal) {
        this.tokenizer = tokenizer;
        this.terminal = terminal;
    }

    int tokens() {
        return count;
    }

    void add(int id) {
        if (count == ids.length) {
            ids = Arrays.copyOf(ids, 2 * count);
        }
        ids[count++] = id;
        String before = tokenizer.decode(Arrays.copyOfRange(ids, pieceStart, printed));
        String now = tokenizer.decode(Arrays.copyOfRange(ids, pieceStart, count));
        if (now.length() > before.length() && now.charAt(now.length() - 1) != REPLACEMENT) {
            terminal.out().print(now.substring(before.length()));
            terminal.out().flush();
            pieceStart = printed;
            printed = count;
        }
    }
}
