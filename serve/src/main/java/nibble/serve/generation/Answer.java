package nibble.serve.generation;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import nibble.datasets.TextStream;
import nibble.datasets.Tokenizer;
import nibble.engine.batch.Ending;
import nibble.engine.batch.ScoredToken;
import nibble.serve.api.TextOptions;
import org.jspecify.annotations.Nullable;

/**
 * Holds one text while it grows. Text comes out once it is whole characters and surely no part of a stop text; tokens
 * come out with their text. Used by the request's thread alone.
 */
public final class Answer {
    /** Says why a text ended, as {@code finish_reason} and {@code stop_reason} do. */
    public record Finish(String reason, @Nullable Object stop) {}

    /** A token, and the length of the text before it. */
    private record Placed(ScoredToken token, int start) {}

    private final int index;
    private final int[] prompt;
    private final TextOptions options;
    private final TextStream stream;
    private final StringBuilder fresh = new StringBuilder();
    private final List<ScoredToken> freshTokens = new ArrayList<>();
    private final List<Placed> heldTokens = new ArrayList<>();
    private List<ScoredToken> promptTokens = List.of();
    private int shown;
    private int tokens;
    private boolean endTold;
    private @Nullable Finish finish;

    Answer(int index, int[] prompt, Tokenizer tokenizer, TextOptions options) {
        this.index = index;
        this.prompt = prompt;
        this.options = options;
        this.stream = new TextStream(tokenizer, options.stops(), prompt, this::show);
    }

    /** Returns its place among the request's texts. */
    public int index() {
        return index;
    }

    /** Returns the prompt's ids. */
    public int[] prompt() {
        return prompt;
    }

    /** Returns the prompt's tokens with log-probabilities, if they were asked for and have come. */
    public List<ScoredToken> promptTokens() {
        return promptTokens;
    }

    /** Returns the number of new ids, the one that ended the text among them. */
    public int tokens() {
        return tokens;
    }

    /** Returns why the text ended, once it has. */
    public Optional<Finish> finish() {
        return Optional.ofNullable(finish);
    }

    /** Returns the text since the last call. */
    public String takeText() {
        String text = fresh.toString();
        fresh.setLength(0);
        return text;
    }

    /** Returns the tokens since the last call, those of the text that was taken. */
    public List<ScoredToken> takeTokens() {
        List<ScoredToken> taken = List.copyOf(freshTokens);
        freshTokens.clear();
        return taken;
    }

    /** Returns whether there is text to send, or an end that was not asked for yet. */
    public boolean hasNews() {
        boolean ended = finish != null && !endTold;
        endTold |= ended;
        return ended || !fresh.isEmpty();
    }

    void scored(List<ScoredToken> scores) {
        promptTokens = scores;
    }

    /** Takes a token; returns whether another one is wanted. */
    boolean add(ScoredToken token) {
        if (finish != null) {
            return false;
        }
        tokens++;
        if (options.stopTokenIds().contains(token.id())) {
            finish("stop", token.id());
            return false;
        }
        heldTokens.add(new Placed(token, stream.length()));
        boolean more = stream.add(token.id());
        if (more) {
            release(false);
            return true;
        }
        String stop = stream.stoppedBy().orElseThrow();
        if (options.includeStop()) {
            show(stop);
        }
        // Tokens of the stop text alone are no part of the answer.
        release(false);
        finish = new Finish("stop", stop);
        return false;
    }

    void ended(Ending ending) {
        if (finish != null) {
            return;
        }
        switch (ending) {
            case STOP -> {
                tokens++; // The id that ended it, which the service does not hand out.
                finish("stop", null);
            }
            case LENGTH -> finish("length", null);
            case CANCELLED -> finish("abort", null);
        }
    }

    private void finish(String reason, @Nullable Object stop) {
        stream.end();
        release(true);
        finish = new Finish(reason, stop);
    }

    private void show(String text) {
        shown += text.length();
        fresh.append(text);
    }

    private void release(boolean all) {
        while (!heldTokens.isEmpty() && (all || heldTokens.getFirst().start() < shown)) {
            freshTokens.add(heldTokens.removeFirst().token());
        }
    }
}
