package nibble.calibrate.tune;

import java.nio.file.Path;
import java.util.Optional;
import java.util.function.IntFunction;
import nibble.calibrate.job.QuantizationJob;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.job.QuantizeOptions;
import nibble.calibrate.job.WorkProgress;
import nibble.calibrate.search.QuantizedLayer;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.datasets.TokenBlocks;
import nibble.engine.backend.Backend;
import nibble.engine.backend.GradientOperations;
import nibble.engine.backend.Parameter;
import nibble.engine.gradient.DivergencePass;
import nibble.engine.gradient.TunedModel;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.ModelWeights;
import nibble.pack.QuantizationSpec;

/**
 * Tunes a quantized model: the scales of its groups and the gains of its norms move, so that its next-token
 * distributions come near those of the original model. Codes and zeros stay. Every step is a step of {@link Adam} on
 * the mean divergence over some sequences of the calibration text; some of that text is held back, to judge by.
 */
public final class Tuning {
    /** Steps where no number is asked for. */
    public static final int STEPS = 128;

    /** Tokens of a step: more of them cost more and gained nothing (docs/method-best.md). */
    static final int TOKENS_PER_STEP = 1024;

    /** A scale in fp16 with its zero; its start, change, value and gradient; Adam's two moments. */
    private static final long FLOATS_PER_SCALE = 7;
    /** Logits of a model that are on the heap at a time. */
    private static final long LOGITS = 1 << 24;

    private static final long NANOS_BETWEEN_SAVES = 60_000_000_000L;
    /** Saving may take one part in so many of the time. */
    private static final int SAVING_SHARE = 20;

    private final QuantizationJob job;
    private final Backend backend;
    private final GradientOperations operations;
    private final Path stateFolder;
    private final WorkProgress progress;

    /**
     * @param backend which has gradients
     * @param stateFolder where an unfinished tuning is kept
     */
    public Tuning(QuantizationJob job, Backend backend, Path stateFolder, WorkProgress progress) {
        this.job = job;
        this.backend = backend;
        this.operations = backend.gradients();
        this.stateFolder = stateFolder;
        this.progress = progress;
    }

    /**
     * A tuned model.
     *
     * @param layer made when it is asked for, while the checkpoint as fitted is open
     * @param finalNorm as stored, fp16 bits
     */
    public record Result(IntFunction<QuantizedLayer> layer, short[] finalNorm, QuantizationReport.Tuning report) {}

    /** Work of all steps and of what comes before them, in floating-point operations. */
    public static double work(ModelConfig config, QuantizeOptions options, long tokens) {
        return options.steps() == 0
                ? 0
                : stepWork(config, TOKENS_PER_STEP) * options.steps()
                        + layerWork(config) * config.layers() * usedTokens(options.steps(), tokens);
    }

    /** Tokens that the original model goes through: those of the steps and those that are held back. */
    private static long usedTokens(int steps, long tokens) {
        return Math.min(tokens, (long) steps * TOKENS_PER_STEP + tokens / TuningText.HELD_BACK);
    }

    /** A forward pass and a backward pass, which is two, and one more of the layers whose activations are not kept. */
    private static double stepWork(ModelConfig config, int tokens) {
        double head = 6.0 * config.vocabularySize() * config.hiddenSize();
        return tokens * (4 * layerWork(config) * config.layers() + head);
    }

    private static double layerWork(ModelConfig config) {
        double work = 0;
        for (Linear linear : Linear.values()) {
            work += 2.0 * config.outFeatures(linear) * config.inFeatures(linear);
        }
        return work;
    }

    /**
     * What is on the heap while steps are taken: the original's states, codes, scales with their gradients and moments,
     * one layer's weights and activations in fp32, and a piece of both models' logits. What a larger heap keeps of more
     * layers' activations is not counted.
     *
     * @param tokens of the calibration text
     */
    public static long heapBytes(ModelConfig config, QuantizeOptions options, long tokens) {
        QuantizationSpec spec = options.spec();
        long layer = 0;
        long scales = 0;
        long largest = 0;
        for (Linear linear : Linear.values()) {
            long size = (long) config.outFeatures(linear) * config.inFeatures(linear);
            layer += size;
            largest = Math.max(largest, size);
            scales += (long) config.outFeatures(linear) * spec.groups(config.inFeatures(linear));
        }
        long rows = TOKENS_PER_STEP;
        long codes = layer / 2 * config.layers();
        long activations =
                rows * (2 * DivergencePass.tapeColumns(config) + (long) config.layers() * config.hiddenSize());
        long floats = usedTokens(options.steps(), tokens) * config.hiddenSize()
                + FLOATS_PER_SCALE * scales * config.layers()
                + 2 * layer
                + largest
                + activations
                + 2 * LOGITS;
        return codes + Float.BYTES * floats;
    }

    /**
     * Tunes, from where an earlier run was stopped.
     *
     * @param made the checkpoint as fitted
     * @return nothing if the calibration text is too short to hold any of it back
     * @throws nibble.files.output.StoppedException if the run is asked to stop; what is done is saved
     */
    public Optional<Result> run(Checkpoint made) {
        TuningText text = TuningText.of(job.blocks().map(TokenBlocks::blocks).orElseThrow());
        if (!text.suffices()) {
            return Optional.empty();
        }
        ModelConfig config = made.config();
        progress.tuning(work(
                config, job.options(), job.blocks().map(TokenBlocks::tokens).orElse(0L)));
        int sequences = Math.clamp(TOKENS_PER_STEP / text.length(), 1, text.forSteps());
        int[] used = text.used(job.options().steps(), sequences);
        double layer = layerWork(config) * used.length * text.length();
        try (OriginalStates original =
                OriginalStates.of(text, used, job.source(), backend, () -> progress.add(layer))) {
            HeldOut heldOut = new HeldOut(text, original, backend, made);
            double before = heldOut.divergence(
                    index -> DecoderLayer.read(made, index).unpacked(), ModelWeights.finalNorm(made));
            TunedNumbers tuned = steps(made, text, sequences, original);
            double after = heldOut.divergence(index -> tuned.layer(made, index).toDecoderLayer(), tuned.finalGain());
            return Optional.of(new Result(
                    index -> tuned.layer(made, index),
                    tuned.finalNorm(),
                    new QuantizationReport.Tuning(
                            job.options().steps(),
                            sequences * text.length(),
                            heldOut.tokens(),
                            before,
                            after,
                            after < before)));
        }
    }

    private TunedNumbers steps(Checkpoint made, TuningText text, int sequences, OriginalStates original) {
        ModelConfig config = made.config();
        GradientOperations.Room room = operations.room(
                config, job.options().spec(), sequences, text.length(), DivergencePass.tapeColumns(config));
        // The head is the written one for both models: it is not quantized, and differs by its rounding to fp16 at
        // most.
        try (TunedModel model = new TunedModel(
                        config,
                        ModelWeights.embedding(made),
                        index -> DecoderLayer.read(made, index),
                        ModelWeights.finalNorm(made),
                        ModelWeights.head(made),
                        operations,
                        room.codes());
                DivergencePass pass = new DivergencePass(model, operations, sequences, text.length(), room.tapes());
                Matrix states = backend.allocate(sequences * text.length(), config.hiddenSize())) {
            steps(model, text, sequences, original, pass, states);
            return TunedNumbers.of(model);
        }
    }

    private void steps(
            TunedModel model,
            TuningText text,
            int sequences,
            OriginalStates original,
            DivergencePass pass,
            Matrix states) {
        int steps = job.options().steps();
        Adam adam = new Adam(model.parameters());
        TuningState saved = new TuningState(stateFolder);
        int done = saved.read(adam).orElse(0);
        if (done > 0) {
            progress.note("resuming after step " + done + " of " + steps + " of tuning");
        }
        double work = stepWork(model.config(), states.rows());
        long next = System.nanoTime() + NANOS_BETWEEN_SAVES;
        for (int step = done; step < steps; step++) {
            int[] batch = text.batch(step, sequences);
            original.copy(batch, states);
            Parameter.AdamStep move = Adam.step(step, steps);
            double divergence = pass.add(text.ids(batch), states, 1, parameter -> parameter.move(move)) / states.rows();
            progress.stepFinished(step + 1, steps, divergence, work);
            if (progress.stopRaised() || System.nanoTime() > next) {
                long start = System.nanoTime();
                saved.save(step + 1, adam);
                long end = System.nanoTime();
                next = end + Math.max(NANOS_BETWEEN_SAVES, SAVING_SHARE * (end - start));
                progress.add(0);
            }
        }
    }
}
