package nibble.calibrate.search;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Supplier;
import nibble.calibrate.job.ProgressListener.Stage;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.job.WorkProgress;
import nibble.calibrate.search.ScaleSearch.Choice;
import nibble.calibrate.search.ScaleSearch.Magnitudes;
import nibble.calibrate.stream.ExpertTokens;
import nibble.calibrate.stream.LinearInputs;
import nibble.calibrate.stream.PairedStream;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.LayerLinear;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.engine.backend.Streams;
import nibble.engine.backend.Workers;
import nibble.engine.quantize.ExpertTurns;
import nibble.engine.quantize.FitSteps;
import nibble.engine.quantize.Fitted;
import nibble.engine.quantize.LinearQuantizer;
import nibble.engine.quantize.PairedMoments;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import org.jspecify.annotations.Nullable;

/**
 * Quantizes one decoder layer by method best, one input after another: q, k and v; o; gate and up; down. Each group's
 * moments are taken with all groups before it quantized, so it can undo what they did.
 */
public final class LayerFitter {
    private final ModelConfig config;
    private final QuantizationSpec spec;
    private final FitSteps steps;
    private final WorkProgress progress;
    private final HeadTie tie;
    private final ScaleSearch scaleSearch;

    public LayerFitter(
            ModelConfig config, QuantizationSpec spec, FitSteps steps, Workers workers, WorkProgress progress) {
        this.config = config;
        this.spec = spec;
        this.steps = steps;
        this.progress = progress;
        this.tie = HeadTie.of(config);
        this.scaleSearch = new ScaleSearch(tie, workers);
    }

    /** Moves both streams through the layer on the way. */
    public LayerQuantizer.Outcome quantize(LayerSource source, List<DecoderLayer> original, PairedStream stream) {
        PairScales scales = new PairScales(source, tie);
        Map<LayerLinear, QuantizedLinear> made = new TreeMap<>();
        Map<LayerLinear, QuantizationReport.Linear> linears = new TreeMap<>();
        List<QuantizationReport.Pair> pairs = new ArrayList<>();
        HeldOutGuard guard = new HeldOutGuard(config, source, original, stream);
        @Nullable ExpertTokens seen = null;
        try (PlacedLinears placed = new PlacedLinears(stream.backends())) {
            for (ScalePair pair : ScalePair.of(source.names(), source.parallel())) {
                if (source.router().isPresent()
                        && pair.readers(source.names()).getFirst().expert().isPart()) {
                    continue;
                }
                progress.stage(Stage.MOMENTS);
                List<DecoderLayer> soFar = layers(source, scales, made, original, placed);
                int columns =
                        source.linear(pair.readers(source.names()).getFirst()).inFeatures();
                FittedPair fitted;
                try (PairedMoments moments = stream.moments(
                        pair.input(),
                        original,
                        soFar,
                        columns,
                        tokens -> progress.forwarded(tokens, Work.pairedPass(config, pair, tokens)))) {
                    fitted = fit(
                            pair,
                            source,
                            scales,
                            (names, use) -> names.forEach(name -> use.accept(name, moments)),
                            made,
                            linears);
                }
                progress.stage(Stage.FORWARD);
                List<DecoderLayer> layers = layers(source, scales, made, original, placed);
                Set<LayerLinear> takenBack = guard.judge(pair.input(), scales, layers, made, linears);
                stream.heldBack()
                        .ifPresent(held ->
                                progress.forwarded(held.tokens(), Work.pairedPass(config, pair, held.tokens())));
                pairs.add(fitted.report(takenBack));
                if (!takenBack.isEmpty()) {
                    layers = layers(source, scales, made, original, placed);
                }
                switch (pair.kind()) {
                    case VALUE_OUTPUT -> stream.attention(original, layers);
                    case UP_DOWN -> stream.mlp(original, layers);
                    case ATTENTION_NORM, PARALLEL_NORM, QUERY_NORM, KEY_VALUE_NORM, MLP_NORM -> {}
                }
            }
            if (source.router().isPresent()) {
                seen = fitExperts(source, original, stream, scales, made, linears, pairs, placed, guard);
            }
        }
        QuantizedLayer layer = finished(source, scales, made);
        return new LayerQuantizer.Outcome(
                layer,
                new QuantizationReport.Layer(
                        source.layer(), List.copyOf(linears.values()), pairs, seen == null ? null : seen.report()));
    }

    /**
     * Fits the experts by what each of them sees: gate and up of all, then down of all. Each is judged by what it sees
     * of the held-back text, filled up in the same way.
     */
    private ExpertTokens fitExperts(
            LayerSource source,
            List<DecoderLayer> original,
            PairedStream stream,
            PairScales scales,
            Map<LayerLinear, QuantizedLinear> made,
            Map<LayerLinear, QuantizationReport.Linear> linears,
            List<QuantizationReport.Pair> pairs,
            PlacedLinears placed,
            HeldOutGuard guard) {
        Experts experts = config.experts(source.layer()).orElseThrow();
        Supplier<ExpertTokens> tokens = () -> new ExpertTokens(config, experts, stream.tokens());
        ExpertTokens counted = tokens.get();
        for (LinearInput input : List.of(LinearInput.GATE_UP, LinearInput.DOWN)) {
            List<DecoderLayer> before = layers(source, scales, made, original, placed);
            List<FittedPair> fitted = new ArrayList<>();
            List<ScalePair> all = ScalePair.of(source.names(), source.parallel()).stream()
                    .filter(pair -> pair.input() == input)
                    .toList();
            List<List<Expert>> turns =
                    ExpertTurns.of(config, experts.all(), input, Streams.PAIR.moments(), stream.expertElements());
            ExpertMoments moments = new ExpertMoments(stream, input, original, before, progress);
            if (input == LinearInput.GATE_UP && turns.size() > 1) {
                // One scale serves all, so each thing that is asked of all takes all turns.
                fitted.add(fit(all.getFirst(), source, scales, moments.inTurns(turns, tokens), made, linears));
            } else {
                counted = tokens.get();
                for (List<Expert> turn : turns) {
                    moments.with(turn, counted, turn == turns.getLast(), inputs -> {
                        for (ScalePair pair : all) {
                            if (input == LinearInput.GATE_UP || turn.contains(pair.expert())) {
                                fitted.add(fit(pair, source, scales, inputs, made, linears));
                            }
                        }
                    });
                }
            }
            progress.stage(Stage.FORWARD);
            Set<LayerLinear> takenBack =
                    guard.judge(input, scales, layers(source, scales, made, original, placed), made, linears);
            stream.heldBack().ifPresent(held -> progress.forwarded(held.tokens(), 0));
            for (FittedPair pair : fitted) {
                pairs.add(pair.report(takenBack));
            }
        }
        stream.mlp(original, layers(source, scales, made, original, placed));
        return counted;
    }

    /** @param losses of the pair's linears as fitted */
    private record FittedPair(
            ScalePair pair, String label, List<LayerLinear> readers, Choice choice, Map<LayerLinear, Double> losses) {
        QuantizationReport.Pair report(Set<LayerLinear> takenBack) {
            double loss = 0;
            for (LayerLinear linear : readers) {
                loss += takenBack.contains(linear)
                        ? Objects.requireNonNull(choice.readers().get(linear)).loss()
                        : Objects.requireNonNull(losses.get(linear));
            }
            return new QuantizationReport.Pair(
                    label,
                    choice.candidate().formula().label(),
                    choice.candidate().ratio(),
                    choice.loss(),
                    loss,
                    choice.identityLoss(),
                    readers.stream().anyMatch(takenBack::contains));
        }
    }

    private FittedPair fit(
            ScalePair pair,
            LayerSource source,
            PairScales scales,
            LinearInputs<PairedMoments> inputs,
            Map<LayerLinear, QuantizedLinear> made,
            Map<LayerLinear, QuantizationReport.Linear> reports) {
        progress.stage(Stage.SCALE_SEARCH);
        List<LayerLinear> readers = pair.readers(source.names());
        Map<Expert, Magnitudes> magnitudes = new TreeMap<>();
        inputs.forEach(
                readers,
                (name, moments) -> magnitudes.computeIfAbsent(name.expert(), _ -> Magnitudes.of(moments.input())));
        Choice choice = scaleSearch.search(
                pair,
                source,
                (names, use) -> inputs.forEach(names, (name, moments) -> use.accept(name, moments.input())),
                name -> Objects.requireNonNull(magnitudes.get(name.expert())),
                linear -> progress.add(Work.product(linear)));
        scales.set(pair, choice.scales());
        LayerLinear producer = pair.producer(source.names());
        if (producer != null) {
            // Its rows take the scale out; its codes are the same in either basis.
            divideRows(
                    made, producer, pair.equals(ScalePair.VALUE_OUTPUT) ? tie.rows(choice.scales()) : choice.scales());
        }
        progress.stage(Stage.ROUNDING);
        Map<LayerLinear, Double> losses = new TreeMap<>();
        inputs.forEach(readers, (name, moments) -> {
            LinearQuantizer linear = source.linear(name);
            long tokens = moments.input().rows();
            Fitted fitted = linear.fit(scales.basis(name), moments, steps);
            made.put(name, fitted.linear());
            double size = linear.outputSize(moments.input());
            ScaleSearch.ReaderLoss searched =
                    Objects.requireNonNull(choice.readers().get(name));
            reports.put(
                    name,
                    new QuantizationReport.Linear(
                            source.label(name),
                            linear.outFeatures(),
                            linear.inFeatures(),
                            relative(fitted.loss() * tokens, size),
                            relative(searched.identityLoss(), size),
                            fitted.weightError(),
                            fitted.narrowedGroups(),
                            fitted.meanRange(),
                            new QuantizationReport.Fit(
                                    relative(searched.loss(), size),
                                    fitted.share(),
                                    fitted.sweeps(),
                                    null,
                                    null,
                                    false)));
            losses.put(name, fitted.loss() * tokens);
            progress.add(Work.fit(linear, spec, steps));
        });
        String label = pair.label(config.architecture(), source.names());
        return new FittedPair(pair, label, readers, choice, losses);
    }

    private static double relative(double loss, double size) {
        return size == 0 ? 0 : loss / size;
    }

    private static void divideRows(Map<LayerLinear, QuantizedLinear> made, LayerLinear linear, float[] divisors) {
        made.computeIfPresent(linear, (_, there) -> there.withDividedRows(divisors));
    }

    /** The layer with what is quantized of it so far, on each device; linears that are not yet are the original's. */
    private List<DecoderLayer> layers(
            LayerSource source,
            PairScales scales,
            Map<LayerLinear, QuantizedLinear> made,
            List<DecoderLayer> original,
            PlacedLinears placed) {
        QuantizedLayer vectors = vectors(source, scales);
        List<DecoderLayer> layers = new ArrayList<>();
        for (int member = 0; member < original.size(); member++) {
            Map<LayerLinear, Weight> weights = new TreeMap<>();
            for (LayerLinear linear : source.names()) {
                QuantizedLinear there = made.get(linear);
                weights.put(
                        linear,
                        there == null
                                ? original.get(member).weight(linear.linear(), linear.expert())
                                : placed.weights(linear, there, original).get(member));
            }
            layers.add(vectors.toDecoderLayer(weights));
        }
        return layers;
    }

    private QuantizedLayer finished(LayerSource source, PairScales scales, Map<LayerLinear, QuantizedLinear> made) {
        return vectors(source, scales).with(made);
    }

    /** The layer's vectors as the output holds them, without linears. */
    private static QuantizedLayer vectors(LayerSource source, PairScales scales) {
        return new QuantizedLayer(
                source.layer(),
                scales.foldedNorm(LayerNorm.ATTENTION_IN),
                new TreeMap<>(),
                scales.foldedNorm(LayerNorm.MLP_IN),
                source.normOffset(),
                scales.foldedBiases(),
                QuantizedLayer.halves(source.queryNorm()),
                QuantizedLayer.halves(source.keyNorm()),
                scales.innerNorms(),
                scales.foldedVectors(),
                scales.router());
    }
}
