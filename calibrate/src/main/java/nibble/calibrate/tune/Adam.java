package nibble.calibrate.tune;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import nibble.engine.backend.Parameter;

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

    Adam(List<Parameter> parameters) {
        this.parameters = parameters;
    }

    /** The rate of a step, counted from 0. */
    static double rate(int step, int steps) {
        return RATE * Math.min(1, (step + 1.0) / WARM_UP) * (1 + Math.cos(Math.PI * step / steps)) / 2;
    }

    /** Returns what moves parameters at a step, counted from 0. */
    static Parameter.AdamStep step(int step, int steps) {
        return new Parameter.AdamStep(
                rate(step, steps) / (1 - Math.pow(FIRST_DECAY, step + 1.0)),
                1 - Math.pow(SECOND_DECAY, step + 1.0),
                FIRST_DECAY,
                SECOND_DECAY,
                EPSILON,
                LEAST_CHANGE);
    }

    /** Writes changes and moments, exactly. */
    void write(DataOutputStream out) throws IOException {
        for (Parameter parameter : parameters) {
            Parameter.State state = parameter.state();
            for (float[] values : List.of(state.change(), state.first(), state.second())) {
                ByteBuffer bytes =
                        ByteBuffer.allocate(Float.BYTES * values.length).order(ByteOrder.LITTLE_ENDIAN);
                bytes.asFloatBuffer().put(values);
                out.write(bytes.array());
            }
        }
    }

    /** Reads what {@link #write} wrote. */
    void read(DataInputStream in) throws IOException {
        for (Parameter parameter : parameters) {
            float[][] parts = new float[3][parameter.size()];
            for (float[] values : parts) {
                byte[] bytes = new byte[Float.BYTES * values.length];
                in.readFully(bytes);
                ByteBuffer.wrap(bytes)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .asFloatBuffer()
                        .get(values);
            }
            parameter.restore(new Parameter.State(parts[0], parts[1], parts[2]));
        }
    }
}
