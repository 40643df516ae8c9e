package nibble.checkpoint.vocabulary;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Finds out whether merges alone make each token of a byte-level vocabulary out of its letters. */
final class MergedWords {
    /** The work grows with the square of a token's length. */
    private static final int MAX_LETTERS = 4096;

    /** Pairs that all tokens together may look up: 500 for each token of the largest published vocabularies. */
    private static final long MAX_PAIRS = 100_000_000;

    private final Map<Pair, Integer> ranks = new HashMap<>();
    private long pairs;

    private MergedWords() {}

    private record Pair(String left, String right) {}

    /** Where they do, it is all the same whether a word that is a token is looked up before it is merged. */
    static boolean makeEveryToken(JsonNode tokenizer) {
        return new MergedWords().makes(tokenizer);
    }

    private boolean makes(JsonNode tokenizer) {
        for (JsonNode merge : tokenizer.at("/model/merges")) {
            String text = merge.isArray() ? "" : merge.asText();
            int space = text.indexOf(' ');
            Pair pair = merge.isArray()
                    ? new Pair(merge.path(0).asText(), merge.path(1).asText())
                    : new Pair(text.substring(0, Math.max(space, 0)), text.substring(space + 1));
            ranks.putIfAbsent(pair, ranks.size());
        }
        Set<String> added = new HashSet<>();
        tokenizer
                .path("added_tokens")
                .forEach(token -> added.add(token.path("content").asText()));
        return tokenizer
                .at("/model/vocab")
                .propertyStream()
                .allMatch(entry -> added.contains(entry.getKey())
                        || entry.getKey().length() <= MAX_LETTERS && isMade(entry.getKey()));
    }

    private boolean isMade(String token) {
        List<String> parts = new ArrayList<>();
        token.codePoints().forEach(letter -> parts.add(Character.toString(letter)));
        while (parts.size() > 1) {
            pairs += parts.size();
            if (pairs > MAX_PAIRS) {
                return false;
            }
            int best = Integer.MAX_VALUE;
            int place = -1;
            for (int at = 0; at + 1 < parts.size(); at++) {
                int rank = ranks.getOrDefault(new Pair(parts.get(at), parts.get(at + 1)), Integer.MAX_VALUE);
                if (rank < best) {
                    best = rank;
                    place = at;
                }
            }
            if (place < 0) {
                return false;
            }
            parts.set(place, parts.get(place) + parts.remove(place + 1));
        }
        return true;
    }
}
