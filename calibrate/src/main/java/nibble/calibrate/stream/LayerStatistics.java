package nibble.calibrate.stream;

import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.function.BiConsumer;
import nibble.calibrate.job.ProgressListener.Stage;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.job.WorkProgress;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.LayerLinear;
import nibble.checkpoint.model.LinearInput;
import nibble.engine.backend.Backend;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.forward.Taps;
import nibble.engine.host.quantize.HostInputStatistics;
import nibble.engine.quantize.InputStatistics;
import nibble.engine.tensor.Matrix;
import org.jspecify.annotations.Nullable;

/** Holds statistics of the inputs of a layer's linears over all calibration tokens. Owns the statistics. */
public final class LayerStatistics implements Taps, LayerInputs {
    private final QuantizationDevices devices;
    private final WorkProgress progress;
    private final Map<Key, InputStatistics> inputs = new HashMap<>();

    private record Key(LinearInput input, Expert expert) {}

    private final @Nullable ExpertTokens experts;
    /** Whether gates and ups of experts have their statistics elsewhere. */
    private final boolean gatesElsewhere;
    /** What the experts saw where it was counted elsewhere. */
    private QuantizationReport.@Nullable Experts counted;

    /** Makes those of a layer without experts. */
    public LayerStatistics(QuantizationDevices devices, WorkProgress progress) {
        this(devices, progress, null);
    }

    /**
     * Makes those of a layer.
     *
     * @param experts counts the tokens of each expert; null where there are none
     */
    public LayerStatistics(QuantizationDevices devices, WorkProgress progress, @Nullable ExpertTokens experts) {
        this(devices, progress, experts, false);
    }

    LayerStatistics(
            QuantizationDevices devices,
            WorkProgress progress,
            @Nullable ExpertTokens experts,
            boolean gatesElsewhere) {
        this.gatesElsewhere = gatesElsewhere;
        this.devices = devices;
        this.progress = progress;
        this.experts = experts;
    }

    @Override
    public int[] more(Expert expert, int[] routed, int rows) {
        return experts == null ? new int[0] : experts.more(expert, routed, rows);
    }

    @Override
    public void forEach(Collection<LayerLinear> linears, BiConsumer<LayerLinear, InputStatistics> use) {
        linears.forEach(linear -> use.accept(linear, of(linear.input(), linear.expert())));
    }

    @Override
    public QuantizationReport.@Nullable Experts experts() {
        return experts == null ? counted : experts.report();
    }

    /**
     * Makes statistics that were saved.
     *
     * @param backend of the host
     */
    public static LayerStatistics of(LayerMoments moments, Backend backend, WorkProgress progress) {
        LayerStatistics statistics = new LayerStatistics(QuantizationDevices.of(backend), progress);
        statistics.counted = moments.experts();
        moments.inputs()
                .forEach(saved -> statistics.inputs.put(
                        new Key(saved.input(), saved.expert()), HostInputStatistics.of(backend, saved.moment())));
        return statistics;
    }

    /**
     * Returns all of it, for another process to go on with.
     *
     * @throws UnsupportedOperationException if it lies on a card
     */
    public LayerMoments save() {
        return new LayerMoments(
                inputs.entrySet().stream()
                        .map(entry -> new LayerMoments.Input(
                                entry.getKey().input(),
                                entry.getKey().expert(),
                                entry.getValue().save()))
                        .toList(),
                experts());
    }

    @Override
    public void tap(LinearInput input, Expert expert, Matrix x) {
        if (!has(input, expert)) {
            return;
        }
        // A clock of its own waits for what came before: with several devices at work they would wait for each other.
        boolean alone = devices.members().size() == 1;
        if (alone) {
            progress.stage(Stage.MOMENTS);
        }
        inputs.computeIfAbsent(new Key(input, expert), _ -> devices.statistics(x.columns()))
                .add(x);
        if (alone) {
            progress.stage(Stage.FORWARD);
        }
    }

    /** Returns whether the statistics of an input are here, or must be: gates and ups of experts may be elsewhere. */
    public boolean has(LinearInput input, Expert expert) {
        return !gatesElsewhere || !isGate(input, expert);
    }

    /** Whether it is what gate and up of one of several experts read. */
    static boolean isGate(LinearInput input, Expert expert) {
        return input == LinearInput.GATE_UP && expert.isPart();
    }

    /** Ends a part of all sums. */
    void endPart() {
        inputs.values().forEach(InputStatistics::endPart);
    }

    /** Returns the statistics of an input of a layer's only MLP, or of attention; they stay owned by this. */
    public InputStatistics of(LinearInput input) {
        return of(input, Expert.NONE);
    }

    /** Returns the statistics of an input of an expert, which stay owned by this. */
    public InputStatistics of(LinearInput input, Expert expert) {
        @Nullable InputStatistics found = inputs.get(new Key(input, expert));
        if (found == null) {
            throw new IllegalStateException("no statistics of " + input + " of " + expert + ": the layer did not run");
        }
        return found;
    }

    @Override
    public void close() {
        inputs.values().forEach(InputStatistics::close);
    }
}
