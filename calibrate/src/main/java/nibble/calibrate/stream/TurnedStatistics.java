package nibble.calibrate.stream;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.BiConsumer;
import java.util.function.LongConsumer;
import java.util.function.Supplier;
import nibble.calibrate.job.ProgressListener.Stage;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.job.WorkProgress;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.LayerLinear;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.backend.ActivationStore;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.backend.Streams;
import nibble.engine.forward.ExpertPass;
import nibble.engine.forward.Forward;
import nibble.engine.quantize.ExpertTurns;
import nibble.engine.quantize.InputStatistics;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.ExpertMlps;
import nibble.engine.tensor.Matrix;
import org.jspecify.annotations.Nullable;

/**
 * Holds statistics of a layer whose gates and ups have no room for those of all experts. Each time they are asked for,
 * the experts take turns: what went into the MLPs was kept, and the rows of a turn's experts are brought together from
 * it once more. Sums are made in the order in which {@link LayerStatistics} makes them, so they have the same bits.
 * Owns the other statistics and what was kept.
 */
public final class TurnedStatistics implements LayerInputs {
    /** Hears of statistics of an input, before they are used. */
    @FunctionalInterface
    public interface Check {
        /** Takes them; throws if they cannot be used. */
        void of(LinearInput input, Expert expert, InputStatistics statistics);
    }

    private final ModelConfig config;
    private final QuantizationDevices devices;
    private final WorkProgress progress;
    private final CalibrationStream stream;
    private final List<DecoderLayer> layer;
    private final Supplier<ExpertTokens> tokens;
    private final Check check;
    private final LayerStatistics others;
    private final List<ActivationStore> kept;

    /**
     * Moves all blocks through a layer.
     *
     * @param layer on each device; needed as long as this
     * @param tokens begins to count those of the layer's experts
     * @param onTokens told of so many tokens more
     */
    public TurnedStatistics(
            ModelConfig config,
            QuantizationDevices devices,
            WorkProgress progress,
            CalibrationStream stream,
            List<DecoderLayer> layer,
            Supplier<ExpertTokens> tokens,
            Check check,
            LongConsumer onTokens) {
        this.config = config;
        this.devices = devices;
        this.progress = progress;
        this.stream = stream;
        this.layer = layer;
        this.tokens = tokens;
        this.check = check;
        this.others = new LayerStatistics(devices, progress, tokens.get(), true);
        try {
            this.kept = stream.advanceKeeping(layer, others, onTokens);
        } catch (RuntimeException | Error e) {
            others.close();
            throw e;
        }
    }

    /** Returns whether statistics of a layer's gates and ups must take turns on some devices. */
    public static boolean isNeeded(ModelConfig config, List<Expert> experts, QuantizationDevices devices) {
        return turns(config, experts, devices).size() > 1;
    }

    private static List<List<Expert>> turns(ModelConfig config, List<Expert> experts, QuantizationDevices devices) {
        return ExpertTurns.of(
                config,
                experts,
                LinearInput.GATE_UP,
                Streams.ONE.moments(),
                devices.expertElements(config, Streams.ONE));
    }

    @Override
    public void forEach(Collection<LayerLinear> linears, BiConsumer<LayerLinear, InputStatistics> use) {
        List<LayerLinear> gates = new ArrayList<>();
        Set<Expert> experts = new TreeSet<>();
        for (LayerLinear linear : linears) {
            if (LayerStatistics.isGate(linear.input(), linear.expert())) {
                gates.add(linear);
                experts.add(linear.expert());
            } else {
                use.accept(linear, others.of(linear.input(), linear.expert()));
            }
        }
        for (List<Expert> turn : turns(config, List.copyOf(experts), devices)) {
            Map<Expert, InputStatistics> statistics = progress.during(Stage.MOMENTS, () -> measure(turn));
            try {
                for (LayerLinear gate : gates) {
                    @Nullable InputStatistics its = statistics.get(gate.expert());
                    if (its != null) {
                        use.accept(gate, its);
                    }
                }
            } finally {
                statistics.values().forEach(InputStatistics::close);
            }
        }
    }

    private Map<Expert, InputStatistics> measure(List<Expert> turn) {
        Map<Expert, InputStatistics> statistics = new TreeMap<>();
        try {
            ExpertTokens counted = tokens.get();
            for (int i = 0; i < stream.size(); i++) {
                DecoderLayer weights = layer.get(stream.member(i));
                stream.useKept(
                        kept,
                        i,
                        (forward, hidden, sequences) -> add(
                                turn,
                                counted,
                                forward,
                                weights,
                                forward.input(LinearInput.GATE_UP, weights, hidden, sequences),
                                statistics));
                if (stream.part(i + 1) != stream.part(i)) {
                    statistics.values().forEach(InputStatistics::endPart);
                }
            }
            for (Expert expert : turn) {
                check.of(LinearInput.GATE_UP, expert, Objects.requireNonNull(statistics.get(expert)));
            }
            return statistics;
        } catch (RuntimeException | Error e) {
            statistics.values().forEach(InputStatistics::close);
            throw e;
        }
    }

    private void add(
            List<Expert> turn,
            ExpertTokens counted,
            Forward forward,
            DecoderLayer weights,
            Matrix normed,
            Map<Expert, InputStatistics> into) {
        ExpertMlps experts = (ExpertMlps) weights.feedForward();
        ExpertPass pass = forward.experts();
        float[] factors = pass.inputFactors(experts, normed);
        int[][] routed = pass.routed(experts, normed);
        for (Expert expert : turn) {
            if (!expert.isRouted()) {
                statistics(expert, into).add(normed);
                continue;
            }
            int[] rows = routed[expert.index()];
            addRows(pass, factors, normed, rows, expert, into);
            addRows(pass, factors, normed, counted.more(expert, rows, normed.rows()), expert, into);
        }
    }

    private void addRows(
            ExpertPass pass,
            float[] factors,
            Matrix normed,
            int[] rows,
            Expert expert,
            Map<Expert, InputStatistics> into) {
        if (rows.length > 0) {
            try (Matrix gathered = pass.input(factors, expert, normed, rows)) {
                statistics(expert, into).add(gathered);
            }
        }
    }

    private InputStatistics statistics(Expert expert, Map<Expert, InputStatistics> into) {
        return into.computeIfAbsent(expert, _ -> devices.statistics(config.width(LinearInput.GATE_UP, expert)));
    }

    /** Returns the statistics of what is always there. */
    public LayerStatistics others() {
        return others;
    }

    @Override
    public QuantizationReport.@Nullable Experts experts() {
        return others.experts();
    }

    @Override
    public void close() {
        stream.closeKept(kept);
        others.close();
    }
}
