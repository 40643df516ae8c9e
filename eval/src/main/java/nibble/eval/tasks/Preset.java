package nibble.eval.tasks;

import java.util.Arrays;
import java.util.Optional;
import java.util.stream.Collectors;

/** Lists versions of EleutherAI's lm-evaluation-harness whose figures are compared with. */
public enum Preset {
    /**
     * The Open LLM Leaderboard of 2023: commit b281b0921b636bc36ad05c0b0b0763bd6dd43463. Documents are shuffled, then
     * each draws its examples from the same generator.
     */
    LEADERBOARD_V1("leaderboard-v1", 42),
    /** Release 0.4.9.1. Documents stay in order; examples come from a generator of their own. */
    LM_EVAL_0_4_9_1("lm-eval-0.4.9.1", 1234),
    /**
     * Release 0.4.13. Tasks are read from files of the harness's own form. Requests begin with what the tokenizer puts
     * in front of a text.
     */
    LM_EVAL_0_4_13("lm-eval-0.4.13", 1234);

    private final String id;
    private final int seed;

    Preset(String id, int seed) {
        this.id = id;
        this.seed = seed;
    }

    /** Returns the name in options and results. */
    public String id() {
        return id;
    }

    /** Returns the seed of Python's generator. */
    public int seed() {
        return seed;
    }

    /** Returns whether its tasks are files, those that come with Nibble and the user's. */
    public boolean readsFiles() {
        return this == LM_EVAL_0_4_13;
    }

    public static Optional<Preset> named(String id) {
        return Arrays.stream(values()).filter(p -> p.id.equals(id)).findFirst();
    }

    /** Returns all ids, for messages. */
    public static String known() {
        return Arrays.stream(values()).map(Preset::id).collect(Collectors.joining(", "));
    }
}
