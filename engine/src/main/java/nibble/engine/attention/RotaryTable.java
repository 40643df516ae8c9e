package nibble.engine.attention;

import java.util.Arrays;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.AttentionTemperature;
import nibble.checkpoint.model.layer.Rope;

/**
 * Holds cosines and sines of the rotary embedding, [positions, half], computed in double and rounded once.
 *
 * @param positions rows of the table
 * @param half pairs of a head that turn: value i with value i + half; what stands behind 2 * half stays
 */
public record RotaryTable(int positions, int half, float[] cos, float[] sin) {

    /** Returns the unscaled table of positions 0 to {@code positions - 1}. */
    public static RotaryTable of(double theta, int width, int positions) {
        return of(plain(theta, width), 1, positions);
    }

    /** Returns a model's table of positions 0 to {@code positions - 1} for a sequence of so many tokens. */
    public static RotaryTable of(ModelConfig config, Rope rope, int positions, int sequenceLength) {
        double[] frequencies = frequencies(rope, rope.width(config.headDim()), config.maxPositions(), sequenceLength);
        return of(frequencies, amplitude(rope, sequenceLength), positions);
    }

    /** Returns a table that turns nothing, and multiplies heads by the factors of positions 0 to so many less one. */
    public static RotaryTable of(AttentionTemperature temperature, int width, int positions) {
        int half = width / 2;
        float[] cos = new float[Math.multiplyExact(positions, half)];
        for (int p = 0; p < positions; p++) {
            Arrays.fill(cos, p * half, (p + 1) * half, (float) temperature.at(p));
        }
        return new RotaryTable(positions, half, cos, new float[cos.length]);
    }

    private static RotaryTable of(double[] frequencies, double amplitude, int positions) {
        int half = frequencies.length;
        float[] cos = new float[Math.multiplyExact(positions, half)];
        float[] sin = new float[cos.length];
        for (int p = 0; p < positions; p++) {
            for (int i = 0; i < half; i++) {
                double angle = p * frequencies[i];
                cos[p * half + i] = (float) (amplitude * Math.cos(angle));
                sin[p * half + i] = (float) (amplitude * Math.sin(angle));
            }
        }
        return new RotaryTable(positions, half, cos, sin);
    }

    /** The factor of cosines and sines. */
    private static double amplitude(Rope rope, int sequenceLength) {
        return switch (rope.scaling()) {
            case Rope.Yarn yarn -> yarn.attentionFactor();
            case Rope.LongRope factors ->
                isLong(factors, sequenceLength) ? factors.longAttentionFactor() : factors.attentionFactor();
            case Rope.None _, Rope.Linear _, Rope.DynamicNtk _, Rope.Llama3 _ -> 1;
        };
    }

    private static boolean isLong(Rope.LongRope scaling, int sequenceLength) {
        return sequenceLength > scaling.originalMaxPositions();
    }

    /** Returns a table whose row i is this one's row {@code rows[i]}: for rows that stand at any positions. */
    public RotaryTable at(int[] rows) {
        float[] rowCos = new float[Math.multiplyExact(rows.length, half)];
        float[] rowSin = new float[rowCos.length];
        for (int i = 0; i < rows.length; i++) {
            System.arraycopy(cos, rows[i] * half, rowCos, i * half, half);
            System.arraycopy(sin, rows[i] * half, rowSin, i * half, half);
        }
        return new RotaryTable(rows.length, half, rowCos, rowSin);
    }

    /**
     * Returns the table of the transposed rotation, which turns a gradient back: the inverse, unless cosines and sines
     * have a factor.
     */
    public RotaryTable transposed() {
        float[] back = new float[sin.length];
        for (int i = 0; i < back.length; i++) {
            back[i] = -sin[i];
        }
        return new RotaryTable(positions, half, cos, back);
    }

    /**
     * Returns the length of sequences up to which a model's rotation does not depend on the length; {@link
     * Integer#MAX_VALUE} if it never does.
     */
    public static int steadyLength(ModelConfig config) {
        return config.attention().stream()
                .flatMap(layer -> layer.rope().stream())
                .mapToInt(rope -> steadyLength(config, rope))
                .min()
                .orElse(Integer.MAX_VALUE);
    }

    /** Returns the same for one rope of a model. */
    public static int steadyLength(ModelConfig config, Rope rope) {
        return switch (rope.scaling()) {
            case Rope.DynamicNtk _ -> config.maxPositions();
            case Rope.LongRope factors -> factors.originalMaxPositions();
            case Rope.None _, Rope.Linear _, Rope.Llama3 _, Rope.Yarn _ -> Integer.MAX_VALUE;
        };
    }

    /**
     * Radians a position for each pair: theta^(-2i/width) under the scaling, by the formulas of transformers' {@code
     * modeling_rope_utils}.
     *
     * @param width values of a head that turn
     */
    static double[] frequencies(Rope rope, int width, int maxPositions, int sequenceLength) {
        return switch (rope.scaling()) {
            case Rope.None() -> plain(rope.theta(), width);
            case Rope.Linear(double factor) -> {
                double[] f = plain(rope.theta(), width);
                for (int i = 0; i < f.length; i++) {
                    f[i] /= factor;
                }
                yield f;
            }
            case Rope.DynamicNtk(double factor) -> {
                // Up to the trained length nothing changes; beyond it the base grows with the sequence.
                double length = Math.max(sequenceLength, maxPositions);
                double growth = factor * length / maxPositions - (factor - 1);
                yield plain(rope.theta() * Math.pow(growth, width / (width - 2.0)), width);
            }
            case Rope.Llama3 scaling -> llama3(plain(rope.theta(), width), scaling);
            case Rope.Yarn scaling -> yarn(plain(rope.theta(), width), rope.theta(), scaling);
            case Rope.LongRope scaling -> {
                double[] f = plain(rope.theta(), width);
                boolean isLong = isLong(scaling, sequenceLength);
                for (int i = 0; i < f.length; i++) {
                    f[i] /= (isLong ? scaling.longFactors() : scaling.shortFactors()).get(i);
                }
                yield f;
            }
        };
    }

    private static double[] plain(double theta, int width) {
        double[] f = new double[width / 2];
        for (int i = 0; i < f.length; i++) {
            f[i] = Math.pow(theta, -2.0 * i / width);
        }
        return f;
    }

    /** Between two pairs, a ramp from frequencies as they are to those divided by the factor. */
    private static double[] yarn(double[] f, double theta, Rope.Yarn s) {
        double low = pairThatTurns(s.betaFast(), f.length, theta, s);
        double high = pairThatTurns(s.betaSlow(), f.length, theta, s);
        if (s.truncate()) {
            low = Math.floor(low);
            high = Math.ceil(high);
        }
        low = Math.max(low, 0);
        high = Math.min(high, 2 * f.length - 1);
        if (low == high) {
            high += 0.001;
        }
        for (int i = 0; i < f.length; i++) {
            double divided = Math.clamp((i - low) / (high - low), 0, 1);
            f[i] = f[i] / s.factor() * divided + f[i] * (1 - divided);
        }
        return f;
    }

    /** The pair, as a fraction, that turns so many times over the original length. */
    private static double pairThatTurns(double turns, int pairs, double theta, Rope.Yarn s) {
        return pairs * Math.log(s.originalMaxPositions() / (turns * 2 * Math.PI)) / Math.log(theta);
    }

    /** Long wavelengths are stretched by the factor, short ones kept, those between blended. */
    private static double[] llama3(double[] f, Rope.Llama3 s) {
        double longest = s.originalMaxPositions() / s.lowFreqFactor();
        double shortest = s.originalMaxPositions() / s.highFreqFactor();
        for (int i = 0; i < f.length; i++) {
            double wavelength = 2 * Math.PI / f[i];
            if (wavelength > longest) {
                f[i] /= s.factor();
            } else if (wavelength >= shortest) {
                double smooth = (s.originalMaxPositions() / wavelength - s.lowFreqFactor())
                        / (s.highFreqFactor() - s.lowFreqFactor());
                f[i] = (1 - smooth) * f[i] / s.factor() + smooth * f[i];
            }
        }
        return f;
    }
}
