package nibble.calibrate.search;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import nibble.calibrate.stream.LinearInputs;
import nibble.checkpoint.model.LayerLinear;
import nibble.engine.backend.Workers;
import nibble.engine.quantize.InputStatistics;
import nibble.engine.quantize.LinearQuantizer;
import org.jspecify.annotations.Nullable;

/** Chooses the scale of a pair: the candidate with the least output error of the linears that read it. */
public final class ScaleSearch {
    /** A candidate must beat the identity by this share: below it, fp32 sums decide rather than the weights. */
    private static final double WORTHWHILE = 1e-4;

    /** The identity first. */
    private static final List<Candidate> CANDIDATES = Stream.concat(
                    Stream.of(Candidate.IDENTITY), Candidate.grid().stream())
            .toList();

    private final HeadTie tie;
    private final Workers workers;

    /**
     * What a search found.
     *
     * @param scales of each producing channel
     * @param loss output error of the readers under the scale, without clipping
     * @param readers each reader's part of both losses
     */
    record Choice(
            Candidate candidate,
            float[] scales,
            double loss,
            double identityLoss,
            Map<LayerLinear, ReaderLoss> readers) {}

    /**
     * The output error of one reader without clipping.
     *
     * @param loss under the chosen scale
     * @param identityLoss of plain rounding
     */
    record ReaderLoss(double loss, double identityLoss) {}

    /**
     * Mean magnitudes of an input.
     *
     * @param rows tokens that they are of
     */
    record Magnitudes(double[] meanAbsolute, double rows) {
        static Magnitudes of(InputStatistics input) {
            return new Magnitudes(input.meanAbsolute(), input.rows());
        }
    }

    ScaleSearch(HeadTie tie, Workers workers) {
        this.tie = tie;
        this.workers = workers;
    }

    /**
     * Searches on the original weights, whatever the other pairs chose.
     *
     * @param inputs statistics of what each reader reads
     * @param magnitudes the same's, the same one where readers share an input
     * @param onCandidate told of each linear under each candidate
     */
    Choice search(
            ScalePair pair,
            LayerSource source,
            LinearInputs<InputStatistics> inputs,
            Function<LayerLinear, Magnitudes> magnitudes,
            Consumer<LinearQuantizer> onCandidate) {
        PairScales scales = new PairScales(source, tie);
        double[] x = meanAbsolute(pair, source, magnitudes);
        double[] w = meanWeight(pair, source);
        if (pair.equals(ScalePair.VALUE_OUTPUT)) {
            x = tie.mean(x);
            w = tie.mean(w);
        }
        // Without a norm in front there is nowhere for a scale to go: plain rounding is all there is.
        List<float[]> tried = !scales.folds(pair)
                ? List.of(scales.ones(pair))
                : scales(x, w).stream()
                        .map(scale -> scales.possible(pair, scale))
                        .toList();
        List<float @Nullable []> columns =
                tried.stream().map(s -> scales.columns(pair, s)).collect(Collectors.toCollection(ArrayList::new));
        double[] losses = new double[tried.size()];
        Map<LayerLinear, double[]> ofReaders = new TreeMap<>();
        List<LayerLinear> all = pair.readers(source.names());
        inputs.forEach(all, (reader, input) -> {
            LinearQuantizer linear = source.linear(reader);
            ofReaders.put(reader, linear.losses(columns, input, () -> onCandidate.accept(linear)));
        });
        for (LayerLinear reader : all) {
            double[] ofLinear = Objects.requireNonNull(ofReaders.get(reader));
            for (int i = 0; i < losses.length; i++) {
                losses[i] += ofLinear[i];
            }
        }
        for (int i = 0; i < losses.length; i++) {
            if (!scales.biasFits(pair, tried.get(i))) {
                losses[i] = Double.NaN;
            }
        }
        int best = best(losses);
        Map<LayerLinear, ReaderLoss> readers = new TreeMap<>();
        ofReaders.forEach((reader, each) -> readers.put(reader, new ReaderLoss(each[best], each[0])));
        return new Choice(CANDIDATES.get(best), tried.get(best), losses[best], losses[0], readers);
    }

    /** Mean magnitude of each channel, over the tokens of all readers' inputs. */
    private static double[] meanAbsolute(ScalePair pair, LayerSource source, Function<LayerLinear, Magnitudes> inputs) {
        List<Magnitudes> distinct =
                pair.readers(source.names()).stream().map(inputs).distinct().toList();
        if (distinct.size() == 1) {
            return distinct.getFirst().meanAbsolute();
        }
        double[] mean = new double[distinct.getFirst().meanAbsolute().length];
        double rows = distinct.stream().mapToDouble(Magnitudes::rows).sum();
        for (Magnitudes input : distinct) {
            double[] own = input.meanAbsolute();
            for (int i = 0; i < mean.length; i++) {
                mean[i] += own[i] * (input.rows() / rows);
            }
        }
        return mean;
    }

    private List<float[]> scales(double[] x, double[] w) {
        float[][] scales = new float[CANDIDATES.size()][];
        workers.forEach(scales.length, i -> scales[i] = CANDIDATES.get(i).scales(x, w));
        return List.of(scales);
    }

    /** The identity unless another is better by more than sums in fp32 decide. */
    private static int best(double[] losses) {
        int best = 0;
        for (int i = 1; i < losses.length; i++) {
            // A loss that is not a number, from a scale beyond fp16, is never less.
            if (losses[i] < losses[best] && losses[i] < losses[0] * (1 - WORTHWHILE)) {
                best = i;
            }
        }
        return best;
    }

    public static int candidates() {
        return CANDIDATES.size();
    }

    /** Mean over all rows of the readers of |w| / (largest |w| of its group), for each column. */
    private static double[] meanWeight(ScalePair pair, LayerSource source) {
        double[] mean = new double
                [source.linear(pair.readers(source.names()).getFirst()).inFeatures()];
        int rows = 0;
        for (LayerLinear reader : pair.readers(source.names())) {
            LinearQuantizer linear = source.linear(reader);
            rows += linear.outFeatures();
            double[] sums = linear.relativeMagnitudes();
            for (int i = 0; i < mean.length; i++) {
                mean[i] += sums[i];
            }
        }
        for (int i = 0; i < mean.length; i++) {
            mean[i] /= rows;
        }
        return mean;
    }
}
