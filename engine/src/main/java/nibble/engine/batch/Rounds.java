package nibble.engine.batch;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import nibble.engine.Continuation;

/**
 * Orders continuations so that a beginning that several share is computed once: who shares a block of the KV cache with
 * an earlier one waits until that block is there.
 */
final class Rounds {
    private static final int BLOCK = BatchOptions.BLOCK_TOKENS;

    /** @param before number of the block before it; 0 for none */
    private record Block(int before, List<Integer> ids) {}

    /** @param round in which it is computed */
    private record Known(int number, int round) {}

    private Rounds() {}

    /** Returns the continuations' indexes, those of one round together. */
    static List<List<Integer>> of(List<Continuation> continuations) {
        Map<Block, Known> known = new HashMap<>();
        List<List<Integer>> rounds = new ArrayList<>();
        for (int i = 0; i < continuations.size(); i++) {
            int round = place(continuations.get(i), known);
            while (rounds.size() <= round) {
                rounds.add(new ArrayList<>());
            }
            rounds.get(round).add(i);
        }
        return rounds;
    }

    private static int place(Continuation continuation, Map<Block, Known> known) {
        int[] ids = continuation.ids();
        // The logits after the last id of the context are needed, so that id is computed in any case.
        int blocks = (ids.length - continuation.scored() - 1) / BLOCK;
        List<Block> own = new ArrayList<>();
        int round = 0;
        int before = 0;
        for (int b = 0; b < blocks; b++) {
            Block block = new Block(
                    before,
                    IntStream.range(b * BLOCK, (b + 1) * BLOCK)
                            .mapToObj(i -> ids[i])
                            .toList());
            Known found = known.get(block);
            if (found == null) {
                found = new Known(known.size() + own.size() + 1, -1);
                own.add(block);
            } else {
                round = Math.max(round, found.round() + 1);
            }
            before = found.number();
        }
        for (Block block : own) {
            known.put(block, new Known(known.size() + 1, round));
        }
        return round;
    }
}
