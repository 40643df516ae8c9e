package nibble.engine.batch;

import java.util.List;

/**
 * Holds a token with its log-probability under the model's own distribution, before penalties and temperature.
 *
 * @param logProbability natural logarithm; NaN if it was not asked for, or for the first id of a prompt
 * @param rank 1 for the likeliest id, 2 for the next; 0 if it was not asked for
 * @param alternatives the likeliest ids, likeliest first, equals by id; empty if none were asked for
 */
public record ScoredToken(int id, float logProbability, int rank, List<Alternative> alternatives) {
    /** Names an id that could have stood here. */
    public record Alternative(int id, float logProbability) {}

    /** Returns a token whose probability was not asked for. */
    public static ScoredToken unscored(int id) {
        return new ScoredToken(id, Float.NaN, 0, List.of());
    }
}
