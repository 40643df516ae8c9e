package nibble.calibrate.tune;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import nibble.engine.gradient.Parameter;

/**
 * Adam on relative changes (Kingma and Ba, arXiv 1412.6980), with a rate that rises over the first steps and then falls
 * to nothing along a cosine.
 */
final class Adam {
    /** The highest rate: a scale moves by a thousandth of itself at most in a step. */
    static final double RATE = 1e-3;

    private static final int WARM_UP = 10;
    private static final double FIRST_DECAY = 0.9;
    private static final double SECOND_DECAY = 0.99;
    /** Small beside any gradient that counts, so that a group's size plays no part. */
    private static final double EPSILON = 1e-12;
    /** Scales stay above 0. */
    private static final float LEAST_CHANGE = -0.9f;

    private final List<Parameter> parameters;
    private final float[][] first;
    private final float[][] second;

    Adam(List<Parameter> parameters) {
        this.parameters = parameters;
        this.first = new float[parameters.size()][];
        this.second = new float[parameters.size()][];
        for (int p = 0; p < first.length; p++) {
            first[p] = new float[parameters.get(p).size()];
            second[p] = new float[parameters.get(p).size()];
        }
    }

    /** The rate of a step, counted from 0. */
    static double rate(int step, int steps) {
        return RATE * Math.min(1, (step + 1.0) / WARM_UP) * (1 + Math.cos(Math.PI * step / steps)) / 2;
    }

    /** Moves all parameters by their gradients and forgets these. */
    void step(int step, int steps) {
        double rate = rate(step, steps) / (1 - Math.pow(FIRST_DECAY, step + 1.0));
        double correction = 1 - Math.pow(SECOND_DECAY, step + 1.0);
        for (int p = 0; p < first.length; p++) {
            Parameter parameter = parameters.get(p);
            float[] change = parameter.change();
            for (int i = 0; i < change.length; i++) {
                double slope = parameter.slope(i);
                first[p][i] = (float) (FIRST_DECAY * first[p][i] + (1 - FIRST_DECAY) * slope);
                second[p][i] = (float) (SECOND_DECAY * second[p][i] + (1 - SECOND_DECAY) * slope * slope);
                double move = rate * first[p][i] / (Math.sqrt(second[p][i] / correction) + EPSILON);
                change[i] = Math.max(LEAST_CHANGE, (float) (change[i] - move));
            }
            parameter.moved();
        }
    }

    /** Writes changes and moments, exactly. */
    void write(DataOutputStream out) throws IOException {
        for (int p = 0; p < first.length; p++) {
            for (float[] values : List.of(parameters.get(p).change(), first[p], second[p])) {
                ByteBuffer bytes =
                        ByteBuffer.allocate(Float.BYTES * values.length).order(ByteOrder.LITTLE_ENDIAN);
                bytes.asFloatBuffer().put(values);
                out.write(bytes.array());
            }
        }
    }

    /** Reads what {@link #write} wrote. */
    void read(DataInputStream in) throws IOException {
        for (int p = 0; p < first.length; p++) {
            for (float[] values : List.of(parameters.get(p).change(), first[p], second[p])) {
                byte[] bytes = new byte[Float.BYTES * values.length];
                in.readFully(bytes);
                ByteBuffer.wrap(bytes)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .asFloatBuffer()
                        .get(values);
            }
            parameters.get(p).moved();
        }
    }
}
