package nibble.calibrate.tune;

import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Set;
import java.util.function.IntFunction;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.backend.GradientOperations;
import nibble.engine.backend.Parameter;
import nibble.engine.gradient.DivergencePass;
import nibble.engine.gradient.TunedModel;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizationSpec;

/** Takes steps with a quantized model, where a device computes. Owns what it takes there. */
public final class TuningSteps implements AutoCloseable {
    private final GradientOperations.Room room;
    private final TunedModel model;
    private final DivergencePass pass;
    private final Adam adam;
    private final int mostCode;
    private final Set<Parameter> positions = Collections.newSetFromMap(new IdentityHashMap<>());

    /**
     * Brings a model to the device.
     *
     * @param read a layer of codes and scales on the host; not kept
     * @param finalNorm gain
     * @param sequences of a step, each of {@code length} tokens
     * @param movesCodes whether codes are tuned too
     */
    public TuningSteps(
            ModelConfig config,
            QuantizationSpec spec,
            Weight embedding,
            IntFunction<DecoderLayer> read,
            float[] finalNorm,
            Weight head,
            GradientOperations operations,
            int sequences,
            int length,
            boolean movesCodes) {
        this.room = operations.room(config, spec, sequences, length, DivergencePass.tapeColumns(config), movesCodes);
        this.model = new TunedModel(config, embedding, read, finalNorm, head, operations, room.codes(), movesCodes);
        this.pass = new DivergencePass(model, operations, sequences, length, room.tapes());
        this.adam = new Adam(model.parameters());
        this.mostCode = spec.maxCode();
        model.layers().forEach(layer -> positions.addAll(layer.positions().values()));
    }

    /**
     * Takes a step.
     *
     * @param step counted from 0
     * @param steps of the whole tuning
     * @param ids of the sequences, one after another
     * @param original the original model's states after its final norm
     * @return the mean divergence before the step, in nats
     */
    public double take(int step, int steps, int[] ids, Matrix original) {
        Parameter.AdamStep move = Adam.step(step, steps);
        Parameter.AdamStep codes = Adam.codeStep(step, steps, mostCode);
        return pass.add(ids, original, 1, parameter -> parameter.move(positions.contains(parameter) ? codes : move))
                / ids.length;
    }

    /** Returns what of the model stays where the device computes. */
    public GradientOperations.Room room() {
        return room;
    }

    Adam adam() {
        return adam;
    }

    TunedModel model() {
        return model;
    }

    @Override
    public void close() {
        pass.close();
        model.close();
    }
}
