package nibble.calibrate.tune;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.function.IntFunction;
import nibble.calibrate.job.QuantizationJob;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.job.WorkProgress;
import nibble.calibrate.search.QuantizedLayer;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.ModelConfig;
import nibble.datasets.TokenBlocks;
import nibble.engine.backend.Backend;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.Norm;

/**
 * Tunes a quantized model: the scales of its groups and the gains of its norms move, and its codes if there is room, so
 * that its next-token distributions come near those of the original model. Zeros stay. Every step is a step of
 * {@link Adam} on the mean divergence over some sequences of the calibration text; some of that text is held back, to
 * judge by.
 */
public final class Tuning {
    private static final long NANOS_BETWEEN_SAVES = 60_000_000_000L;
    /** Saving may take one part in so many of the time. */
    private static final int SAVING_SHARE = 20;

    private final QuantizationJob job;
    private final QuantizationDevices devices;
    /** The first of the devices, which does all but the steps. */
    private final Backend backend;

    private final Path stateFolder;
    private final WorkProgress progress;

    /**
     * Prepares the tuning of a model.
     *
     * @param devices which have gradients
     * @param stateFolder where an unfinished tuning is kept
     */
    public Tuning(QuantizationJob job, QuantizationDevices devices, Path stateFolder, WorkProgress progress) {
        this.job = job;
        this.devices = devices;
        this.backend = devices.members().getFirst();
        this.stateFolder = stateFolder;
        this.progress = progress;
    }

    /**
     * Holds a tuned model.
     *
     * @param layer made when it is asked for, while the checkpoint as fitted is open
     * @param finalNorm as stored, fp16 bits
     */
    public record Result(IntFunction<QuantizedLayer> layer, short[] finalNorm, QuantizationReport.Tuning report) {}

    /**
     * Tunes, from where an earlier run was stopped.
     *
     * @param made the checkpoint as fitted
     * @return nothing if the calibration text is too short to hold any of it back
     * @throws nibble.files.output.StoppedException if the run is asked to stop; what is done is saved
     */
    public Optional<Result> run(Checkpoint made) {
        TokenBlocks blocks = job.blocks().orElseThrow();
        TuningText text = TuningText.of(blocks.blocks());
        if (!text.suffices()) {
            return Optional.empty();
        }
        ModelConfig config = made.config();
        TuningCost cost = TuningCost.of(config, job.options(), blocks);
        progress.tuning(cost.work());
        int sequences = Math.min(cost.sequences(), text.forSteps());
        int[] used = text.used(job.options().steps(), sequences);
        double layer = TuningCost.layerWork(config) * used.length * text.length();
        try (OriginalStates original =
                OriginalStates.of(text, used, job.source(), backend, () -> progress.add(layer))) {
            HeldOut heldOut = new HeldOut(text, original, backend, made);
            double before = heldOut.divergence(index -> DecoderLayer.read(made, index), ModelWeights.finalNorm(made));
            double judging = TuningCost.layerWork(config) * config.layers() * heldOut.tokens();
            progress.add(judging);
            TunedNumbers tuned = steps(made, text, sequences, original);
            double after =
                    heldOut.divergence(index -> tuned.layer(made, index).toDecoderLayer(), new Norm(tuned.finalGain()));
            progress.add(judging);
            return Optional.of(new Result(
                    index -> tuned.layer(made, index),
                    tuned.finalNorm(),
                    new QuantizationReport.Tuning(
                            job.options().steps(),
                            sequences * text.length(),
                            heldOut.tokens(),
                            before,
                            after,
                            after < before,
                            job.options().movesCodes(),
                            after < before ? tuned.movedShare(made) : 0)));
        }
    }

    private TunedNumbers steps(Checkpoint made, TuningText text, int sequences, OriginalStates original) {
        ModelConfig config = made.config();
        int wanted = job.options().steps();
        // The head is the written one for both models: it is not quantized, and differs by its rounding to fp16 at
        // most.
        StepShape shape = StepShape.of(sequences, text.length(), backend.gradients());
        try (TuningSteps steps = new TuningSteps(
                config,
                job.options().spec(),
                ModelWeights.embedding(made),
                index -> DecoderLayer.read(made, index),
                ModelWeights.finalNorm(made).gain(),
                ModelWeights.head(made),
                devices,
                shape,
                job.options().movesCodes())) {
            TuningState saved = new TuningState(stateFolder);
            int done = saved.read(steps.adam()).orElse(0);
            if (done > 0) {
                steps.restored();
                progress.note("resuming after step " + done + " of " + wanted + " of tuning");
            }
            double work = TuningCost.stepWork(config, shape.tokens());
            long next = System.nanoTime() + NANOS_BETWEEN_SAVES;
            for (int step = done; step < wanted; step++) {
                int[] batch = text.batch(step, sequences);
                double divergence = steps.take(
                        step,
                        wanted,
                        text.ids(batch),
                        (first, count, into) -> original.copy(Arrays.copyOfRange(batch, first, first + count), into));
                progress.stepFinished(step + 1, wanted, divergence, work);
                if (progress.stopRaised() || System.nanoTime() > next) {
                    long start = System.nanoTime();
                    if (!saved.save(step + 1, steps.adam())) {
                        progress.note(
                                "the disk has no room for the state of tuning; a resumed run begins its steps again");
                    }
                    long end = System.nanoTime();
                    next = end + Math.max(NANOS_BETWEEN_SAVES, SAVING_SHARE * (end - start));
                    progress.add(0);
                }
            }
            return TunedNumbers.of(steps.model(), job.options().spec());
        }
    }
}
