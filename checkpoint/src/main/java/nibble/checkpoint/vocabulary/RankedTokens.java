package nibble.checkpoint.vocabulary;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A vocabulary that is a list of byte strings, the ones merged first in front, as tiktoken and Mistral's tekken have
 * it. A pair is merged whose whole comes first; a tokenizer.json lists pairs, so every way to cut a token into two
 * tokens is listed.
 */
final class RankedTokens {
    /** No token that a text has use for is longer; a file's own count of bytes bounds the work by this times itself. */
    static final int MAX_TOKEN_BYTES = 1024;

    private RankedTokens() {}

    private record Pair(String left, String right, int leftRank, int rightRank) {}

    /**
     * Pairs, the first one merged first, as {@code left right}.
     *
     * @param tokens in the letters of {@link ByteAlphabet}, by rank
     */
    static List<String> merges(List<String> tokens) {
        Map<String, Integer> ranks = new HashMap<>();
        for (int rank = 0; rank < tokens.size(); rank++) {
            ranks.putIfAbsent(tokens.get(rank), rank);
        }
        List<String> merges = new ArrayList<>();
        for (String token : tokens) {
            List<Pair> pairs = new ArrayList<>();
            for (int cut = 1; cut < token.length(); cut++) {
                String left = token.substring(0, cut);
                Integer leftRank = ranks.get(left);
                if (leftRank == null) {
                    continue;
                }
                String right = token.substring(cut);
                Integer rightRank = ranks.get(right);
                if (rightRank != null) {
                    pairs.add(new Pair(left, right, leftRank, rightRank));
                }
            }
            pairs.sort(Comparator.comparingInt(Pair::leftRank).thenComparingInt(Pair::rightRank));
            pairs.forEach(pair -> merges.add(pair.left() + " " + pair.right()));
        }
        return merges;
    }
}
