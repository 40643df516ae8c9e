package nibble.calibrate;

import nibble.convert.LlamaConfig;
import nibble.convert.LlamaLinear;
import nibble.engine.fit.FitSteps;
import nibble.engine.quantize.LinearQuantizer;
import nibble.pack.QuantizationSpec;

/** Estimates of arithmetic, in floating-point operations, for progress and its remaining time. */
final class Work {
    private Work() {}

    /** All of one layer. */
    static double layer(LlamaConfig config, QuantizeOptions options, long tokens) {
        double work = 1;
        for (LlamaLinear linear : LlamaLinear.values()) {
            double out = config.outFeatures(linear);
            double in = config.inFeatures(linear);
            work += options.method() == Method.BEST ? 0 : forward(out, in) * tokens;
            if (options.method() == Method.BEST) {
                work += ScaleSearch.candidates() * product(out, in) + fit(out, in, options.spec(), FitSteps.ALL);
            }
            if (options.method() == Method.AWQ) {
                work += ScaleSearch.candidates() * product(out, in) + clip(out, in, options.spec());
            }
        }
        if (options.method() == Method.BEST) {
            for (ScalePair pair : ScalePair.values()) {
                work += pairedPass(config, pair, tokens);
            }
        }
        return work;
    }

    /** Moments of one input on two streams, and the way of these to it and past it. */
    static double pairedPass(LlamaConfig config, ScalePair pair, long tokens) {
        double in = config.inFeatures(pair.readers().getFirst());
        double moments = 3 * in * in;
        double forward = 0;
        for (LlamaLinear linear : pair.readers()) {
            forward += 8.0 * config.outFeatures(linear) * in;
        }
        return (moments + forward) * tokens;
    }

    /** All steps of fitting a linear. */
    static double fit(LinearQuantizer linear, QuantizationSpec spec, FitSteps steps) {
        return fit(linear.outFeatures(), linear.inFeatures(), spec, steps);
    }

    static double fit(double out, double in, QuantizationSpec spec, FitSteps steps) {
        double search = 2.0 * steps.ranges() * steps.ranges() * out * in * spec.columnsPerGroup((int) in);
        return search + (10 + 2 * steps.sweeps() + 4 * steps.refits()) * product(out, in);
    }

    /** Only the way of the calibration text through one layer, and the hash of its weights. */
    static double pass(LlamaConfig config, long tokens) {
        return 1 + passBlock(config, tokens);
    }

    /** Forward pass of a layer over this many tokens, without second moments. */
    static double passBlock(LlamaConfig config, long tokens) {
        double work = 0;
        for (LlamaLinear linear : LlamaLinear.values()) {
            work += 2.0 * config.outFeatures(linear) * config.inFeatures(linear) * tokens;
        }
        return work;
    }

    /** Forward pass of a layer over this many tokens, second moments included. */
    static double forward(LlamaConfig config, long tokens) {
        double work = 0;
        for (LlamaLinear linear : LlamaLinear.values()) {
            work += forward(config.outFeatures(linear), config.inFeatures(linear)) * tokens;
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

    /** The clip search of a linear. */
    static double clip(LinearQuantizer linear, QuantizationSpec spec) {
        return clip(linear.outFeatures(), linear.inFeatures(), spec);
    }

    static double clip(double out, double in, QuantizationSpec spec) {
        return 20 * out * in * spec.columnsPerGroup((int) in) + 2 * product(out, in);
    }
}
