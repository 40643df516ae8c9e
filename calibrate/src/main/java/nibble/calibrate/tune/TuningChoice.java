package nibble.calibrate.tune;

import nibble.checkpoint.model.ModelConfig;
import nibble.engine.backend.Backend;
import nibble.engine.backend.DeviceKind;
import nibble.engine.gradient.DivergencePass;
import nibble.pack.QuantizationSpec;

/**
 * Says how method best tunes a model where nothing else is asked for. It depends on the model's size, the kind of
 * device and the memory that may be taken of it, and on nothing that changes while a run goes on.
 *
 * @param movesCodes whether codes move: there is room for a position and two moments of each
 * @param steps their usual number
 */
public record TuningChoice(boolean movesCodes, int steps) {
    /** Scales and norms alone, for which more steps gain little (docs/method-best.md). */
    public static final TuningChoice FIXED_CODES = new TuningChoice(false, 128);

    /** Steps that move codes too, on a CPU: as many as minutes allow. */
    static final int CPU_STEPS = 256;
    /** The same on a card. */
    static final int CARD_STEPS = 512;

    /**
     * Chooses for a device.
     *
     * @param blockLength tokens of a block of the calibration text
     * @param backend which will take the steps
     */
    public static TuningChoice of(ModelConfig config, QuantizationSpec spec, int blockLength, Backend backend) {
        int length = Math.min(blockLength, TuningText.MOST_TOKENS);
        boolean codes = backend.gradients()
                .fitsCodes(config, spec, TuningCost.sequences(length), length, DivergencePass.tapeColumns(config));
        if (!codes) {
            return FIXED_CODES;
        }
        return new TuningChoice(true, backend.kind() == DeviceKind.CUDA ? CARD_STEPS : CPU_STEPS);
    }
}
