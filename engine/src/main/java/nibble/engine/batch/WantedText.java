package nibble.engine.batch;

import java.util.Set;
import java.util.function.Consumer;
import java.util.function.IntPredicate;

/**
 * Asks for the likeliest continuation of a prompt.
 *
 * @param prompt at least one id
 * @param stopIds ids that end the text
 * @param goesOn sees each new id, and says whether another shall follow
 * @param written takes the new ids, without the stop id
 */
public record WantedText(
        int[] prompt, int maxNewTokens, Set<Integer> stopIds, IntPredicate goesOn, Consumer<int[]> written) {}
