package nibble.calibrate.tune;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Random;
import nibble.calibrate.stream.HeldBack;

/**
 * The calibration text as tuning uses it: sequences of one length, those that steps are taken on and those that are
 * held back to judge by. Shorter sequences than the calibration's blocks cost less attention and serve as well.
 *
 * @param length tokens of a sequence
 * @param sequences those for steps first
 * @param forSteps their number
 */
record TuningText(int length, List<int[]> sequences, int forSteps) {
    /** Tokens of a sequence at most. */
    static final int MOST_TOKENS = 512;

    private static final long SEED = 2026;

    /** Cuts blocks; what is left of a block at its end is left out. */
    static TuningText of(int[][] blocks) {
        int length = MOST_TOKENS;
        for (int[] block : blocks) {
            length = Math.min(length, block.length);
        }
        List<int[]> steps = new ArrayList<>();
        List<int[]> held = new ArrayList<>();
        for (int i = 0; i < blocks.length; i++) {
            boolean back = HeldBack.fromSteps(i) || blocks.length < HeldBack.EVERY && i == blocks.length - 1;
            for (int at = 0; at + length <= blocks[i].length; at += length) {
                (back ? held : steps).add(Arrays.copyOfRange(blocks[i], at, at + length));
            }
        }
        if (steps.isEmpty() && held.size() > 1) {
            // A single block: all but its last sequence.
            steps.addAll(held.subList(0, held.size() - 1));
            held = List.of(held.getLast());
        }
        int forSteps = steps.size();
        steps.addAll(held);
        return new TuningText(length, steps, forSteps);
    }

    /** Whether there is text both to tune on and to judge by. */
    boolean suffices() {
        return forSteps > 0 && forSteps < sequences.size();
    }

    /** Numbers of the sequences that are held back. */
    int[] heldBack() {
        int[] numbers = new int[sequences.size() - forSteps];
        Arrays.setAll(numbers, i -> forSteps + i);
        return numbers;
    }

    /**
     * Numbers of the sequences of a step: the text is gone through again and again, each time in another order, which
     * depends on nothing but the number of the step.
     */
    int[] batch(int step, int size) {
        int perRound = forSteps / size;
        int round = step / perRound;
        int[] order = new int[forSteps];
        Arrays.setAll(order, i -> i);
        Random random = new Random(SEED + round);
        for (int i = forSteps - 1; i > 0; i--) {
            int other = random.nextInt(i + 1);
            int there = order[i];
            order[i] = order[other];
            order[other] = there;
        }
        int at = step % perRound * size;
        return Arrays.copyOfRange(order, at, at + size);
    }

    /** Returns the numbers of the sequences that so many steps take, and of those held back, in ascending order. */
    int[] used(int steps, int size) {
        BitSet used = new BitSet();
        for (int step = 0; step < steps; step++) {
            for (int number : batch(step, size)) {
                used.set(number);
            }
        }
        used.set(forSteps, sequences.size());
        return used.stream().toArray();
    }

    /** Ids of some sequences, one after another. */
    int[] ids(int[] numbers) {
        return Arrays.stream(numbers)
                .flatMap(i -> Arrays.stream(sequences.get(i)))
                .toArray();
    }
}
