package nibble.engine.attention;

import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.Rope;

/**
 * Holds cosines and sines of the rotary embedding, [positions, head_dim / 2], computed in double and rounded once.
 *
 * @param positions rows of the table
 * @param half head_dim / 2
 */
public record RotaryTable(int positions, int half, float[] cos, float[] sin) {

    /** Returns the unscaled table of positions 0 to {@code positions - 1}. */
    public static RotaryTable of(double theta, int headDim, int positions) {
        return of(plain(theta, headDim), positions);
    }

    /** Returns the table of positions 0 to {@code positions - 1} for a sequence of {@code sequenceLength} tokens. */
    public static RotaryTable of(ModelConfig config, int positions, int sequenceLength) {
        return of(frequencies(config.rope(), config.headDim(), config.maxPositions(), sequenceLength), positions);
    }

    private static RotaryTable of(double[] frequencies, int positions) {
        int half = frequencies.length;
        float[] cos = new float[Math.multiplyExact(positions, half)];
        float[] sin = new float[cos.length];
        for (int p = 0; p < positions; p++) {
            for (int i = 0; i < half; i++) {
                double angle = p * frequencies[i];
                cos[p * half + i] = (float) Math.cos(angle);
                sin[p * half + i] = (float) Math.sin(angle);
            }
        }
        return new RotaryTable(positions, half, cos, sin);
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

    /** Returns the table that turns back what this one turns. */
    public RotaryTable inverse() {
        float[] back = new float[sin.length];
        for (int i = 0; i < back.length; i++) {
            back[i] = -sin[i];
        }
        return new RotaryTable(positions, half, cos, back);
    }

    /** Returns whether the frequencies of this model depend on the length of the sequence. */
    public static boolean growsWithSequence(Rope rope) {
        return rope.scaling() instanceof Rope.DynamicNtk;
    }

    /**
     * Radians a position for each pair: theta^(-2i/headDim) under the scaling, by the formulas of transformers'
     * {@code modeling_rope_utils}.
     */
    static double[] frequencies(Rope rope, int headDim, int maxPositions, int sequenceLength) {
        return switch (rope.scaling()) {
            case Rope.None() -> plain(rope.theta(), headDim);
            case Rope.Linear(double factor) -> {
                double[] f = plain(rope.theta(), headDim);
                for (int i = 0; i < f.length; i++) {
                    f[i] /= factor;
                }
                yield f;
            }
            case Rope.DynamicNtk(double factor) -> {
                // Up to the trained length nothing changes; beyond it the base grows with the sequence.
                double length = Math.max(sequenceLength, maxPositions);
                double growth = factor * length / maxPositions - (factor - 1);
                yield plain(rope.theta() * Math.pow(growth, headDim / (headDim - 2.0)), headDim);
            }
            case Rope.Llama3 scaling -> llama3(plain(rope.theta(), headDim), scaling);
        };
    }

    private static double[] plain(double theta, int headDim) {
        double[] f = new double[headDim / 2];
        for (int i = 0; i < f.length; i++) {
            f[i] = Math.pow(theta, -2.0 * i / headDim);
        }
        return f;
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
