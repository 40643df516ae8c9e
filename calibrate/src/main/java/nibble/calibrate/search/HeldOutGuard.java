package nibble.calibrate.search;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.stream.ExpertTokens;
import nibble.calibrate.stream.HeldBackStream;
import nibble.calibrate.stream.PairedStream;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.LayerLinear;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.quantize.LinearQuantizer;
import nibble.engine.tensor.DecoderLayer;
import nibble.pack.QuantizedLinear;

/**
 * Judges fitted linears by text that the fit did not see, and takes back those with a larger output error than plain
 * rounding under AWQ's scales leaves there.
 */
final class HeldOutGuard {
    private final ModelConfig config;
    private final LayerSource source;
    private final List<DecoderLayer> original;
    private final PairedStream stream;

    HeldOutGuard(ModelConfig config, LayerSource source, List<DecoderLayer> original, PairedStream stream) {
        this.config = config;
        this.source = source;
        this.original = original;
        this.stream = stream;
    }

    /**
     * Judges all linears of an input; their reports get the errors.
     *
     * @param layers with these linears as fitted, on each device
     * @param made changed where a linear is taken back
     * @return the linears that are taken back
     */
    Set<LayerLinear> judge(
            LinearInput input,
            PairScales scales,
            List<DecoderLayer> layers,
            Map<LayerLinear, QuantizedLinear> made,
            Map<LayerLinear, QuantizationReport.Linear> reports) {
        Set<LayerLinear> takenBack = new TreeSet<>();
        if (stream.heldBack().isEmpty()) {
            return takenBack;
        }
        HeldBackStream held = stream.heldBack().get();
        Map<LayerLinear, QuantizedLinear> rounded = new TreeMap<>();
        List<HeldBackStream.Candidate> candidates = new ArrayList<>();
        try (PlacedLinears placed = new PlacedLinears(stream.backends())) {
            for (LayerLinear name : source.names()) {
                boolean beside = source.parallel() && input == LinearInput.QKV && name.input() == LinearInput.GATE_UP;
                if (name.input() != input && !beside) {
                    continue;
                }
                QuantizedLinear plain = source.linear(name).quantize(scales.basis(name), null);
                rounded.put(name, plain);
                candidates.add(new HeldBackStream.Candidate(name, placed.weights(name, plain, original)));
            }
            List<HeldBackStream.Errors> errors = errors(held, input, layers, candidates);
            for (int i = 0; i < candidates.size(); i++) {
                LayerLinear name = candidates.get(i).linear();
                HeldBackStream.Errors found = errors.get(i);
                QuantizationReport.Linear report = Objects.requireNonNull(reports.get(name));
                if (found.rounded() < found.fitted()) {
                    takenBack.add(name);
                    made.put(name, Objects.requireNonNull(rounded.get(name)));
                    report = ofRounding(report, source.linear(name), scales, name);
                }
                reports.put(name, report.with(of(report, found, takenBack.contains(name))));
            }
        }
        return takenBack;
    }

    private List<HeldBackStream.Errors> errors(
            HeldBackStream held,
            LinearInput input,
            List<DecoderLayer> layers,
            List<HeldBackStream.Candidate> candidates) {
        if (!candidates.getFirst().linear().expert().isPart()) {
            return held.errors(input, original, layers, candidates);
        }
        Experts experts = config.experts(source.layer()).orElseThrow();
        return held.expertErrors(input, original, layers, candidates, new ExpertTokens(config, experts, held.tokens()));
    }

    private static QuantizationReport.Linear ofRounding(
            QuantizationReport.Linear report, LinearQuantizer linear, PairScales scales, LayerLinear name) {
        return new QuantizationReport.Linear(
                report.name(),
                report.outFeatures(),
                report.inFeatures(),
                Objects.requireNonNull(report.fit()).awqRelativeError(),
                report.rtnRelativeError(),
                linear.weightError(scales.basis(name), null),
                0,
                1,
                new QuantizationReport.Fit(report.fit().awqRelativeError(), 0, 0, null, null, true));
    }

    private static QuantizationReport.Fit of(
            QuantizationReport.Linear report, HeldBackStream.Errors errors, boolean takenBack) {
        QuantizationReport.Fit fit = Objects.requireNonNull(report.fit());
        return new QuantizationReport.Fit(
                fit.awqRelativeError(),
                fit.propagatedShare(),
                fit.sweeps(),
                relative(errors.fitted(), errors.size()),
                relative(errors.rounded(), errors.size()),
                takenBack);
    }

    private static double relative(double error, double size) {
        return size == 0 ? 0 : error / size;
    }
}
