package nibble.calibrate.search;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import nibble.calibrate.job.ProgressListener.Stage;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.job.WorkProgress;
import nibble.calibrate.search.ScaleSearch.Choice;
import nibble.calibrate.search.ScaleSearch.Magnitudes;
import nibble.calibrate.stream.LayerInputs;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.LayerLinear;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.engine.backend.Workers;
import nibble.engine.quantize.Basis;
import nibble.engine.quantize.Clip;
import nibble.engine.quantize.LinearQuantizer;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import org.jspecify.annotations.Nullable;

/**
 * Quantizes one decoder layer: scales for its pairs, each searched on the original weights; then all of them
 * applied; then a clip for each group; then rounding. No pair is left with a larger output error than plain rounding
 * gives.
 */
public final class LayerQuantizer {
    // q and k, and what they are made of, are not clipped: their product decides attention, and AWQ found clipping them
    // harmful.
    private static final Set<Linear> CLIPPED = EnumSet.of(Linear.V, Linear.O, Linear.GATE, Linear.UP, Linear.DOWN);

    private final ModelConfig config;
    private final QuantizationSpec spec;
    private final WorkProgress progress;
    private final HeadTie tie;
    private final ScaleSearch scaleSearch;

    public record Outcome(QuantizedLayer layer, QuantizationReport.Layer report) {}

    /**
     * A linear ready to be rounded.
     *
     * @param limits magnitudes to clip to [outFeatures, groups], or null for none
     * @param shares clip as a share of the largest weight, as limits; empty for none
     * @param loss output error against the original
     */
    private record Prepared(Basis basis, float @Nullable [] limits, float[] shares, double loss) {}

    public LayerQuantizer(ModelConfig config, QuantizationSpec spec, Workers workers, WorkProgress progress) {
        this.config = config;
        this.spec = spec;
        this.progress = progress;
        this.tie = HeadTie.of(config);
        this.scaleSearch = new ScaleSearch(tie, workers);
    }

    /** Rounds plainly; output errors are reported where there are statistics. */
    public Outcome round(LayerSource source, @Nullable LayerInputs inputs) {
        progress.stage(Stage.ROUNDING);
        PairScales ones = new PairScales(source, tie);
        Plain plain = inputs == null ? null : Plain.of(source, inputs);
        Map<LayerLinear, Prepared> prepared = new TreeMap<>();
        for (LayerLinear linear : source.names()) {
            double loss = plain == null ? 0 : plain.losses.getOrDefault(linear, 0.0);
            prepared.put(linear, new Prepared(ones.basis(linear), null, new float[0], loss));
        }
        return finish(source, ones, prepared, plain, inputs == null ? null : inputs.experts(), List.of());
    }

    /**
     * What plain rounding leaves.
     *
     * @param losses output error of each linear against the original
     * @param sizes of the output that they are relative to
     * @param magnitudes of the inputs
     */
    private record Plain(
            Map<LayerLinear, Double> losses, Map<LayerLinear, Double> sizes, Map<Input, Magnitudes> magnitudes) {
        private record Input(LinearInput input, Expert expert) {
            static Input of(LayerLinear linear) {
                return new Input(linear.input(), linear.expert());
            }
        }

        static Plain of(LayerSource source, LayerInputs inputs) {
            Plain plain = new Plain(new TreeMap<>(), new TreeMap<>(), new HashMap<>());
            inputs.forEach(source.names(), (name, input) -> {
                LinearQuantizer linear = source.linear(name);
                plain.losses.put(name, sum(linear.errors(Basis.ORIGINAL, null, input)));
                plain.sizes.put(name, linear.outputSize(input));
                plain.magnitudes.computeIfAbsent(Input.of(name), _ -> Magnitudes.of(input));
            });
            return plain;
        }

        Magnitudes magnitudes(LayerLinear linear) {
            return Objects.requireNonNull(magnitudes.get(Input.of(linear)));
        }
    }

    /** Quantizes by the statistics of the inputs. */
    public Outcome quantize(LayerSource source, LayerInputs inputs) {
        progress.stage(Stage.SCALE_SEARCH);
        PairScales scales = new PairScales(source, tie);
        Plain plain = Plain.of(source, inputs);
        Map<LayerLinear, Double> rounded = plain.losses;
        Map<ScalePair, Choice> choices = new TreeMap<>();
        for (ScalePair pair : pairs(source)) {
            Choice choice = scaleSearch.search(
                    pair, source, inputs, plain::magnitudes, linear -> progress.add(Work.product(linear)));
            choices.put(pair, choice);
            scales.set(pair, choice.scales());
        }

        progress.stage(Stage.CLIP_SEARCH);
        Set<ScalePair> takenBack = new TreeSet<>();
        Map<LayerLinear, Prepared> prepared = new TreeMap<>();
        prepare(source, source.names(), scales, inputs, prepared);
        for (ScalePair worse = worse(source, prepared, rounded, choices, takenBack);
                worse != null;
                worse = worse(source, prepared, rounded, choices, takenBack)) {
            takenBack.add(worse);
            scales.reset(worse);
            prepare(source, touched(worse, source), scales, inputs, prepared);
        }

        progress.stage(Stage.ROUNDING);
        Map<LayerLinear, Double> losses = losses(prepared);
        List<QuantizationReport.Pair> reports = new ArrayList<>();
        choices.forEach((pair, choice) -> {
            boolean fallback = takenBack.contains(pair);
            Candidate candidate = fallback ? Candidate.IDENTITY : choice.candidate();
            reports.add(new QuantizationReport.Pair(
                    pair.label(config.architecture(), source.names()),
                    candidate.formula().label(),
                    candidate.ratio(),
                    fallback ? choice.identityLoss() : choice.loss(),
                    sum(losses, pair, source),
                    sum(rounded, pair, source),
                    fallback));
        });
        return finish(source, scales, prepared, plain, inputs.experts(), reports);
    }

    private static List<ScalePair> pairs(LayerSource source) {
        return ScalePair.of(source.names(), source.parallel());
    }

    /** The linears whose basis a pair's scale is part of. */
    private static Collection<LayerLinear> touched(ScalePair pair, LayerSource source) {
        List<LayerLinear> touched = new ArrayList<>(pair.readers(source.names()));
        LayerLinear producer = pair.producer(source.names());
        if (producer != null) {
            touched.add(producer);
        }
        return touched;
    }

    /** Clips linears that are clipped, row by row only where the whole row's output gets better by it. */
    private void prepare(
            LayerSource source,
            Collection<LayerLinear> names,
            PairScales scales,
            LayerInputs inputs,
            Map<LayerLinear, Prepared> prepared) {
        inputs.forEach(names, (name, input) -> {
            LinearQuantizer linear = source.linear(name);
            Basis basis = scales.basis(name);
            double[] plain = linear.errors(basis, null, input);
            if (!CLIPPED.contains(name.linear())) {
                prepared.put(name, new Prepared(basis, null, new float[0], sum(plain)));
                return;
            }
            Clip clip = linear.clip(basis, input);
            double[] clipped = linear.errors(basis, clip.limits(), input);
            int groups = clip.limits().length / linear.outFeatures();
            for (int row = 0; row < plain.length; row++) {
                if (clipped[row] < plain[row]) {
                    plain[row] = clipped[row];
                } else {
                    Arrays.fill(clip.limits(), row * groups, (row + 1) * groups, Float.POSITIVE_INFINITY);
                    Arrays.fill(clip.shares(), row * groups, (row + 1) * groups, 1f);
                }
            }
            prepared.put(name, new Prepared(basis, clip.limits(), clip.shares(), sum(plain)));
            progress.add(Work.clip(linear, spec));
        });
    }

    /** A pair whose scale must be taken back, since its readers, or those its rows produce for, got worse; or null. */
    private static @Nullable ScalePair worse(
            LayerSource source,
            Map<LayerLinear, Prepared> prepared,
            Map<LayerLinear, Double> rounded,
            Map<ScalePair, Choice> choices,
            Set<ScalePair> takenBack) {
        Map<LayerLinear, Double> losses = losses(prepared);
        for (ScalePair pair : pairs(source)) {
            if (sum(losses, pair, source) <= sum(rounded, pair, source)) {
                continue;
            }
            if (isScaled(pair, choices, takenBack)) {
                return pair;
            }
            // The rows of v_proj and up_proj are divided by another pair's scale, which moves their own rounding a
            // little. Of several experts the one that moved most is first.
            Optional<ScalePair> next = pairs(source).stream()
                    .filter(other -> pair.readers(source.names()).contains(other.producer(source.names())))
                    .filter(other -> isScaled(other, choices, takenBack))
                    .max(Comparator.comparingDouble(other -> risen(other.producer(source.names()), losses, rounded)));
            if (next.isPresent()) {
                return next.get();
            }
        }
        return null;
    }

    private static double risen(
            @Nullable LayerLinear producer, Map<LayerLinear, Double> losses, Map<LayerLinear, Double> rounded) {
        return producer == null ? 0 : losses.getOrDefault(producer, 0.0) - rounded.getOrDefault(producer, 0.0);
    }

    private static boolean isScaled(ScalePair pair, Map<ScalePair, Choice> choices, Set<ScalePair> takenBack) {
        Choice choice = choices.get(pair);
        return choice != null && !choice.candidate().equals(Candidate.IDENTITY) && !takenBack.contains(pair);
    }

    private Outcome finish(
            LayerSource source,
            PairScales scales,
            Map<LayerLinear, Prepared> prepared,
            @Nullable Plain plain,
            QuantizationReport.@Nullable Experts experts,
            List<QuantizationReport.Pair> pairs) {
        Map<LayerLinear, QuantizedLinear> linears = new TreeMap<>();
        List<QuantizationReport.Linear> reports = new ArrayList<>();
        prepared.forEach((name, ready) -> {
            LinearQuantizer linear = source.linear(name);
            linears.put(name, linear.quantize(ready.basis, ready.limits));
            Double relative = null;
            Double rtn = null;
            if (plain != null) {
                double size = plain.sizes.getOrDefault(name, 0.0);
                relative = size == 0 ? 0 : ready.loss / size;
                rtn = size == 0 ? 0 : plain.losses.getOrDefault(name, 0.0) / size;
            }
            reports.add(new QuantizationReport.Linear(
                    source.label(name),
                    linear.outFeatures(),
                    linear.inFeatures(),
                    relative,
                    rtn,
                    linear.weightError(ready.basis, ready.limits),
                    clippedShare(ready.shares),
                    meanShare(ready.shares),
                    null));
        });
        QuantizedLayer layer = new QuantizedLayer(
                source.layer(),
                scales.foldedNorm(LayerNorm.ATTENTION_IN),
                linears,
                scales.foldedNorm(LayerNorm.MLP_IN),
                source.normOffset(),
                scales.foldedBiases(),
                QuantizedLayer.halves(source.queryNorm()),
                QuantizedLayer.halves(source.keyNorm()),
                scales.innerNorms(),
                scales.foldedVectors(),
                scales.router());
        return new Outcome(layer, new QuantizationReport.Layer(source.layer(), List.copyOf(reports), pairs, experts));
    }

    private static double sum(double[] values) {
        double sum = 0;
        for (double value : values) {
            sum += value;
        }
        return sum;
    }

    private static Map<LayerLinear, Double> losses(Map<LayerLinear, Prepared> prepared) {
        Map<LayerLinear, Double> losses = new TreeMap<>();
        prepared.forEach((name, ready) -> losses.put(name, ready.loss));
        return losses;
    }

    private static double sum(Map<LayerLinear, Double> losses, ScalePair pair, LayerSource source) {
        return pair.readers(source.names()).stream()
                .mapToDouble(linear -> losses.getOrDefault(linear, 0.0))
                .sum();
    }

    private static double clippedShare(float[] shares) {
        long clipped = 0;
        for (float share : shares) {
            clipped += share < 1 ? 1 : 0;
        }
        return shares.length == 0 ? 0 : (double) clipped / shares.length;
    }

    private static double meanShare(float[] shares) {
        double sum = 0;
        for (float share : shares) {
            sum += share;
        }
        return shares.length == 0 ? 1 : sum / shares.length;
    }
}
