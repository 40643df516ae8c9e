package nibble.calibrate;

import java.util.List;
import nibble.convert.LlamaLinear;
import nibble.engine.Matrix;
import nibble.engine.Workers;
import nibble.pack.QuantizationSpec;
import org.jspecify.annotations.Nullable;

/** Chooses the scale of a pair: the candidate with the least output error of the linears that read it. */
final class ScaleSearch {
    /** A candidate must beat the identity by this share: below it, fp32 sums decide rather than the weights. */
    private static final double WORTHWHILE = 1e-4;

    private static final List<Candidate> GRID = Candidate.grid();

    private final OutputError error;
    private final Workers workers;
    private final QuantizationSpec spec;
    private final HeadTie tie;

    /**
     * What a search found.
     *
     * @param scales of each producing channel
     * @param loss output error of the readers under the scale, without clipping
     */
    record Choice(Candidate candidate, float[] scales, double loss, double identityLoss) {}

    ScaleSearch(OutputError error, Workers workers, QuantizationSpec spec, HeadTie tie) {
        this.error = error;
        this.workers = workers;
        this.spec = spec;
        this.tie = tie;
    }

    /**
     * Searches on the original weights, whatever the other pairs chose.
     *
     * @param onCandidate run after each candidate
     */
    Choice search(ScalePair pair, LayerSource source, LayerStatistics statistics, Runnable onCandidate) {
        PairScales scales = new PairScales(source, tie);
        double[] x = statistics.meanAbsolute(pair.input());
        double[] w = meanWeight(pair, source);
        if (pair == ScalePair.VALUE_OUTPUT) {
            x = tie.mean(x);
            w = tie.mean(w);
        }
        Matrix moment = statistics.moment(pair.input());
        float[] identity = Candidate.IDENTITY.scales(x, w);
        double identityLoss = loss(pair, source, scales.columns(pair, identity), moment);
        onCandidate.run();
        Choice best = new Choice(Candidate.IDENTITY, identity, identityLoss, identityLoss);
        for (Candidate candidate : GRID) {
            float[] s = candidate.scales(x, w);
            boolean fits = pair != ScalePair.VALUE_OUTPUT || scales.biasFits(s);
            double loss = fits ? loss(pair, source, scales.columns(pair, s), moment) : Double.NaN;
            // A loss that is not a number, from a scale beyond fp16, is never less.
            if (loss < best.loss && loss < identityLoss * (1 - WORTHWHILE)) {
                best = new Choice(candidate, s, loss, identityLoss);
            }
            onCandidate.run();
        }
        return best;
    }

    static int candidates() {
        return 1 + GRID.size();
    }

    private double loss(
            ScalePair pair, LayerSource source, float @Nullable [] columns, Matrix moment) {
        double loss = 0;
        for (LlamaLinear linear : pair.readers()) {
            loss += error.total(source.linear(linear).withColumns(columns), null, moment);
        }
        return loss;
    }

    /** Mean over all rows of the readers of |w| / (largest |w| of its group), for each column. */
    private double[] meanWeight(ScalePair pair, LayerSource source) {
        int in = source.linear(pair.readers().getFirst()).inFeatures();
        int length = spec.columnsPerGroup(in);
        double[] mean = new double[in];
        int rows = 0;
        for (LlamaLinear reader : pair.readers()) {
            ScaledLinear linear = source.linear(reader);
            rows += linear.outFeatures();
            // A task owns the columns of its group, so that rows are added in one order whatever the threads.
            workers.forEach(in / length, group -> addGroup(linear, group * length, length, mean));
        }
        for (int i = 0; i < in; i++) {
            mean[i] /= rows;
        }
        return mean;
    }

    private static void addGroup(ScaledLinear linear, int first, int length, double[] into) {
        for (int row = 0; row < linear.outFeatures(); row++) {
            int at = row * linear.inFeatures() + first;
            float largest = 0;
            for (int i = at; i < at + length; i++) {
                largest = Math.max(largest, Math.abs(linear.weights()[i]));
            }
            double divisor = largest + 1e-6;
            for (int i = 0; i < length; i++) {
                into[first + i] += Math.abs(linear.weights()[at + i]) / divisor;
            }
        }
    }
}
