package nibble.calibrate.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.Map;
import java.util.SplittableRandom;
import nibble.calibrate.job.QuantizeOptions;
import nibble.calibrate.tune.TuningCost;
import nibble.calibrate.tune.TuningSteps;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorView;
import nibble.engine.backend.ActivationStore;
import nibble.engine.backend.Backend;
import nibble.engine.backend.GradientOperations;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.forward.Forward;
import nibble.engine.forward.Taps;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.LayerExtras;
import nibble.engine.tensor.LayerFeed;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.QuantizedWeight;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;

/**
 * Times steps of tuning on a model of random codes: every layer takes its own place on the device, though all have the
 * same codes.
 */
public final class TuningBenchmark {
    private static final int TIMED_STEPS = 3;
    /** Random numbers that a matrix repeats. */
    private static final int RANDOM = 1 << 16;

    private TuningBenchmark() {}

    /**
     * Holds what was measured.
     *
     * @param layers of the model that was tuned
     * @param steps that a run takes
     * @param stepSeconds of a step, the first left out
     * @param passSeconds of the original model and of judging by held-out text, from one layer's forward pass
     * @param peakDeviceBytes of the device that took most; 0 on a CPU
     * @param room what stayed on the device
     */
    public record Result(
            int layers,
            int steps,
            double stepSeconds,
            double passSeconds,
            long peakDeviceBytes,
            GradientOperations.Room room) {
        /** Returns how long a whole tuning takes. */
        public double seconds() {
            return steps * stepSeconds + passSeconds;
        }
    }

    /**
     * Measures.
     *
     * @param samples blocks of the calibration text
     * @param sequenceLength tokens of a block
     */
    public static Result run(
            ModelConfig config,
            long seed,
            int samples,
            int sequenceLength,
            QuantizeOptions options,
            QuantizationDevices devices) {
        Backend backend = devices.members().getFirst();
        backend.makeCurrent();
        TuningCost cost = new TuningCost(config, options, (long) samples * sequenceLength, sequenceLength);
        SplittableRandom random = new SplittableRandom(seed);
        int rows = cost.sequences() * cost.length();
        float[] gains = new float[config.hiddenSize()];
        Arrays.fill(gains, 1f);
        DecoderLayer layer = layer(config, options.spec(), gains, random);
        float[] original = new float[Math.multiplyExact(rows, config.hiddenSize())];
        for (int i = 0; i < original.length; i++) {
            original[i] = (float) (random.nextDouble() - 0.5);
        }
        try (Arena arena = Arena.ofShared()) {
            double passSeconds = passSeconds(config, layer, cost, backend);
            Weight table = table(config, arena, random);
            try (TuningSteps steps = new TuningSteps(
                            config,
                            options.spec(),
                            table,
                            _ -> layer,
                            gains,
                            table,
                            devices,
                            cost.shape(backend.gradients()),
                            options.movesCodes());
                    ActivationStore states = backend.hostStore()) {
                states.add(backend.upload(original, rows, config.hiddenSize()));
                TuningSteps.Originals originals =
                        (first, count, into) -> states.read(0, first * cost.length(), count * cost.length(), into, 0);
                long start = 0;
                for (int step = 0; step <= TIMED_STEPS; step++) {
                    if (step == 1) {
                        devices.synchronize();
                        start = System.nanoTime();
                    }
                    int[] ids = random.ints(rows, 0, config.vocabularySize()).toArray();
                    double divergence = steps.take(step, options.steps(), ids, originals);
                    if (!Double.isFinite(divergence)) {
                        throw new IllegalStateException("divergence " + divergence + " at step " + step);
                    }
                }
                devices.synchronize();
                double seconds = (System.nanoTime() - start) / 1e9 / TIMED_STEPS;
                return new Result(
                        config.layers(),
                        options.steps(),
                        seconds,
                        passSeconds,
                        devices.members().stream()
                                .mapToLong(Backend::peakDeviceBytes)
                                .max()
                                .orElse(0),
                        steps.room());
            }
        }
    }

    /** Times a layer over one batch. */
    private static double passSeconds(ModelConfig config, DecoderLayer layer, TuningCost cost, Backend backend) {
        int sequences = Math.max(8, backend.sequencesPerBatch(config, cost.length()));
        int rows = sequences * cost.length();
        try (Forward forward = new Forward(config, backend);
                LayerFeed feed = backend.feed(_ -> layer, 1);
                Matrix hidden = backend.allocate(rows, config.hiddenSize())) {
            DecoderLayer placed = feed.layer(0);
            forward.layer(placed, hidden, sequences, Taps.NONE);
            backend.synchronize();
            long start = System.nanoTime();
            forward.layer(placed, hidden, sequences, Taps.NONE);
            backend.synchronize();
            double tokens = cost.usedTokens() + 2.0 * cost.heldBack();
            return (System.nanoTime() - start) / 1e9 * tokens / rows * config.layers();
        }
    }

    /** Makes codes that give weights of variance 1 / in-features. */
    private static DecoderLayer layer(
            ModelConfig config, QuantizationSpec spec, float[] gains, SplittableRandom random) {
        Map<Linear, Weight> weights = new EnumMap<>(Linear.class);
        for (Linear linear : Linear.SEVEN) {
            int in = config.inFeatures(linear);
            QuantizedLinear made = QuantizedLinear.blank(config.outFeatures(linear), in, spec);
            random.nextBytes(made.codes());
            Arrays.fill(made.zeros(), (byte) spec.middle());
            Arrays.fill(made.scales(), Float.floatToFloat16((float) (3.0 / spec.maxCode() / Math.sqrt(in))));
            weights.put(linear, new QuantizedWeight(made));
        }
        return DecoderLayer.of(gains, weights, gains, LayerExtras.neutral(config, 0));
    }

    /** Makes an embedding, which serves as the head too. */
    private static Weight table(ModelConfig config, Arena arena, SplittableRandom random) {
        long elements = (long) config.vocabularySize() * config.hiddenSize();
        MemorySegment data = arena.allocate(Short.BYTES * elements, 64);
        short[] numbers = new short[RANDOM];
        for (int i = 0; i < RANDOM; i++) {
            numbers[i] = Float.floatToFloat16((float) (random.nextDouble() - 0.5) / 8);
        }
        // Rows of a length that is no multiple of this one differ.
        int part = RANDOM - 1;
        for (long at = 0; at < elements; at += part) {
            int count = (int) Math.min(part, elements - at);
            MemorySegment.copy(numbers, 0, data, ValueLayout.JAVA_SHORT, Short.BYTES * at, count);
        }
        return new DenseWeight(
                new TensorView("random", DType.F16, Shape.of(config.vocabularySize(), config.hiddenSize()), data));
    }
}
