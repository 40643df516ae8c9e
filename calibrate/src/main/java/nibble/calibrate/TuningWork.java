package nibble.calibrate;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import nibble.calibrate.job.ProgressListener.Stage;
import nibble.calibrate.job.QuantizationJob;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.job.WorkProgress;
import nibble.calibrate.journal.CheckpointJournal;
import nibble.calibrate.journal.JournalEntry;
import nibble.calibrate.tune.TunedTensors;
import nibble.calibrate.tune.Tuning;
import nibble.calibrate.tune.TuningCost;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.TensorNames;
import nibble.convert.CheckpointPlan;
import nibble.convert.CheckpointWriter;
import nibble.engine.backend.Backend;
import nibble.engine.backend.QuantizationDevices;
import nibble.files.output.UnfinishedOutput;
import org.jspecify.annotations.Nullable;

/**
 * The tuning of a checkpoint whose layers are all made: what it changes is durable by itself before any shard is
 * touched, so a process may end at any place.
 */
final class TuningWork {
    private final QuantizationJob job;
    private final CheckpointPlan plan;
    private final CheckpointJournal journal;
    private final UnfinishedOutput output;
    private final QuantizationDevices devices;
    private final WorkProgress progress;

    TuningWork(
            QuantizationJob job,
            CheckpointPlan plan,
            CheckpointJournal journal,
            UnfinishedOutput output,
            QuantizationDevices devices,
            WorkProgress progress) {
        this.job = job;
        this.plan = plan;
        this.journal = journal;
        this.output = output;
        this.devices = devices;
        this.progress = progress;
    }

    /**
     * Asks before the first layer whether there is room for the tuning after the last one.
     *
     * @throws nibble.engine.backend.DeviceException if there is none
     */
    static void requireRoom(QuantizationJob job, QuantizationDevices devices) {
        if (job.options().steps() > 0) {
            TuningCost cost = TuningCost.of(
                    job.source().config(), job.options(), job.blocks().orElseThrow());
            List<Backend> members = devices.members();
            for (Backend member : members) {
                member.makeCurrent();
                cost.room(member.gradients(), members.size());
            }
            members.getFirst().makeCurrent();
        }
    }

    /**
     * Tunes the files, which have their names.
     *
     * @param fitted report of the layers
     */
    QuantizationReport run(QuantizationReport fitted) {
        if (journal.tuned().isEmpty()) {
            tune();
        }
        JournalEntry.Tuned tuned = journal.tuned().orElseThrow();
        if (!tuned.sha256().isEmpty()) {
            journal.patch().apply(output.path(), plan);
        }
        Map<Stage, Double> before =
                fitted.times() == null ? Map.of() : fitted.times().stageSeconds();
        return fitted.tuned(
                tuned.report(),
                warnings(tuned.report()),
                progress.times(before.getOrDefault(Stage.PACK, 0.0), before.getOrDefault(Stage.WRITE, 0.0)));
    }

    private void tune() {
        devices.members().getFirst().makeCurrent();
        try (Checkpoint made = Checkpoint.open(output.path())) {
            Optional<Tuning.Result> result = new Tuning(job, devices, output.state(), progress).run(made);
            Set<String> changed = Set.of();
            if (result.isPresent() && result.get().report().kept()) {
                changed = TunedTensors.all(
                        job.source().config(),
                        job.options().format(),
                        job.options().movesCodes());
                save(result.get(), changed);
            }
            journal.tuned(made, changed, result.map(Tuning.Result::report).orElse(null));
        }
    }

    /** Writes the tensors that differ from those of the layers as fitted, packing a layer at a time. */
    private void save(Tuning.Result result, Set<String> names) {
        ModelConfig config = job.source().config();
        journal.patch().save(plan, names, write -> {
            for (int layer = 0; layer < config.layers(); layer++) {
                CheckpointQuantizer.packer(config, job.options())
                        .pack(layer, result.layer().apply(layer))
                        .stream()
                        .filter(tensor -> names.contains(tensor.name()))
                        .forEach(write);
            }
            write.accept(CheckpointWriter.pack(TensorNames.FINAL_NORM, result.finalNorm()));
        });
    }

    private static List<String> warnings(QuantizationReport.@Nullable Tuning tuning) {
        if (tuning == null) {
            return List.of("the calibration text is too short to tune scales and norms: some of it must be held back."
                    + " Give more --samples or a longer text, or --steps 0");
        }
        return tuning.kept()
                ? List.of()
                : List.of(String.format(
                        java.util.Locale.ROOT,
                        "tuning did not bring the model nearer to the original on held-out text (divergence %.5f"
                                + " before, %.5f after), so scales and norms stay as fitted",
                        tuning.divergenceBefore(),
                        tuning.divergenceAfter()));
    }
}
