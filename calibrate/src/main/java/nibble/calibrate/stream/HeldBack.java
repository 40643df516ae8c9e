package nibble.calibrate.stream;

import java.util.ArrayList;
import java.util.List;

/**
 * Says which blocks of a calibration text are held back to judge by: every eighth. Steps of tuning are judged by all of
 * them; some are held back from the fit of layers too, where a few thousand tokens tell enough.
 */
public final class HeldBack {
    /** One block of so many is held back. */
    public static final int EVERY = 8;

    /** Tokens at most that are held back from the fit. */
    private static final int MOST_TOKENS = 8192;

    private HeldBack() {}

    /** Returns whether a block is held back from steps of tuning. */
    public static boolean fromSteps(int block) {
        return block % EVERY == EVERY - 1;
    }

    /** Blocks for the fit of layers, and those held back from it: none of a text of fewer than eight blocks. */
    record Split(int[][] fit, int[][] heldBack) {
        static Split of(int[][] blocks) {
            List<int[]> fit = new ArrayList<>();
            List<int[]> held = new ArrayList<>();
            long tokens = 0;
            for (int i = 0; i < blocks.length; i++) {
                boolean first = held.isEmpty() && fromSteps(i);
                if (first || fromSteps(i) && tokens + blocks[i].length <= MOST_TOKENS) {
                    held.add(blocks[i]);
                    tokens += blocks[i].length;
                } else {
                    fit.add(blocks[i]);
                }
            }
            return new Split(fit.toArray(int[][]::new), held.toArray(int[][]::new));
        }
    }
}
