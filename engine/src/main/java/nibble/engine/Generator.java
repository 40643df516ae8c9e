package nibble.engine;

import java.util.Arrays;
import java.util.Set;
import java.util.function.IntConsumer;
import java.util.function.IntPredicate;

/** Generates text from a model, token by token. */
public final class Generator {
    private Generator() {}

    /**
     * Continues {@code prompt} until a stop id, {@code maxNewTokens}, or the end of the model's context.
     *
     * @param prompt at least one id
     * @param stopIds ids that end the text; they are neither handed out nor returned
     * @param onToken sees each new id as soon as it is chosen
     * @return the new ids
     */
    public static int[] generate(
            Llama model,
            int[] prompt,
            SamplingOptions options,
            int maxNewTokens,
            Set<Integer> stopIds,
            IntConsumer onToken) {
        return generateWhile(model, prompt, options, maxNewTokens, stopIds, id -> {
            onToken.accept(id);
            return true;
        });
    }

    /**
     * Does what {@link #generate} does, with a say in when to end.
     *
     * @param goesOn sees each new id as soon as it is chosen, and says whether another shall follow
     */
    public static int[] generateWhile(
            Llama model,
            int[] prompt,
            SamplingOptions options,
            int maxNewTokens,
            Set<Integer> stopIds,
            IntPredicate goesOn) {
        if (maxNewTokens < 0) {
            throw new IllegalArgumentException(maxNewTokens + " new tokens asked, 0 or more expected");
        }
        int context = model.contextTokens();
        if (prompt.length > context) {
            throw new IllegalArgumentException(
                    "context overflow: prompt of " + prompt.length + " tokens, the model was made for " + context);
        }
        int wanted = (int) Math.min(maxNewTokens, (long) context - prompt.length);
        int[] made = new int[wanted];
        int count = 0;
        Sampler sampler = new Sampler(options);
        sampler.observe(prompt);
        try (Session session = model.session(Math.max(1, prompt.length + wanted))) {
            int[] pending = prompt;
            while (count < wanted) {
                int id = sampler.next(session.append(pending));
                if (stopIds.contains(id)) {
                    break;
                }
                made[count++] = id;
                if (!goesOn.test(id)) {
                    break;
                }
                pending = new int[] {id};
            }
        }
        return Arrays.copyOf(made, count);
    }
}
