package nibble.calibrate.tune;

import nibble.checkpoint.model.ModelConfig;
import nibble.engine.backend.GradientOperations;
import nibble.engine.gradient.DivergencePass;
import nibble.pack.QuantizationSpec;

/**
 * Describes the text of a step.
 *
 * @param sequences of the step
 * @param length tokens of each
 * @param parts that the gradient is the sum of, each of equally many sequences; a device computes one, or a single
 *     device all
 */
public record StepShape(int sequences, int length, int parts) {
    public StepShape {
        if (sequences < 1 || length < 1 || parts < 1 || sequences % parts != 0) {
            throw new IllegalArgumentException(sequences + " sequences of " + length + " in " + parts + " parts");
        }
    }

    /** Returns the step as devices of a kind compute it. */
    public static StepShape of(int sequences, int length, GradientOperations operations) {
        return new StepShape(sequences, length, operations.parts(sequences));
    }

    public int tokens() {
        return sequences * length;
    }

    /** Returns the sequences of a part. */
    public int partSequences() {
        return sequences / parts;
    }

    /** Returns how many of some devices take part. */
    public int devices(int members) {
        return members >= parts ? parts : 1;
    }

    /** Returns how many parts one of some devices computes. */
    public int partsOf(int members) {
        return parts / devices(members);
    }

    /** Says what of the steps one of some devices has room for now. */
    GradientOperations.Room room(
            GradientOperations operations, ModelConfig config, QuantizationSpec spec, int members, boolean movesCodes) {
        return operations.room(
                config,
                spec,
                partSequences() * partsOf(members),
                length,
                DivergencePass.tapeColumns(config),
                movesCodes);
    }
}
