package nibble.calibrate.search;

import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import nibble.calibrate.job.Method;
import nibble.calibrate.job.QuantizeOptions;
import nibble.checkpoint.model.LayerLinear;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.StoredLinear;
import nibble.engine.quantize.FitSteps;
import nibble.engine.quantize.LinearQuantizer;
import nibble.pack.QuantizationSpec;

/** Estimates of arithmetic, in floating-point operations, for progress and its remaining time. */
public final class Work {
    private Work() {}

    /** Returns the linears of the last layer, which stands for all. */
    public static List<StoredLinear> linears(ModelConfig config) {
        return config.linears(config.layers() - 1);
    }

    /** Returns one of {@link #linears} for each input that has statistics. */
    public static List<StoredLinear> readers(ModelConfig config) {
        return linears(config).stream()
                .filter(linear -> switch (linear.linear()) {
                    case Q, Q_A, Q_B, KV_B, O, GATE, DOWN -> true;
                    case K, V, KV_A, UP -> false;
                })
                .toList();
    }

    /** Returns the share of all tokens that pass a linear. */
    public static double share(ModelConfig config, StoredLinear linear) {
        return linear.module().expert().isRouted()
                ? config.experts()
                        .map(experts -> (double) experts.chosen() / experts.count())
                        .orElse(1.0)
                : 1;
    }

    /** Counts all of one layer. */
    public static double layer(ModelConfig config, QuantizeOptions options, long tokens) {
        double work = 1;
        for (StoredLinear linear : linears(config)) {
            double out = linear.outFeatures();
            double in = linear.inFeatures();
            work += options.method() == Method.BEST ? 0 : forward(out, in) * tokens * share(config, linear);
            if (options.method() == Method.BEST) {
                work += ScaleSearch.candidates() * product(out, in) + fit(out, in, options.spec(), FitSteps.ALL);
            }
            if (options.method() == Method.AWQ) {
                work += ScaleSearch.candidates() * product(out, in) + clip(out, in, options.spec());
            }
        }
        if (options.method() == Method.BEST) {
            for (ScalePair pair :
                    ScalePair.of(kinds(config), config.architecture().isParallel())) {
                work += pairedPass(config, pair, tokens);
            }
        }
        return work;
    }

    /** The linears of the last layer, those of all experts as one. */
    private static Set<LayerLinear> kinds(ModelConfig config) {
        return linears(config).stream()
                .map(linear -> LayerLinear.of(linear.linear()))
                .collect(Collectors.toCollection(TreeSet::new));
    }

    /** Moments of one input on two streams, and the way of these to it and past it. */
    static double pairedPass(ModelConfig config, ScalePair pair, long tokens) {
        double in = config.width(pair.input());
        double moments = 3 * in * in;
        double forward = 0;
        for (LayerLinear linear : pair.readers(kinds(config))) {
            forward += 6.0 * config.outFeatures(linear.linear()) * in;
        }
        return (moments + forward) * tokens;
    }

    /** Counts all steps of fitting a linear. */
    public static double fit(LinearQuantizer linear, QuantizationSpec spec, FitSteps steps) {
        return fit(linear.outFeatures(), linear.inFeatures(), spec, steps);
    }

    public static double fit(double out, double in, QuantizationSpec spec, FitSteps steps) {
        double search = 2.0 * steps.ranges() * steps.ranges() * out * in * spec.columnsPerGroup((int) in);
        return search + (10 + 2 * steps.sweeps() + 4 * steps.refits()) * product(out, in);
    }

    /** Counts only the way of the calibration text through one layer, and the hash of its weights. */
    public static double pass(ModelConfig config, long tokens) {
        return 1 + passBlock(config, tokens);
    }

    /** Counts the forward pass of a layer over this many tokens, without second moments. */
    public static double passBlock(ModelConfig config, long tokens) {
        double work = 0;
        for (StoredLinear linear : linears(config)) {
            work += 2.0 * linear.outFeatures() * linear.inFeatures() * tokens * share(config, linear);
        }
        return work;
    }

    /** Counts the forward pass of a layer over this many tokens, second moments included. */
    public static double forward(ModelConfig config, long tokens) {
        double work = 0;
        for (StoredLinear linear : linears(config)) {
            work += forward(linear.outFeatures(), linear.inFeatures()) * tokens * share(config, linear);
        }
        return work;
    }

    private static double forward(double out, double in) {
        return 2 * out * in + in * in;
    }

    /** {@code E C} for a linear. */
    static double product(LinearQuantizer linear) {
        return product(linear.outFeatures(), linear.inFeatures());
    }

    private static double product(double out, double in) {
        return 2 * out * in * in;
    }

    /** Counts the clip search of a linear. */
    public static double clip(LinearQuantizer linear, QuantizationSpec spec) {
        return clip(linear.outFeatures(), linear.inFeatures(), spec);
    }

    public static double clip(double out, double in, QuantizationSpec spec) {
        return 20 * out * in * spec.columnsPerGroup((int) in) + 2 * product(out, in);
    }
}
