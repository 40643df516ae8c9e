package nibble.calibrate;

import nibble.convert.LlamaConfig;
import nibble.convert.LlamaLinear;
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
            work += forward(out, in) * tokens;
            if (options.method() == Method.AWQ) {
                work += ScaleSearch.candidates() * product(out, in) + clip(out, in, options.spec());
            }
        }
        return work;
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
