package nibble.calibrate.tune;

import java.nio.file.Path;
import nibble.calibrate.job.BestSettings;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.engine.backend.Backend;
import nibble.engine.backend.DeviceKind;
import nibble.engine.gradient.DivergencePass;
import nibble.pack.QuantizationSpec;

/**
 * Says how method best works where nothing else is asked for. It depends on the model's size, the kind of device and
 * the memory that may be taken of it, and on nothing that changes while a run goes on. docs/method-best.md has the
 * measurements that it comes from.
 *
 * @param samples blocks of the calibration text to read
 */
public record BestDefaults(BestSettings settings, int samples) {
    /** Scales and norms alone, for which more steps or tokens gain little. */
    public static final BestDefaults FIXED_CODES =
            new BestDefaults(new BestSettings(Integer.MAX_VALUE, 128, 1024, false), 64);

    /** Where codes are fine enough, and for models without gradients: no steps. */
    private static final BestDefaults FITTED = new BestDefaults(BestSettings.NO_STEPS, 64);

    /** The most bits of codes that steps are worth their time for. */
    private static final int MOST_TUNED_BITS = 4;

    /** On a card. */
    private static final BestDefaults CARD =
            new BestDefaults(new BestSettings(Integer.MAX_VALUE, 512, 8192, true), 256);

    /** On a CPU: as much as minutes allow, of which a fit to more blocks would take most. */
    private static final BestDefaults CPU = new BestDefaults(new BestSettings(64, 256, 1024, true), 128);

    /** The same for models that make each step long. */
    private static final BestDefaults CPU_LARGE = new BestDefaults(new BestSettings(64, 96, 1024, true), 64);

    /** Floating-point operations that {@link #CPU}'s steps may take: a quarter of an hour of two cores. */
    private static final double CPU_WORK = 60e12;

    /**
     * Chooses for a device.
     *
     * @param blockLength tokens of a block of the calibration text
     * @param backend which will take the steps
     */
    public static BestDefaults of(ModelConfig config, QuantizationSpec spec, int blockLength, Backend backend) {
        if (spec.bits() > MOST_TUNED_BITS || DivergencePass.lacks(config).isPresent()) {
            return FITTED;
        }
        BestDefaults chosen = CARD;
        if (backend.kind() != DeviceKind.CUDA) {
            BestSettings settings = CPU.settings;
            double work = settings.steps() * TuningCost.stepWork(config, settings.tokensPerStep());
            chosen = work <= CPU_WORK ? CPU : CPU_LARGE;
        }
        int length = Math.min(blockLength, TuningText.MOST_TOKENS);
        int sequences = TuningCost.sequences(chosen.settings.tokensPerStep(), length);
        boolean fits =
                backend.gradients().fitsCodes(config, spec, sequences, length, DivergencePass.tapeColumns(config));
        return fits ? chosen : FIXED_CODES;
    }

    /**
     * Refuses steps of tuning for a model that they are not taken for.
     *
     * @param configFile of the model, for the message
     * @throws BadCheckpointException if steps were asked for and the model lacks gradients
     */
    public static void requireSteps(ModelConfig config, Path configFile, int steps) {
        DivergencePass.lacks(config).filter(_ -> steps > 0).ifPresent(what -> {
            throw new BadCheckpointException(
                    configFile, "steps of tuning are not yet taken for " + what + "; give --steps 0");
        });
    }
}
