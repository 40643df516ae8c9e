package nibble.calibrate.tune;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.IntFunction;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.backend.Backend;
import nibble.engine.backend.GradientOperations;
import nibble.engine.backend.Parameter;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.gradient.DivergencePass;
import nibble.engine.gradient.SharedGradient;
import nibble.engine.gradient.TunedModel;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizationSpec;
import org.jspecify.annotations.Nullable;

/**
 * Takes steps with a quantized model, on one device or on several side by side, with the same bits. Owns what it takes
 * there.
 */
public final class TuningSteps implements AutoCloseable {
    private final QuantizationDevices devices;
    private final StepShape shape;
    private final List<Share> shares = new ArrayList<>();
    private final SharedGradient shared = new SharedGradient();
    private final Adam adam;
    private final int mostCode;
    private final Set<Parameter> positions = Collections.newSetFromMap(new IdentityHashMap<>());

    /** Supplies what the original model has of a step's sequences after its final norm. */
    public interface Originals {
        /**
         * Copies the states of some sequences; called on the threads of all devices at once.
         *
         * @param first of the step's sequences
         * @param into on the device of the thread, one sequence after another
         */
        void copy(int first, int sequences, Matrix into);
    }

    /** What a device has of the tuning. Owns it. */
    private static final class Share implements AutoCloseable {
        final GradientOperations.Room room;
        final TunedModel model;
        final List<Matrix> states = new ArrayList<>();
        private @Nullable DivergencePass pass;

        Share(GradientOperations.Room room, TunedModel model) {
            this.room = room;
            this.model = model;
        }

        void prepare(Backend backend, StepShape shape, int parts) {
            pass = new DivergencePass(
                    model, backend.gradients(), shape.partSequences(), shape.length(), parts, room.tapes());
            for (int part = 0; part < parts; part++) {
                states.add(backend.allocate(
                        shape.partSequences() * shape.length(), model.config().hiddenSize()));
            }
        }

        DivergencePass pass() {
            return Objects.requireNonNull(pass);
        }

        @Override
        public void close() {
            states.forEach(Matrix::close);
            if (pass != null) {
                pass.close();
            }
            model.close();
        }
    }

    /**
     * Brings a model to the devices.
     *
     * @param read a layer of codes and scales on the host; not kept
     * @param finalNorm gain
     * @param movesCodes whether codes are tuned too
     */
    public TuningSteps(
            ModelConfig config,
            QuantizationSpec spec,
            Weight embedding,
            IntFunction<DecoderLayer> read,
            float[] finalNorm,
            Weight head,
            QuantizationDevices devices,
            StepShape shape,
            boolean movesCodes) {
        this.devices = devices;
        this.shape = shape;
        this.mostCode = spec.maxCode();
        try {
            for (Backend backend : devices.members().subList(0, used())) {
                backend.makeCurrent();
                GradientOperations operations = backend.gradients();
                GradientOperations.Room room =
                        shape.room(operations, config, spec, devices.members().size(), movesCodes);
                shared.join(operations);
                Share share = new Share(
                        room,
                        new TunedModel(config, embedding, read, finalNorm, head, operations, room.codes(), movesCodes));
                shares.add(share);
                share.prepare(backend, shape, parts());
            }
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
        devices.members().getFirst().makeCurrent();
        this.adam = new Adam(model().parameters());
        model().layers().forEach(layer -> positions.addAll(layer.positions().values()));
    }

    private int used() {
        return shape.devices(devices.members().size());
    }

    /** Parts that each device computes. */
    private int parts() {
        return shape.partsOf(devices.members().size());
    }

    /**
     * Takes a step.
     *
     * @param step counted from 0
     * @param steps of the whole tuning
     * @param ids of the sequences, one after another
     * @return the mean divergence before the step, in nats
     */
    public double take(int step, int steps, int[] ids, Originals originals) {
        Parameter.AdamStep move = Adam.step(step, steps);
        Parameter.AdamStep codes = Adam.codeStep(step, steps, mostCode);
        Consumer<Parameter> mover = parameter -> parameter.move(positions.contains(parameter) ? codes : move);
        double sum = 0;
        for (double[] divergences : onEach(i -> share(i, ids, originals, mover))) {
            for (double divergence : divergences) {
                sum += divergence;
            }
        }
        return sum / ids.length;
    }

    private double[] share(int index, int[] ids, Originals originals, Consumer<Parameter> mover) {
        Share share = shares.get(index);
        int sequences = shape.partSequences();
        int first = index * parts() * sequences;
        for (int part = 0; part < parts(); part++) {
            originals.copy(first + part * sequences, sequences, share.states.get(part));
        }
        int[] own = Arrays.copyOfRange(ids, first * shape.length(), (first + parts() * sequences) * shape.length());
        return share.pass().add(own, share.states, 1.0 / shape.parts(), shared.of(index, mover));
    }

    /** Runs something on each device that takes part; if one fails, the others do not wait for it. */
    private List<double[]> onEach(IntFunction<double[]> task) {
        try {
            return devices.onEach(i -> {
                if (i >= shares.size()) {
                    return new double[0];
                }
                try {
                    return task.apply(i);
                } catch (RuntimeException | Error e) {
                    shared.fail(e);
                    throw e;
                }
            });
        } catch (RuntimeException e) {
            // The first failure; those of devices that waited for it say nothing more.
            throw shared.failure() instanceof RuntimeException first ? first : e;
        }
    }

    /** Makes all devices take up what the first one's parameters were restored to. */
    void restored() {
        devices.synchronize();
        onEach(i -> {
            if (i > 0) {
                shared.copy(i, shares.get(i).model.parameters(), model().parameters());
            }
            return new double[0];
        });
        devices.synchronize();
    }

    /** Returns what of the model stays on the first device. */
    public GradientOperations.Room room() {
        return shares.getFirst().room;
    }

    Adam adam() {
        return adam;
    }

    TunedModel model() {
        return shares.getFirst().model;
    }

    @Override
    public void close() {
        devices.synchronize();
        for (int i = shares.size() - 1; i >= 0; i--) {
            devices.members().get(i).makeCurrent();
            shares.get(i).close();
        }
        devices.members().getFirst().makeCurrent();
        shared.close();
    }
}
