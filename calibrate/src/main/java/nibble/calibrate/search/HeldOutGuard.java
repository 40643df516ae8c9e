package nibble.calibrate.search;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.stream.HeldBackStream;
import nibble.calibrate.stream.PairedStream;
import nibble.checkpoint.model.LayerLinear;
import nibble.engine.quantize.LinearQuantizer;
import nibble.engine.tensor.DecoderLayer;
import nibble.pack.QuantizedLinear;

/**
 * Judges fitted linears by text that the fit did not see, and takes back those with a larger output error than plain
 * rounding under AWQ's scales leaves there.
 */
final class HeldOutGuard {
    private final LayerSource source;
    private final List<DecoderLayer> original;
    private final PairedStream stream;

    HeldOutGuard(LayerSource source, List<DecoderLayer> original, PairedStream stream) {
        this.source = source;
        this.original = original;
        this.stream = stream;
    }

    /**
     * Judges the readers of a pair; their reports get the errors.
     *
     * @param layers with these linears as fitted, on each device
     * @param made changed where a linear is taken back
     * @return the linears that are taken back
     */
    Set<LayerLinear> judge(
            ScalePair pair,
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
            for (LayerLinear name : pair.readers(source.names())) {
                QuantizedLinear plain = source.linear(name).quantize(scales.basis(name), null);
                rounded.put(name, plain);
                candidates.add(new HeldBackStream.Candidate(name, placed.weights(name, plain)));
            }
            List<HeldBackStream.Errors> errors = held.errors(pair.input(), original, layers, candidates);
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
