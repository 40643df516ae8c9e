package nibble.datasets;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Hands out the text of tokens as they come. A token's text may depend on the token before it, so each step decodes
 * from the last token that was handed out. Two things are held back: the bytes of a character until it is whole, and
 * text that may be the beginning of a stop text. Used by one thread at a time.
 */
public final class TextStream {
    private static final char REPLACEMENT = '\uFFFD';

    /** No character has more tokens before the one that ends it, and none changes what a token further behind means. */
    private static final int CONTEXT = 16;

    private final Tokenizer tokenizer;
    private final Consumer<String> out;
    private final List<String> stops;
    private final StringBuilder held = new StringBuilder();
    private final StringBuilder shown = new StringBuilder();
    private int[] ids = new int[64];
    private int count;
    /** First token of the piece that is decoded anew at each step, and how many of its tokens are printed. */
    private int pieceStart;

    private int printed;
    private final int given;
    private @Nullable String stoppedBy;

    /**
     * Starts a stream of text.
     *
     * @param stops texts that end the stream and are not printed
     * @param before ids that the stream goes on from: what its first tokens mean depends on them
     * @param out takes each piece of text
     */
    public TextStream(Tokenizer tokenizer, List<String> stops, int[] before, Consumer<String> out) {
        this.tokenizer = tokenizer;
        this.stops = List.copyOf(stops);
        this.out = out;
        count = Math.min(before.length, CONTEXT);
        System.arraycopy(before, before.length - count, ids, 0, count);
        printed = count;
        given = count;
    }

    public int tokens() {
        return count - given;
    }

    /** Returns all that was handed out. */
    public String text() {
        return shown.toString();
    }

    /** Returns the UTF-16 units of all that was handed out or is held back as whole characters. */
    public int length() {
        return shown.length() + held.length();
    }

    /** Returns the stop text that came, if one did. */
    public Optional<String> stoppedBy() {
        return Optional.ofNullable(stoppedBy);
    }

    /**
     * Takes the next token.
     *
     * @return whether the text goes on: false once a stop text has come
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
        return stoppedBy == null;
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
            if (at >= 0 && (stoppedBy == null || at < sure)) {
                stoppedBy = stop;
                sure = at;
            }
        }
        if (stoppedBy != null) {
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

    /**
     * Hands out the rest, which no stop text ended. Bytes of an unfinished character become the replacement character.
     */
    public void end() {
        if (stoppedBy == null) {
            held.append(unprinted());
        }
        print(held.toString());
        held.setLength(0);
    }

    private void print(String text) {
        if (!text.isEmpty()) {
            shown.append(text);
            out.accept(text);
        }
    }
}
