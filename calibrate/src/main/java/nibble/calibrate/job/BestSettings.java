package nibble.calibrate.job;

import java.io.Serializable;

/**
 * Says how method best works.
 *
 * @param fitBlocks blocks of the calibration text that layers are fitted to, the first ones; steps read all
 * @param steps of tuning after all layers are made; 0 leaves it out
 * @param tokensPerStep tokens of each, at least, as long as the text has so many
 * @param movesCodes whether steps move codes beside scales and norms, which takes 12 bytes a weight
 */
public record BestSettings(int fitBlocks, int steps, int tokensPerStep, boolean movesCodes) implements Serializable {
    /** Fits layers to all blocks and takes no steps; what other methods have, too. */
    public static final BestSettings NO_STEPS = new BestSettings(Integer.MAX_VALUE, 0, 1024, false);

    public BestSettings {
        if (fitBlocks < 1 || steps < 0 || tokensPerStep < 1) {
            throw new IllegalArgumentException(
                    fitBlocks + " blocks to fit to, " + steps + " steps of " + tokensPerStep + " tokens");
        }
        if (movesCodes && steps == 0) {
            throw new IllegalArgumentException("codes are to be tuned in no steps");
        }
    }

    /** Returns the same with another number of steps. */
    public BestSettings withSteps(int other) {
        return new BestSettings(fitBlocks, other, tokensPerStep, movesCodes && other > 0);
    }

    /** Returns the same with layers fitted to so many blocks. */
    public BestSettings withFitBlocks(int other) {
        return new BestSettings(other, steps, tokensPerStep, movesCodes);
    }
}
